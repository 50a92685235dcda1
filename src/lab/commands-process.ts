/** Time, processes, environment: commands of a node that run or end others, or say what it is. */
import { gapIn, inputs, NotModelled, options } from "./command-words.ts";
import type { CommandFunction, Context } from "./process.ts";

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
    .then(
      () => "over" as const,
      (reason: unknown) => {
        // Stopped because the command has ended, which nobody waits for; any other end is that of this process.
        if (stop.signal.aborted) return "over" as const;
        throw reason;
      },
    );
  const command = context.aside(words);
  try {
    const outcome = await context.process.orDeath(Promise.race([command.done, over]));
    return outcome === "over" ? 124 : outcome;
  } finally {
    stop.abort();
    // It dies at its next sleep, with all that it runs; where it is over already, this finds nobody.
    command.kill();
  }
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

/** Its words up to the command, of which those that take a value have two forms (setpriv(1)). */
const setpriv = pass((args) => {
  let rest = args;
  while (rest[0]?.startsWith("--"))
    rest = /^--(reuid|regid|groups|securebits)$/.test(rest[0]) ? rest.slice(2) : rest.slice(1);
  return rest;
});

/** The users that a small installation has, with their group's number the same. */
const users: { readonly [name: string]: number } = { root: 0, nobody: 65534, "": 0 };

const id: CommandFunction = (context) => {
  const { set, rest } = options(context, "ugGn");
  const [name = ""] = rest;
  const number = users[name];
  if (number === undefined) {
    context.err(`id: '${name}': no such user\n`);
    return 1;
  }
  const word = name === "" ? "root" : name;
  if (set.has("n")) context.out(`${word}\n`);
  else if (set.has("u") || set.has("g") || set.has("G")) context.out(`${number}\n`);
  else context.out(`uid=${number}(${word}) gid=${number}(${word}) groups=${number}(${word})\n`);
  return 0;
};

/** What answers over HTTP on a node is in `pages`; the rest is refused, with curl's own exit statuses (curl(1)). */
const curl: CommandFunction = (context) => {
  const { argv, node } = context;
  const url = argv.at(-1) ?? "";
  const format = argv[argv.indexOf("-w") + 1] ?? "";
  if (!argv.includes("-w")) gapIn(context, "without -w");
  const page = node.pages.get(url);
  if (page === undefined) {
    context.err(`curl: (7) Failed to connect to ${url}\n`);
    return 7;
  }
  context.out(page.body);
  context.out(format.replaceAll("\\n", "\n").replaceAll("%{http_code}", String(page.status)));
  return 0;
};

export const processCommands: { readonly [name: string]: CommandFunction } = {
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
  id,
  setpriv,
  curl,
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
