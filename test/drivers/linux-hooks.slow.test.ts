/** How hooks are run and kept on a node: under this machine's own sh, and under the lab's, which must tell the same. */
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { openLinux } from "../../src/drivers/linux/driver.ts";
import { findHookScript, neverRun, parseHook, runHookScript } from "../../src/drivers/linux/hook.ts";
import { Failure } from "../../src/errors.ts";
import { buildLab } from "../../src/lab/build.ts";
import { VirtualClock } from "../../src/lab/clock.ts";
import { hooksFolder, type HookEnd } from "../../src/ports/nodes.ts";
import { leaveOut } from "../support/sshd.ts";

interface Hook {
  readonly name?: string;
  readonly user?: string;
  readonly seconds?: number;
  readonly argv: readonly string[];
}

/** What the contract of `runHook` and `findHook` says, whoever answers. */
function suite(
  open: () => Promise<{
    run(hook: Hook): Promise<void>;
    find(name?: string): Promise<HookEnd | undefined>;
    read(path: string): string;
    readonly scratch: string;
    close(): void;
  }>,
) {
  let it: Awaited<ReturnType<typeof open>>;
  beforeEach(async () => void (it = await open()));
  afterEach(() => it.close());

  test("nothing is known of a hook that was never begun", async () => {
    expect(await it.find()).toBeUndefined();
  });

  test("its exit status and the last that it printed are kept, output and errors as they came", async () => {
    await it.run({ argv: ["sh", "-c", "echo one; echo two >&2; exit 3"] });
    expect(await it.find()).toEqual({ how: "ended", code: 3, said: ["one", "two"] });
    await it.run({ name: "quiet", argv: ["true"] });
    expect(await it.find("quiet")).toEqual({ how: "ended", code: 0, said: [] });
  });

  test("its words arrive as they are", async () => {
    await it.run({
      argv: ["sh", "-c", 'for word in "$@"; do echo "<$word>"; done', "x", "a b", "$HOME", "it's", "*"],
    });
    expect((await it.find())?.said).toEqual(["<a b>", "<$HOME>", "<it's>", "<*>"]);
  });

  test("begun once, it is not begun again: later calls wait for its end", async () => {
    const argv = ["sh", "-c", `echo x >> ${it.scratch}/count; sleep 2; echo done`];
    await Promise.all([it.run({ argv }), it.run({ argv }), it.run({ argv })]);
    expect(await it.find()).toEqual({ how: "ended", code: 0, said: ["done"] });
    await it.run({ argv });
    expect(it.read(`${it.scratch}/count`)).toBe("x\n");
  });

  test("one that takes too long is ended, and that is no exit status", async () => {
    await it.run({ seconds: 1, argv: ["sh", "-c", `sleep 3; echo late > ${it.scratch}/late`] });
    expect(await it.find()).toMatchObject({ how: "over", code: undefined });
    await it.run({ name: "wait", argv: ["sleep", "3"] });
    expect(() => it.read(`${it.scratch}/late`)).toThrow();
  });

  test("one for a user that is not there says so", async () => {
    await it.run({ user: "nosuchuser", argv: ["true"] });
    expect(await it.find()).toEqual({
      how: "unable",
      code: undefined,
      said: ["there is no user nosuchuser there"],
    });
  });
}

describe("in the lab", () => {
  suite(async () => {
    const clock = new VirtualClock();
    const lab = buildLab({ clock });
    const linux = openLinux({ shell: lab.shell, clock });
    const node = "server1";
    return {
      scratch: "/var/log",
      run: async ({ name = "h", user = "root", seconds = 20, argv }) => {
        const request = linux.requests.runHook({
          node,
          run: "r1",
          name,
          user,
          seconds,
          env: { A: "1" },
          argv,
        });
        await linux.send(request, { fence: undefined, limitMs: 60_000 });
      },
      find: (name = "h") => linux.reads.findHook({ node, run: "r1", name }),
      read: (path) => lab.node(node).files.read(path),
      close: () => {
        lab.close();
        clock.drive = false;
      },
    };
  });

  test("a boot empties what was kept, so that it can be begun again", async () => {
    const clock = new VirtualClock();
    const lab = buildLab({ clock });
    const linux = openLinux({ shell: lab.shell, clock });
    const hook = { node: "server1", run: "r1", name: "h" };
    const request = linux.requests.runHook({ ...hook, user: "root", seconds: 9, env: {}, argv: ["true"] });
    await linux.send(request, { fence: undefined, limitMs: 60_000 });
    expect(await linux.reads.findHook(hook)).toBeDefined();
    lab.rebootUnasked("server1");
    await clock.sleep(600_000);
    expect(await linux.reads.findHook(hook)).toBeUndefined();
    lab.close();
    clock.drive = false;
  });
});

let base = "";
const sh = (script: string, args: readonly string[]) =>
  new Promise<{ code: number; out: Buffer }>((resolve) =>
    execFile("sh", ["-c", script, "test", ...args], { encoding: "buffer" }, (error, out) =>
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, out }),
    ),
  );
const argsOf = ({ name = "h", user = "root", seconds = 20, argv }: Hook, run = "r1") => [
  `${base}/hooks`,
  run,
  name,
  user,
  String(seconds),
  ...argv,
];
const real = {
  run: async (hook: Hook) => {
    expect((await sh(runHookScript, argsOf(hook))).code).toBe(0);
  },
  find: async (name = "h") => {
    const { code, out } = await sh(findHookScript, [`${base}/hooks`, "r1", name]);
    return code === neverRun ? undefined : parseHook(out, "here");
  },
};
const make = () => (base = mkdtempSync(join(tmpdir(), "hooks-")));
const clear = () => rmSync(base, { recursive: true, force: true });
const waitFor = async (holds: () => boolean) => {
  for (let i = 0; i < 200 && !holds(); i += 1) await sleep(50);
  expect(holds()).toBe(true);
};
const isAlive = (pid: number) => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    // No such process: it is gone.
    return false;
  }
};

describe("under this machine's sh", () => {
  suite(async () => {
    make();
    return { ...real, scratch: base, read: (path) => readFileSync(path, "utf8"), close: clear };
  });
});

describe("under this machine's sh, beyond what the lab can show", () => {
  beforeEach(() => void make());
  afterEach(clear);

  test("when its time is over, whatever it started is ended with it, also what does not heed that", async () => {
    const deaf = "trap '' TERM; echo $$ > pid2; while :; do sleep 1; done";
    writeFileSync(join(base, "deaf.sh"), deaf);
    await real.run({
      seconds: 1,
      argv: ["sh", "-c", `cd ${base}; echo begun; echo $$ > pid1; sh deaf.sh & sleep 60`],
    });
    expect(await real.find()).toEqual({ how: "over", code: undefined, said: ["begun"] });
    const pids = ["pid1", "pid2"].map((name) => Number(readFileSync(join(base, name), "utf8")));
    await waitFor(() => !pids.some(isAlive));
  });

  test("it outlives the connection that began it, and who asks again waits for its end", async () => {
    const argv = ["sh", "-c", `echo x >> ${base}/count; sleep 2; echo done`];
    const session = spawn("sh", ["-c", runHookScript, "test", ...argsOf({ argv })], {
      detached: true,
      stdio: "ignore",
    });
    await waitFor(() => existsSync(join(base, "count")));
    // What a dying session of sshd does to its own, and worse.
    process.kill(-(session.pid ?? 0), "SIGKILL");
    await real.run({ argv });
    expect(await real.find()).toEqual({ how: "ended", code: 0, said: ["done"] });
    expect(readFileSync(join(base, "count"), "utf8")).toBe("x\n");
  });

  test("what was killed under it is not waited for without end, and its end counts as never seen", async () => {
    const argv = ["sleep", "60"];
    const waiting = real.run({ argv });
    await waitFor(() => existsSync(join(base, "hooks/r1/h/pid")));
    const keeper = Number(readFileSync(join(base, "hooks/r1/h/pid"), "utf8"));
    process.kill(-keeper, "SIGKILL");
    await waiting;
    expect(await real.find()).toMatchObject({ how: "unable", said: [expect.stringContaining("never seen")] });
    await sh(
      'for p in /proc/[0-9]*; do case "$(tr "\\0" " " < $p/cmdline)" in *"$1"*) kill -9 ${p#/proc/} ;; esac; done',
      [`${base}/hooks/r1/h sleep 60`],
    );
  });

  test("what is printed without end fills nothing, and its last lines are kept, harmless and short", async () => {
    await real.run({
      argv: [
        "sh",
        "-c",
        `head -c 30000000 /dev/zero | tr "\\0" "a"; echo; printf 'red \\033[31m\\r\\n'; seq 1 12`,
      ],
    });
    const end = await real.find();
    expect(end?.said).toEqual(["3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]);
    expect(statSync(join(base, "hooks/r1/h/out")).size).toBeLessThanOrEqual(16 * 1024);
    await real.run({ name: "esc", argv: ["printf", "a\\033[31mb\\n%s\\n", "x".repeat(300)] });
    expect((await real.find("esc"))?.said).toEqual(["a [31mb", `${"x".repeat(200)}…`]);
  });

  test("what it leaves running ends nothing, once it has let go of its output", async () => {
    await real.run({ argv: ["sh", "-c", `sleep 30 > /dev/null 2>&1 & echo $! > ${base}/left; echo fine`] });
    expect(await real.find()).toEqual({ how: "ended", code: 0, said: ["fine"] });
    const left = Number(readFileSync(join(base, "left"), "utf8"));
    expect(isAlive(left)).toBe(true);
    process.kill(left);
  });

  test("what earlier runs left is taken away by the next run's first hook, and nothing of the same run", async () => {
    await sh(runHookScript, argsOf({ argv: ["true"] }, "old"));
    await real.run({ argv: ["true"] });
    await real.run({ name: "second", argv: ["true"] });
    expect(existsSync(join(base, "hooks/old"))).toBe(false);
    expect(await real.find("h")).toBeDefined();
  });

  // To become somebody else takes the rights of root.
  test.skipIf(leaveOut(process.getuid?.() === 0 ? undefined : "only root can become somebody else"))(
    "it runs as its user, with that user's groups and home, and reaches nothing that is kept of it",
    async () => {
      await real.run({
        user: "nobody",
        argv: ["sh", "-c", `id -un; pwd; echo "$USER"; umask; ls ${base}/hooks/r1 2>&1 | grep -c denied`],
      });
      expect(await real.find()).toEqual({
        how: "ended",
        code: 0,
        said: ["nobody", "/", "nobody", "0022", "1"],
      });
    },
  );
});

test("words that cannot be understood are no end of anything", () => {
  expect(() => parseHook(Buffer.from("12x\n"), "n")).toThrow(Failure);
  expect(() => parseHook(Buffer.from(""), "n")).toThrow(Failure);
});

test("what becomes part of a path is held to harmless letters", () => {
  const linux = openLinux({ shell: undefined as never, clock: undefined as never });
  const hook = { node: "n", run: "r1", user: "root", seconds: 1, env: {}, argv: ["true"] };
  expect(() => linux.requests.runHook({ ...hook, name: "../x" })).toThrow(/is no name/);
  expect(() => linux.requests.runHook({ ...hook, name: "x", run: "a/b" })).toThrow(/is no name/);
  const { argv } = linux.requests.runHook({
    ...hook,
    name: "x.\u27e8its try\u27e9",
    run: "\u27e8this run\u27e9",
  }) as {
    argv: readonly string[];
  };
  expect(argv.slice(4, 7)).toEqual([hooksFolder, "\u27e8this run\u27e9", "x.\u27e8its try\u27e9"]);
});
