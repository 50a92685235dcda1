/** Files, tests, time and processes: the commands of a node that scripts over SSH use, as far as they use them. */
import { gapIn, inputs, NotModelled, options } from "./commands-text.ts";
import { FileError, normalise } from "./files.ts";
import type { CommandFunction, Context } from "./process.ts";

function told(context: Context, name: string, act: () => void, doing = "cannot access"): number {
  try {
    context.change(act);
    return 0;
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    context.err(`${context.argv[0]}: ${doing} '${name}': ${error.message}\n`);
    return 1;
  }
}

const ls: CommandFunction = (context) => {
  const { set, rest } = options(context, "1adlLtr");
  const { files } = context.node;
  let status = 0;
  const line = (name: string, path: string) => {
    if (!set.has("l")) return context.out(`${name}\n`);
    const entry = files.find(path, false);
    const kind =
      entry?.kind === "dir" ? "d" : entry?.kind === "link" ? "l" : entry?.kind === "dev" ? "b" : "-";
    const size = entry?.kind === "file" ? files.read(path).length : 0;
    const time = new Date(entry?.mtime ?? 0).toISOString().slice(0, 16).replace("T", " ");
    context.out(
      `${kind}rw-r--r-- 1 root root ${size} ${time} ${name}${entry?.kind === "link" ? ` -> ${entry.target}` : ""}\n`,
    );
  };
  for (const name of rest.length > 0 ? rest : ["."]) {
    const path = context.path(name);
    const entry = files.find(path);
    if (!entry && !files.find(path, false)) {
      context.err(`ls: cannot access '${name}': No such file or directory\n`);
      status = 2;
    } else if (entry?.kind !== "dir" || set.has("d")) line(name, path);
    else
      for (const each of files.list(path))
        if (!each.startsWith(".") || set.has("a")) line(each, `${path}/${each}`);
  }
  return status;
};

const mkdir: CommandFunction = (context) => {
  const { set, values, rest } = options(context, "p", "m");
  const mode = values.has("m") ? parseInt(values.get("m") as string, 8) : 0o777 & ~context.umask;
  let status = 0;
  for (const name of rest) {
    const parts = context.path(name).split("/").filter(Boolean);
    const paths = set.has("p")
      ? parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`)
      : [context.path(name)];
    for (const path of paths) {
      if (set.has("p") && context.node.files.find(path)?.kind === "dir") continue;
      status ||= told(context, name, () => context.node.files.mkdir(path, mode), "cannot create directory");
    }
  }
  return status;
};

const rmdir: CommandFunction = (context) => {
  const { rest } = options(context, "");
  return rest.reduce(
    (status, name) =>
      told(context, name, () => context.node.files.rmdir(context.path(name)), "failed to remove") || status,
    0,
  );
};

const rm: CommandFunction = (context) => {
  const { set, rest } = options(context, "rRf");
  const { files } = context.node;
  let status = 0;
  for (const name of rest) {
    const path = context.path(name);
    if (set.has("f") && !files.find(path, false)) continue;
    const whole = set.has("r") || set.has("R");
    status =
      told(context, name, () => (whole ? files.removeTree(path) : files.unlink(path)), "cannot remove") ||
      status;
  }
  return status;
};

const mv: CommandFunction = (context) => {
  const { rest } = options(context, "fTn");
  const [from = "", to = ""] = rest;
  return told(
    context,
    from,
    () => context.node.files.rename(context.path(from), context.path(to)),
    "cannot move",
  );
};

const cp: CommandFunction = (context) => {
  const { rest } = options(context, "pfa");
  const [from = "", to = ""] = rest;
  const { files } = context.node;
  return told(
    context,
    from,
    () => {
      const bytes = files.read(context.path(from));
      const target = context.path(to);
      files.write(
        files.find(target)?.kind === "dir" ? `${target}/${from.slice(from.lastIndexOf("/") + 1)}` : target,
        bytes,
      );
    },
    "cannot copy",
  );
};

const ln: CommandFunction = (context) => {
  const { set, rest } = options(context, "sfnT");
  if (!set.has("s")) gapIn(context, "a hard link");
  const [target = "", name = ""] = rest;
  return told(
    context,
    name,
    () => {
      if (set.has("f") && context.node.files.find(context.path(name), false))
        context.node.files.unlink(context.path(name));
      context.node.files.symlink(target, context.path(name));
    },
    "failed to create symbolic link",
  );
};

const chmod: CommandFunction = (context) => {
  const [, mode = "", ...names] = context.argv;
  return names.reduce((status, name) => {
    const act = () => {
      const entry = context.node.files.find(context.path(name));
      const old = entry?.kind === "file" || entry?.kind === "dir" ? entry.mode : 0o644;
      const symbolic = /^[ua]*\+x$/.test(mode)
        ? old | 0o111
        : /^[ua]*\+r$/.test(mode)
          ? old | 0o444
          : undefined;
      if (symbolic === undefined && !/^[0-7]+$/.test(mode)) gapIn(context, `the mode ${mode}`);
      context.node.files.chmod(context.path(name), symbolic ?? parseInt(mode, 8));
    };
    return told(context, name, act) || status;
  }, 0);
};

const readlink: CommandFunction = (context) => {
  const { set, rest } = options(context, "efmn");
  let status = 0;
  for (const name of rest) {
    const { files } = context.node;
    const path = context.path(name);
    const entry = files.find(path, false);
    let found: string | undefined;
    try {
      if (set.has("m")) found = normalise(path);
      else if (set.has("e") || set.has("f")) {
        found = files.resolve(path);
        if (set.has("e") && !files.find(path)) found = undefined;
      } else found = entry?.kind === "link" ? entry.target : undefined;
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
    }
    if (found === undefined) status = 1;
    else context.out(found + (set.has("n") ? "" : "\n"));
  }
  return status;
};

const touch: CommandFunction = (context) => {
  const { rest } = options(context, "cm");
  return rest.reduce(
    (status, name) =>
      told(context, name, () => context.node.files.touch(context.path(name)), "cannot touch") || status,
    0,
  );
};

const stat: CommandFunction = (context) => {
  const { values, rest } = options(context, "L", "c");
  const format = values.get("c") ?? gapIn(context, "the long form");
  let status = 0;
  for (const name of rest) {
    const path = context.path(name);
    const entry = context.node.files.find(path);
    if (!entry) {
      context.err(`stat: cannot statx '${name}': No such file or directory\n`);
      status = 1;
      continue;
    }
    const mode = entry.kind === "file" || entry.kind === "dir" ? entry.mode : 0o600;
    const shown: { readonly [letter: string]: string } = {
      Y: String(Math.floor(entry.mtime / 1000)),
      s: entry.kind === "file" ? String(context.node.files.read(path).length) : "0",
      a: mode.toString(8),
      n: name,
      U: "root",
      u: "0",
      F: entry.kind === "file" ? "regular file" : entry.kind === "dir" ? "directory" : "block special file",
    };
    context.out(
      `${format.replace(/%([a-zA-Z])/g, (_, letter: string) => shown[letter] ?? gapIn(context, `%${letter}`))}\n`,
    );
  }
  return status;
};

/** `test` and `[`. */
const test: CommandFunction = (context) => {
  let args = context.argv.slice(1);
  if (context.argv[0] === "[") {
    if (args.at(-1) !== "]") {
      context.err("sh: 1: [: missing ]\n");
      return 2;
    }
    args = args.slice(0, -1);
  }
  try {
    return truth(context, args) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    context.err(`sh: 1: ${context.argv[0]}: ${error.message}\n`);
    return 2;
  }
};

function truth(context: Context, args: readonly string[]): boolean {
  const [a, b, c] = args as [string, string, string];
  switch (args.length) {
    case 0:
      return false;
    case 1:
      return a !== "";
    case 2:
      return a === "!" ? b === "" : unary(context, a, b);
    case 3: {
      const answer = binary(context, a, b, c);
      if (answer !== undefined) return answer;
      if (a === "!") return !truth(context, args.slice(1));
      if (a === "(" && c === ")") return truth(context, [b]);
    }
  }
  for (const joint of ["-o", "-a"] as const) {
    const at = args.indexOf(joint);
    if (at > 0) {
      const [left, right] = [truth(context, args.slice(0, at)), truth(context, args.slice(at + 1))];
      return joint === "-o" ? left || right : left && right;
    }
  }
  if (a === "!") return !truth(context, args.slice(1));
  throw new RangeError("unexpected operator");
}

function unary(context: Context, operator: string, name: string): boolean {
  const { files } = context.node;
  const entry =
    operator === "-L" || operator === "-h"
      ? files.find(context.path(name), false)
      : files.find(context.path(name));
  const mode = entry?.kind === "file" || entry?.kind === "dir" ? entry.mode : 0;
  switch (operator) {
    case "-n":
      return name !== "";
    case "-z":
      return name === "";
    case "-e":
    case "-r":
    case "-w":
      return entry !== undefined;
    case "-f":
      return entry?.kind === "file";
    case "-d":
      return entry?.kind === "dir";
    case "-L":
    case "-h":
      return entry?.kind === "link";
    case "-b":
      return entry?.kind === "dev" && entry.device === "block";
    case "-s":
      return entry?.kind === "file" && files.read(context.path(name)) !== "";
    case "-x":
      return (
        entry?.kind === "dir" ||
        (mode & 0o111) !== 0 ||
        (entry === undefined && name.includes("/") && context.node.hasProgram(name))
      );
    case "-t":
      return false;
  }
  throw new RangeError(`${operator}: unexpected operator`);
}

function binary(context: Context, left: string, operator: string, right: string): boolean | undefined {
  const number = (text: string) => {
    if (!/^\s*[-+]?\d+\s*$/.test(text)) throw new RangeError(`Illegal number: ${text}`);
    return Number(text);
  };
  const time = (name: string) => context.node.files.find(context.path(name))?.mtime ?? -1;
  switch (operator) {
    case "=":
    case "==":
      return left === right;
    case "!=":
      return left !== right;
    case "-eq":
      return number(left) === number(right);
    case "-ne":
      return number(left) !== number(right);
    case "-lt":
      return number(left) < number(right);
    case "-le":
      return number(left) <= number(right);
    case "-gt":
      return number(left) > number(right);
    case "-ge":
      return number(left) >= number(right);
    case "-nt":
      return time(left) > time(right);
    case "-ot":
      return time(left) < time(right);
  }
  return undefined;
}

const date: CommandFunction = (context) => {
  let at = context.node.heart.clock.now();
  let format = "%a %b %d %H:%M:%S %Z %Y";
  for (const [index, arg] of context.argv.entries()) {
    if (index === 0 || arg === "-u") continue;
    if (arg.startsWith("+")) format = arg.slice(1);
    else if (arg === "-d") at = dateOf(context, context.argv[index + 1] ?? "");
    else if (context.argv[index - 1] !== "-d") gapIn(context, arg);
  }
  const iso = new Date(at).toISOString();
  const [, year = "", month = "", day = "", hour = "", minute = "", second = ""] =
    /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/.exec(iso) ?? [];
  const names = new Date(at).toUTCString();
  const shown: { readonly [letter: string]: string } = {
    s: String(Math.floor(at / 1000)),
    N: String((at % 1000) * 1_000_000).padStart(9, "0"),
    Y: year,
    m: month,
    d: day,
    H: hour,
    M: minute,
    S: second,
    F: `${year}-${month}-${day}`,
    T: `${hour}:${minute}:${second}`,
    z: "+0000",
    Z: "UTC",
    a: names.slice(0, 3),
    b: names.slice(8, 11),
    "%": "%",
  };
  context.out(
    `${format.replace(/%([a-zA-Z%])/g, (_, letter: string) => shown[letter] ?? gapIn(context, `%${letter}`))}\n`,
  );
  return 0;
};

function dateOf(context: Context, text: string): number {
  const at = text.startsWith("@")
    ? Number(text.slice(1)) * 1000
    : Date.parse(`${text}${/Z$|[+-]\d{4}$/.test(text) ? "" : "Z"}`);
  return Number.isFinite(at) ? at : gapIn(context, `the date ${text}`);
}

const sleep: CommandFunction = async (context) => {
  const units: { readonly [unit: string]: number } = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 };
  for (const word of context.argv.slice(1)) {
    const [, count = "", unit = ""] = /^([0-9.]+)([smhd]?)$/.exec(word) ?? [];
    if (count === "") {
      context.err(`sleep: invalid time interval '${word}'\n`);
      return 1;
    }
    await context.sleep(Number(count) * (units[unit] ?? 1) * 1000);
  }
  return 0;
};

const kill: CommandFunction = (context) => {
  const [, ...args] = context.argv;
  const signals: { readonly [name: string]: string } = {
    0: "0",
    1: "HUP",
    2: "INT",
    9: "KILL",
    15: "TERM",
    HUP: "HUP",
    INT: "INT",
    KILL: "KILL",
    TERM: "TERM",
  };
  let signal = "TERM";
  let rest = args;
  if (args[0] === "-s") [signal, rest] = [args[1] ?? "", args.slice(2)];
  else if (args[0]?.startsWith("-") && args[0] !== "--" && args.length > 1)
    [signal, rest] = [args[0].slice(1), args.slice(1)];
  const named = signals[signal.replace(/^SIG/, "")] ?? gapIn(context, `the signal ${signal}`);
  let status = 0;
  for (const word of rest.filter((each) => each !== "--")) {
    // A negative number is a process group; a detached job's group is the job itself.
    const process = context.node.processes.get(Math.abs(Number(word)));
    if (!process?.alive) {
      context.err(`sh: 1: kill: No such process\n`);
      status = 1;
    } else if (named !== "0") {
      context.change(() => {
        process.kill(named);
        context.node.heart.effect(`process ${process.pid} on ${context.node.name} killed`, {
          kind: "process-killed",
          node: context.node.name,
          name: process.name,
        });
      });
      context.node.reap(process);
    }
  }
  return status;
};

/** Runs the rest of its words; the lab has no sessions of a terminal to leave. */
const pass =
  (skip: (args: readonly string[]) => readonly string[]): CommandFunction =>
  (context) =>
    context.run(skip(context.argv.slice(1)));

const env: CommandFunction = async (context) => {
  const more: { [name: string]: string } = {};
  let rest = context.argv.slice(1);
  for (; rest[0] !== undefined; rest = rest.slice(1)) {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=([\s\S]*)$/.exec(rest[0]) ?? [];
    if (name !== undefined) more[name] = value ?? "";
    else if (rest[0] === "-i") continue;
    else if (rest[0].startsWith("-")) gapIn(context, `option ${rest[0]}`);
    else break;
  }
  if (rest.length === 0) {
    for (const [name, value] of Object.entries({ ...context.env, ...more }))
      context.out(`${name}=${value}\n`);
    return 0;
  }
  const [name = ""] = rest;
  const plain = name.slice(name.lastIndexOf("/") + 1);
  if (!name.includes("/") && !context.node.commands.has(plain)) {
    context.err(`env: '${name}': No such file or directory\n`);
    throw new NotModelled("");
  }
  return context.run(rest, more);
};

/** timeout [-k N] [-s SIG] SECONDS COMMAND… */
const timeout: CommandFunction = async (context) => {
  let rest = context.argv.slice(1);
  while (rest[0]?.startsWith("-"))
    rest = /^(-k|-s|--signal|--kill-after)$/.test(rest[0]) ? rest.slice(2) : rest.slice(1);
  const [limit = "0", ...words] = rest;
  const stop = new AbortController();
  const over = context.node.heart.clock
    .sleep(Number.parseFloat(limit) * 1000, AbortSignal.any([stop.signal, context.process.signal]))
    .then(() => "over" as const);
  // The command itself cannot be stopped half-way here: it goes on unseen, as one that ignores the signal would.
  const outcome = await Promise.race([context.run(words), over]);
  stop.abort();
  over.catch(() => undefined);
  return outcome === "over" ? 124 : outcome;
};

const xargs: CommandFunction = async (context) => {
  const { rest } = options(context, "r0", "n");
  const words = (await context.process.orDeath(context.stdin.all())).split(/\s+|\0/).filter(Boolean);
  return words.length === 0 ? 0 : context.run([...rest, ...words]);
};

const uptime: CommandFunction = (context) => {
  const { uptimeSeconds } = context.node;
  if (context.argv[1] === "-s") {
    context.out(`${new Date(context.node.bootedAt).toISOString().slice(0, 19).replace("T", " ")}\n`);
    return 0;
  }
  context.out(` up ${Math.floor(uptimeSeconds / 60)} min,  1 user,  load average: 0.00, 0.00, 0.00\n`);
  return 0;
};

const cmp: CommandFunction = async (context) => {
  const { rest } = options(context, "s");
  const { texts, failed } = await inputs(context, rest);
  return failed ? 2 : texts[0]?.[1] === texts[1]?.[1] ? 0 : 1;
};

const print =
  (text: (context: Context) => string): CommandFunction =>
  (context) => {
    context.out(`${text(context)}\n`);
    return 0;
  };

export const fileCommands: { readonly [name: string]: CommandFunction } = {
  ls,
  mkdir,
  rmdir,
  rm,
  mv,
  cp,
  ln,
  chmod,
  chown: () => 0,
  readlink,
  realpath: (context) => readlink({ ...context, argv: ["readlink", "-e", ...context.argv.slice(1)] }),
  touch,
  stat,
  test,
  "[": test,
  true: () => 0,
  false: () => 1,
  date,
  sleep,
  kill,
  setsid: pass((args) => args.slice(args.findIndex((arg) => !arg.startsWith("-")))),
  nohup: pass((args) => args),
  nice: pass((args) => (args[0] === "-n" ? args.slice(2) : args)),
  ionice: pass((args) => args.slice(args.findIndex((arg) => !arg.startsWith("-")))),
  sudo: pass((args) => args.slice(args.findIndex((arg) => !arg.startsWith("-")))),
  env,
  timeout,
  xargs,
  uptime,
  cmp,
  sync: () => 0,
  id: (context) =>
    print((c) =>
      c.argv.includes("-u")
        ? "0"
        : c.argv.includes("-un")
          ? "root"
          : "uid=0(root) gid=0(root) groups=0(root)",
    )(context),
  whoami: print(() => "root"),
  hostname: print((context) => context.node.name),
  uname: print((context) =>
    context.argv[1] === "-r"
      ? "4.18.0-553.el8_10.x86_64"
      : context.argv[1] === "-n"
        ? context.node.name
        : context.argv[1] === "-a"
          ? `Linux ${context.node.name} 4.18.0-553.el8_10.x86_64`
          : "Linux",
  ),
  // The shell does these itself; they stand here so that `command -v sh` finds them.
  sh: () => 0,
  bash: () => 0,
};
