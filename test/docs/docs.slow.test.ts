/** The pages are held to the program: what they tell a reader to type is typed, and what they must name is looked for. */
import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import * as valibot from "valibot";
import { describe, expect, test } from "vitest";

import backupStandby from "../../runbooks/backup-standby.ts";
import { exitCodes } from "../../src/cli/exit.ts";
import { inventorySchema, type Keys } from "../../src/config/schema.ts";
import { faultActions } from "../../src/lab/control.ts";
import { hands } from "../../src/lab/hands.ts";
import { layOut } from "../../src/runbook/list.ts";
import { matches, parsePage, type Known } from "../support/console-blocks.ts";

const root = resolve(import.meta.dirname, "../..");
const bin = join(root, "bin", "runbook.js");
const read = (page: string) => readFileSync(join(root, page), "utf8");
const pages = [
  "README.md",
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];

/** What each command says of itself; test/cli/help.test.ts holds this file to the commands. */
const helpPages = read("test/golden/help.txt").split(/^(?=\$ runbook )/m);

describe("what the pages tell a reader to type", () => {
  // Each page has a home and a lab of its own, so three are played side by side: much of it is waiting for the lab.
  let free = 3;
  const waiting: (() => void)[] = [];
  const enter = async () => {
    if (free > 0) free -= 1;
    else await new Promise<void>((turn) => waiting.push(turn));
  };
  const leave = () => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  for (const page of pages) {
    const { blocks, ids } = parsePage(read(page));
    if (blocks.length === 0) continue;
    test.concurrent(`${page}: each command does what the page says`, { timeout: 280_000 }, async () => {
      await enter();
      const shell = openShell();
      try {
        let known: Known = new Map();
        for (const block of blocks) {
          if (block.skip !== undefined) {
            console.log(`${page}:${block.line}: not typed: ${block.skip}`);
            continue;
          }
          for (const [i, { line, text, output }] of block.commands.entries()) {
            const typed = asTyped([...known].reduce((all, [word, is]) => all.replaceAll(word, is), text));
            if (typed === undefined) {
              console.log(
                `${page}:${line}: not typed: ${text} (a fresh clone does it; it is what started this test)`,
              );
              continue;
            }
            const said = await shell.type(typed);
            const where = `${page}:${line}: ${typed}\n${said.lines.join("\n")}`;
            // A command that fails on purpose is followed by a look at its exit code.
            if (block.commands[i + 1]?.text !== "echo $?") expect(said.code, where).toBe(0);
            if (output.length === 0) continue;
            const learnt = matches(output, said.lines, ids, known);
            expect(learnt, `${where}\n--- the page shows\n${output.join("\n")}`).toBeDefined();
            known = learnt ?? known;
          }
        }
      } finally {
        await shell.close();
        leave();
      }
    });
  }
});

describe("what the pages must name", () => {
  test("every link between the pages leads somewhere", () => {
    const broken = pages.flatMap((page) =>
      [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, target = ""]) => target)
        .filter((target) => !/^[a-z]+:/.test(target) && !leads(page, target))
        .map((target) => `${page}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test("every command, and each of its options, is in docs/reference/commands.md", () => {
    const text = read("docs/reference/commands.md");
    const missing: string[] = [];
    for (const command of commandsOf([])) {
      for (const words of command === "lab"
        ? [["lab"], ...commandsOf(["lab"]).map((each) => ["lab", each])]
        : [[command]]) {
        const name = words.join(" ");
        const [, section] = text.split(new RegExp(`\n## \`runbook ${name}(?=[ \`])`));
        if (section === undefined) {
          missing.push(name);
          continue;
        }
        const own = section.split("\n## ")[0] ?? "";
        const options = [...help(words).matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(
          ([, option = ""]) => option,
        );
        missing.push(
          ...options
            .filter((option) => option !== "--help" && !own.includes(option))
            .map((option) => `${name} ${option}`),
        );
      }
    }
    expect(missing).toEqual([]);
  });

  test("every check and step of backup-standby is on its page", () => {
    const text = read("docs/reference/backup-standby.md");
    const keys = ["early", "late"].flatMap((service) =>
      layOut(backupStandby, { service }, ["server1", "server2"]).map((stage) => stage.key),
    );
    expect(keys.filter((key) => !text.includes(`\`${key}\``))).toEqual([]);
  });

  test("every key of an inventory is in docs/reference/inventory.md", () => {
    const text = read("docs/reference/inventory.md");
    expect(keysOf(inventorySchema(valibot)).filter((key) => !text.includes(`\`${key}\``))).toEqual([]);
  });

  test("every exit code is in docs/reference/exit-codes.md", () => {
    const text = read("docs/reference/exit-codes.md");
    expect(Object.values(exitCodes).filter((code) => !text.includes(`| ${code} `))).toEqual([]);
  });

  test("every fault and every hand of the lab is in docs/reference/lab.md", () => {
    const text = read("docs/reference/lab.md");
    expect([...faultActions, ...Object.keys(hands)].filter((word) => !text.includes(`\`${word}`))).toEqual(
      [],
    );
  });

  test("every dependency is accounted for in docs/decisions.md", () => {
    const text = read("docs/decisions.md");
    const own = JSON.parse(read("package.json")) as { [key in "dependencies" | "devDependencies"]: object };
    const names = Object.keys({ ...own.dependencies, ...own.devDependencies });
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });
});

/** What is typed here for what stands on the page; undefined for what belongs to the fresh clone alone. */
function asTyped(text: string): string | undefined {
  const typed = text.replace(/^npm ci && /, "");
  return /^npm /.test(typed) ? undefined : typed;
}

interface Said {
  readonly code: number;
  readonly lines: readonly string[];
}

/** A shell of a person with an empty home, in an empty folder, for whom `npx runbook` is this clone's. */
function openShell(): { type(text: string): Promise<Said>; close(): Promise<void> } {
  const home = mkdtempSync(join(tmpdir(), "runbook-docs-"));
  const programs = join(home, "bin");
  mkdirSync(programs);
  mkdirSync(join(home, "work"));
  const npx = `#!/bin/sh\n[ "$1" = runbook ] || { echo "npx $1: not here" >&2; exit 127; }\nshift\nexec '${process.execPath}' '${bin}' "$@"\n`;
  writeFileSync(join(programs, "npx"), npx);
  chmodSync(join(programs, "npx"), 0o755);
  const shell = spawn("bash", ["--norc", "--noprofile", "-s"], {
    cwd: join(home, "work"),
    env: { PATH: `${programs}:${process.env["PATH"] ?? ""}`, HOME: home, LANG: "C.UTF-8", TZ: "UTC" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const mark = `typed-${process.pid}-${Math.random().toString(36).slice(2)}`;
  let waiting: ((said: Said) => void) | undefined;
  let lines: string[] = [];
  let last = 0;
  createInterface({ input: shell.stdout }).on("line", (line) => {
    const at = line.indexOf(mark);
    if (at < 0) {
      lines.push(line);
      return;
    }
    if (at > 0) lines.push(line.slice(0, at));
    last = Number(line.slice(at + mark.length));
    waiting?.({ code: last, lines });
    lines = [];
  });
  shell.stdin.write("exec 2>&1\n");
  const type = (text: string) =>
    new Promise<Said>((resolve, reject) => {
      waiting = resolve;
      shell.once("exit", () => reject(new Error(`the shell ended in: ${text}`)));
      shell.stdin.write(`(exit ${last}); { ${text}\n} < /dev/null; printf '%s %s\\n' ${mark} $?\n`);
    });
  return {
    type,
    async close() {
      await type("npx runbook lab down");
      shell.removeAllListeners("exit");
      const ended = new Promise((resolve) => shell.once("exit", resolve));
      shell.stdin.end();
      await ended;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function help(words: readonly string[]): string {
  const typed = `$ ${["runbook", ...words, "--help"].join(" ")}\n`;
  const page = helpPages.find((each) => each.startsWith(typed));
  if (page === undefined) throw new Error(`no help page is kept for ${typed}`);
  return page;
}

function commandsOf(words: readonly string[]): readonly string[] {
  const [, list = ""] = help(words).split("\nCommands:\n");
  const names = [...list.matchAll(/^ {2}(\w[\w-]*)/gm)].map(([, name = ""]) => name);
  return names.filter((name) => name !== "help");
}

function keysOf(schema: Keys): readonly string[] {
  const inner = schema.type === "optional" ? (schema.wrapped ?? schema) : schema;
  const within = inner.value === undefined ? [] : keysOf(inner.value);
  return [
    ...within,
    ...Object.entries(inner.entries ?? {}).flatMap(([key, value]) => [key, ...keysOf(value)]),
  ];
}

function withoutCode(text: string): string {
  return text.replace(/^```[^]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
}

function leads(page: string, target: string): boolean {
  const [file = "", anchor] = target.split("#");
  const path = file === "" ? page : join(dirname(page), file);
  if (!existsSync(join(root, path))) return false;
  if (anchor === undefined || !path.endsWith(".md")) return true;
  const heads = [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, head = ""]) =>
    head
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
  return heads.includes(anchor);
}
