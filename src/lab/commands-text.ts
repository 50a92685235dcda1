/** The text tools of a node, as far as scripts over SSH use them. What is not modelled says so, as a gap of the lab. */
import { createHash } from "node:crypto";
import { gapIn, inputs, joined, lines, options } from "./command-words.ts";
import { classes, grep, sed } from "./commands-lines.ts";
import type { CommandFunction } from "./process.ts";

const cat: CommandFunction = async (context) => {
  const { rest } = options(context, "u");
  const { texts, failed } = await inputs(context, rest);
  for (const [, text] of texts) context.out(text);
  return failed ? 1 : 0;
};

const echo: CommandFunction = (context) => {
  const args = context.argv.slice(1);
  const bare = args[0] === "-n";
  // dash's echo reads escapes, which is why scripts should use printf.
  context.out(escapes(args.slice(bare ? 1 : 0).join(" ")) + (bare ? "" : "\n"));
  return 0;
};

function escapes(text: string): string {
  return text.replace(/\\(0[0-7]{0,3}|[0-7]{1,3}|[\\abfnrtv])/g, (_, code: string) => {
    const named: { readonly [code: string]: string } = {
      "\\": "\\",
      a: "\x07",
      b: "\b",
      f: "\f",
      n: "\n",
      r: "\r",
      t: "\t",
      v: "\v",
    };
    return named[code] ?? String.fromCharCode(parseInt(code, 8) & 255);
  });
}

const printf: CommandFunction = (context) => {
  const [, format = "", ...args] = context.argv;
  let index = 0;
  let failed = false;
  if (/%(?![-0]*\d*(?:\.\d+)?[sdixXucbo%])/.test(format.replace(/%%/g, "")))
    gapIn(context, `the format ${format}`);
  const pieces = escapes(format.replace(/%/g, "\x00")).replaceAll("\x00", "%");
  do {
    context.out(
      pieces.replace(
        /%(-?)(0?)(\d*)(?:\.(\d+))?([sdixXucbo%])/g,
        (_, left: string, zero: string, width: string, precision: string | undefined, kind: string) => {
          if (kind === "%") return "%";
          const arg = args[index] ?? "";
          index += 1;
          let text = arg;
          if ("dixXuo".includes(kind)) {
            const value = arg === "" ? 0 : Number(arg.startsWith("'") ? arg.charCodeAt(1) : arg);
            if (!Number.isFinite(value)) {
              context.err(`printf: ${arg}: expected numeric value\n`);
              failed = true;
            }
            const radix = kind === "x" || kind === "X" ? 16 : kind === "o" ? 8 : 10;
            text = Math.trunc(Number.isFinite(value) ? value : 0).toString(radix);
            if (kind === "X") text = text.toUpperCase();
          } else if (kind === "b") text = escapes(arg);
          else if (kind === "c") text = arg.slice(0, 1);
          else if (precision !== undefined) text = arg.slice(0, Number(precision));
          const pad = Number(width || 0);
          return left ? text.padEnd(pad) : text.padStart(pad, zero && kind !== "s" ? "0" : " ");
        },
      ),
    );
  } while (index < args.length && /%[^%]/.test(format));
  return failed ? 1 : 0;
};

const cut: CommandFunction = async (context) => {
  const { set, values, rest } = options(context, "s", "dfcb");
  const list = values.get("f") ?? values.get("c") ?? values.get("b") ?? "";
  const chosen = (count: number): number[] =>
    list.split(",").flatMap((range) => {
      const [from = "", to] = range.split("-");
      const last = to === undefined ? Number(from) : to === "" ? count : Number(to);
      const first = from === "" ? 1 : Number(from);
      return Array.from(
        { length: Math.max(0, Math.min(last, count) - first + 1) },
        (_, index) => first + index - 1,
      );
    });
  const { texts, failed } = await inputs(context, rest);
  for (const [, text] of texts)
    for (const line of lines(text)) {
      const delimiter = values.get("d") ?? "\t";
      if (!values.has("f"))
        context.out(
          `${chosen(line.length)
            .map((at) => line[at])
            .join("")}\n`,
        );
      else if (!line.includes(delimiter)) context.out(set.has("s") ? "" : `${line}\n`);
      else {
        const fields = line.split(delimiter);
        context.out(
          `${chosen(fields.length)
            .map((at) => fields[at])
            .join(delimiter)}\n`,
        );
      }
    }
  return failed ? 1 : 0;
};

const ends =
  (fromStart: boolean): CommandFunction =>
  async (context) => {
    const old = /^-(\d+)$/.exec(context.argv[1] ?? "");
    const { values, rest } = old
      ? { values: new Map([["n", old[1] as string]]), rest: context.argv.slice(2) }
      : options(context, "q", "nc");
    const { texts, failed } = await inputs(context, rest);
    for (const [, text] of texts) {
      const bytes = values.get("c");
      if (bytes !== undefined) {
        const count = Number(bytes);
        context.out(
          fromStart
            ? text.slice(0, count)
            : bytes.startsWith("+")
              ? text.slice(count - 1)
              : text.slice(Math.max(0, text.length - count)),
        );
        continue;
      }
      const given = values.get("n") ?? "10";
      const all = lines(text);
      const count = Math.abs(Number(given));
      if (fromStart)
        context.out(
          joined(given.startsWith("-") ? all.slice(0, Math.max(0, all.length - count)) : all.slice(0, count)),
        );
      else
        context.out(
          joined(given.startsWith("+") ? all.slice(count - 1) : all.slice(Math.max(0, all.length - count))),
        );
    }
    return failed ? 1 : 0;
  };

const tr: CommandFunction = async (context) => {
  const { set, rest } = options(context, "dsc");
  const expand = (text: string): string =>
    classes(escapes(text).replace(/\[:(\w+):\]/g, "[:$1:]"))
      .replace(/(.)-(.)/gs, (_, a: string, b: string) =>
        Array.from({ length: b.charCodeAt(0) - a.charCodeAt(0) + 1 }, (__, index) =>
          String.fromCharCode(a.charCodeAt(0) + index),
        ).join(""),
      )
      .replaceAll("\\s", " \t\n\r\f\v");
  const from = expand(rest[0] ?? "");
  const to = expand(rest[1] ?? "");
  const text = await context.process.orDeath(context.stdin.all());
  const inSet = (c: string) => from.includes(c) !== set.has("c");
  let result = "";
  for (const c of text) {
    if (set.has("d")) {
      if (!inSet(c)) result += c;
      continue;
    }
    const target = to === "" ? from : to;
    // A second set that is shorter goes on with its last character.
    const last = to.slice(-1);
    const next = to === "" || !inSet(c) ? c : set.has("c") ? last : (to[from.indexOf(c)] ?? last);
    if (set.has("s") && target.includes(next) && result.endsWith(next)) continue;
    result += next;
  }
  context.out(result);
  return 0;
};

const wc: CommandFunction = async (context) => {
  const { set, rest } = options(context, "lcw");
  const { texts, failed } = await inputs(context, rest);
  for (const [name, text] of texts) {
    const counts = {
      l: text.split("\n").length - 1,
      w: text.split(/\s+/).filter(Boolean).length,
      c: text.length,
    };
    const shown = (["l", "w", "c"] as const)
      .filter((kind) => set.size === 0 || set.has(kind))
      .map((kind) => counts[kind]);
    context.out(`${shown.join(" ")}${name === "" ? "" : ` ${name}`}\n`);
  }
  return failed ? 1 : 0;
};

const sort: CommandFunction = async (context) => {
  const { set, values, rest } = options(context, "runV", "kt");
  const { texts, failed } = await inputs(context, rest);
  const key = (line: string) =>
    values.has("k")
      ? (line.split(values.get("t") ?? /\s+/)[Number.parseInt(values.get("k") as string, 10) - 1] ?? "")
      : line;
  let all = texts.flatMap(([, text]) => lines(text));
  all.sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    const byNumber = set.has("n") ? Number.parseFloat(left || "0") - Number.parseFloat(right || "0") : 0;
    return byNumber || (left < right ? -1 : left > right ? 1 : 0);
  });
  if (set.has("r")) all.reverse();
  if (set.has("u"))
    all = all.filter((line, index) => index === 0 || key(line) !== key(all[index - 1] as string));
  context.out(joined(all));
  return failed ? 1 : 0;
};

const uniq: CommandFunction = async (context) => {
  const { set, rest } = options(context, "cd");
  const { texts, failed } = await inputs(context, rest);
  const runs: { line: string; count: number }[] = [];
  for (const line of texts.flatMap(([, text]) => lines(text))) {
    const last = runs.at(-1);
    if (last?.line === line) last.count += 1;
    else runs.push({ line, count: 1 });
  }
  for (const { line, count } of runs)
    if (!set.has("d") || count > 1)
      context.out(`${set.has("c") ? `${String(count).padStart(7)} ` : ""}${line}\n`);
  return failed ? 1 : 0;
};

const tee: CommandFunction = async (context) => {
  const { set, rest } = options(context, "a");
  const text = await context.process.orDeath(context.stdin.all());
  for (const name of rest)
    context.change(() => context.node.files.write(context.path(name), text, { append: set.has("a") }));
  context.out(text);
  return 0;
};

const basename: CommandFunction = (context) => {
  const [, path = "", suffix = ""] = context.argv;
  const name = path.replace(/\/+$/, "").replace(/^.*\//, "") || "/";
  context.out(
    `${suffix !== "" && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name}\n`,
  );
  return 0;
};

const dirname: CommandFunction = (context) => {
  const path = (context.argv[1] ?? "").replace(/\/+$/, "");
  const at = path.lastIndexOf("/");
  context.out(`${at > 0 ? path.slice(0, at) : at === 0 ? "/" : "."}\n`);
  return 0;
};

const seq: CommandFunction = (context) => {
  const numbers = context.argv.slice(1).map(Number);
  const [first, step, last] =
    numbers.length === 1 ? [1, 1, numbers[0]] : numbers.length === 2 ? [numbers[0], 1, numbers[1]] : numbers;
  for (let value = first ?? 1; value <= (last ?? 0); value += step ?? 1) context.out(`${value}\n`);
  return 0;
};

const yes: CommandFunction = (context) => {
  // A pipe of the lab has no back pressure, so this one ends: enough for every question that a command can ask.
  context.out(`${context.argv.slice(1).join(" ") || "y"}\n`.repeat(64));
  return 0;
};

const sha256sum: CommandFunction = async (context) => {
  const { rest } = options(context, "b");
  const { texts, failed } = await inputs(context, rest);
  for (const [name, text] of texts)
    context.out(
      `${createHash("sha256").update(Buffer.from(text, "latin1")).digest("hex")}  ${name || "-"}\n`,
    );
  return failed ? 1 : 0;
};

const base64: CommandFunction = async (context) => {
  const { set, values, rest } = options(context, "d", "w");
  const { texts, failed } = await inputs(context, rest);
  for (const [, text] of texts) {
    if (set.has("d")) {
      context.out(Buffer.from(text, "base64").toString("latin1"));
      continue;
    }
    const width = Number(values.get("w") ?? 76);
    const encoded = Buffer.from(text, "latin1").toString("base64");
    context.out(width === 0 ? encoded : encoded.replace(new RegExp(`.{1,${width}}`, "g"), "$&\n"));
  }
  return failed ? 1 : 0;
};

export const textCommands: { readonly [name: string]: CommandFunction } = {
  cat,
  echo,
  printf,
  grep,
  egrep: (context) => grep({ ...context, argv: ["grep", "-E", ...context.argv.slice(1)] }),
  fgrep: (context) => grep({ ...context, argv: ["grep", "-F", ...context.argv.slice(1)] }),
  sed,
  cut,
  head: ends(true),
  tail: ends(false),
  tr,
  wc,
  sort,
  uniq,
  tee,
  basename,
  dirname,
  seq,
  yes,
  sha256sum,
  base64,
};
