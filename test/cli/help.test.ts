/** What the command line says of itself, and that saying it costs nothing: no SDK, no SSH, no parser is loaded for it. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, expect, onTestFinished, test } from "vitest";

import { golden } from "../support/golden.ts";

// Nothing that an earlier run kept may stand in for what is to be loaded.
const home = mkdtempSync(join(tmpdir(), "runbook-help-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const product = fileURLToPath(new URL("../../bin/runbook.js", import.meta.url));

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function say(args: readonly string[], node: readonly string[] = []): Promise<Said> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env["PATH"], HOME: home, RUNBOOK_HOME: join(home, "nowhere") };
    execFile(process.execPath, [...node, product, ...args], { env }, (error, out, err) => {
      if (error !== null && typeof error.code !== "number")
        reject(new Error("node did not run to its end", { cause: error }));
      else resolve({ code: Number(error?.code ?? 0), out, err });
    });
  });
}

/** Commands as a help page lists them. */
function commandsIn(help: string): readonly string[] {
  const list = help.split("\nCommands:\n")[1]?.split("\n\n")[0] ?? "";
  return [...list.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map((match) => match[1] ?? "");
}

/** Every file that node loaded to do this: ES modules by a hook of its loader, CommonJS by its own cache. */
async function filesLoadedBy(args: readonly string[]): Promise<{ said: Said; files: readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), "runbook-loads-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const list = join(folder, "files");
  writeFileSync(list, "");
  const hooks = join(folder, "hooks.mjs");
  writeFileSync(
    hooks,
    `import { appendFileSync } from "node:fs";
     export async function load(url, context, next) {
       appendFileSync(${JSON.stringify(list)}, url + "\\n");
       return next(url, context);
     }`,
  );
  const register = join(folder, "register.mjs");
  writeFileSync(
    register,
    `import { register, createRequire } from "node:module";
     import { appendFileSync } from "node:fs";
     register(${JSON.stringify(pathToFileURL(hooks).href)});
     process.on("exit", () => {
       const { cache } = createRequire(import.meta.url);
       appendFileSync(${JSON.stringify(list)}, Object.keys(cache).join("\\n"));
     });`,
  );
  const said = await say(args, ["--import", pathToFileURL(register).href]);
  return { said, files: readFileSync(list, "utf8").split("\n").filter(Boolean) };
}

test("every command says what it does, what it takes and what its exit codes mean", async () => {
  const whole = await say(["--help"]);
  expect(whole.code).toBe(0);
  const own = commandsIn(whole.out).filter((name) => name !== "help");
  expect(own.length).toBeGreaterThan(10);
  const pages = await Promise.all(own.map(async (name) => [name, await say([name, "--help"])] as const));
  const lab = commandsIn(pages.find(([name]) => name === "lab")?.[1].out ?? "").filter((n) => n !== "help");
  expect(lab).toContain("fault");
  const inLab = await Promise.all(
    lab.map(async (name) => [`lab ${name}`, await say(["lab", name, "--help"])] as const),
  );
  const all = [["", whole] as const, ...pages, ...inLab];
  for (const [name, { code, out, err }] of all) {
    expect({ name, code, err }).toEqual({ name, code: 0, err: "" });
    expect(out, name).toContain("Exit codes: 0 done");
  }
  golden(
    "help.txt",
    all.map(([name, { out }]) => `$ runbook ${name === "" ? "" : `${name} `}--help\n${out}`).join("\n"),
  );
});

test("`runbook help NAME` is the same page, also for the lab", async () => {
  for (const name of ["plan", "lab"]) {
    const [one, other] = await Promise.all([say(["help", name]), say([name, "--help"])]);
    expect(one).toEqual(other);
  }
});

test("without a command the help goes to standard error, and it is wrong usage", async () => {
  const [nothing, help] = await Promise.all([say([]), say(["--help"])]);
  expect(nothing).toEqual({ code: 2, out: "", err: help.out });
});

test("the version is the product's", async () => {
  const { version } = JSON.parse(readFileSync(join(product, "../../package.json"), "utf8")) as {
    version: string;
  };
  expect(await say(["--version"])).toEqual({ code: 0, out: `${version}\n`, err: "" });
});

test("what a command needs is loaded when it is called, and the trace sees it", async () => {
  const { files } = await filesLoadedBy(["graph", "backup-standby"]);
  expect(files.some((file) => file.includes("/node_modules/xstate/"))).toBe(true);
  // The product's own runbooks were translated when it was built.
  expect(files.some((file) => file.includes("/node_modules/jiti/"))).toBe(false);
  expect(files.some((file) => file.includes("/node_modules/@aws-sdk/"))).toBe(false);
});

test("--help loads the command line alone: no SDK, SSH, parser, engine, store or lab", async () => {
  for (const args of [["--help"], ["run", "--help"], ["--version"]]) {
    const { said, files } = await filesLoadedBy(args);
    expect(said.code).toBe(0);
    expect(files.some((file) => file.endsWith("/dist/src/cli/main.js"))).toBe(true);
    const packages = files.flatMap((file) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
    expect([...new Set(packages)].filter((name) => name !== "commander" && name !== "chalk")).toEqual([]);
    const ours = files.flatMap((file) => /\/dist\/src\/(.+)$/.exec(file)?.[1] ?? []);
    expect(ours.filter((file) => !/^(cli\/(main|exit|product|secrets)|errors)\.js$/.test(file))).toEqual([]);
  }
});
