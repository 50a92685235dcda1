/** The commands of a node on files and folders, as far as scripts over SSH use them. */
import { gapIn, options } from "./command-words.ts";
import { test } from "./commands-test.ts";
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

/** A folder with a name of its own; the X at the end of the template become letters. */
const mktemp: CommandFunction = (context) => {
  const { set, rest } = options(context, "d");
  if (!set.has("d")) gapIn(context, "a temporary file");
  const template = rest[0] ?? "/tmp/tmp.XXXXXXXXXX";
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const letter = () => letters[Math.floor(context.node.heart.random() * letters.length)] ?? "A";
  const name = template.replace(/X{3,}$/, (places) => places.replace(/X/g, letter));
  if (name === template) return gapIn(context, `the template ${template}`);
  const made = told(
    context,
    template,
    () => context.node.files.mkdir(context.path(name), 0o700),
    "failed to create directory via template",
  );
  if (made === 0) context.out(`${name}\n`);
  return made;
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

/** What is written here is there after a crash in any case. */
const sync: CommandFunction = (context) => {
  const [, ...names] = context.argv;
  const missing = names.find((name) => context.node.files.find(context.path(name)) === undefined);
  if (missing === undefined) return 0;
  context.err(`sync: error opening '${missing}': No such file or directory\n`);
  return 1;
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

export const fileCommands: { readonly [name: string]: CommandFunction } = {
  ls,
  mkdir,
  mktemp,
  sync,
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
};
