/**
 * What every Shell keeps. The commands stay within what a small POSIX sh knows, so that the lab's own Shell can be
 * held to the same; checks that need a real operating system are played where `real` is true. Waiting is done by
 * the node's `sleep` or by the opener's clock, so that the suite plays on a virtual clock too.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Clock } from "../../src/ports/clock.ts";
import {
  bootId,
  download,
  fenced,
  fencedOutCode,
  findJob,
  markerFolder,
  startJob,
  text,
  upload,
} from "../../src/ports/shell.ts";
import type { Job, RunOptions, Shell } from "../../src/ports/shell.ts";

export interface ShellUnderTest {
  readonly shell: Shell;
  readonly node: string;
  readonly otherNode: string;
  /** A node that is known and does not answer. */
  readonly deadNode: string;
  /** The clock that the shell was given. */
  readonly clock: Clock;
  /** Whether a real operating system answers. */
  readonly real: boolean;
  /** Whether the user may write below /var/lib. */
  readonly privileged: boolean;
  /** Kills the server side of the node's connection in mid-command; the node answers again afterwards. */
  cut(): Promise<void>;
  close(): Promise<void>;
}

const awkwardWords = [
  "plain",
  "",
  " ",
  "two words",
  "it's",
  '"double"',
  "''",
  "$HOME $(echo no) `echo no` ${x}",
  "a\nb\n",
  "\t tab \r",
  "back\\slash \\n \\",
  "-n",
  "--",
  "*",
  "/*",
  "~",
  "!history !!",
  "a;b|c&d>e<f#g",
  "A=b",
  "日本語 ñ 🗻",
  "x".repeat(20_000),
];

export function shellSuite(
  name: string,
  open: () => Promise<ShellUnderTest>,
  /** The lab has no device of endless zeros: what needs one is played against real servers only. */
  { real = true }: { readonly real?: boolean } = {},
): void {
  describe(`${name} is a Shell`, () => {
    let it: ShellUnderTest;
    const scratch = `/tmp/runbook shell's suite ${process.pid}`;
    beforeAll(async () => {
      it = await open();
      await must(["rm", "-rf", scratch]);
      await must(["mkdir", "-p", scratch]);
    });
    afterAll(async () => {
      // `it` is missing where the opener failed, which vitest has reported by then.
      if ((it as ShellUnderTest | undefined) === undefined) return;
      await must(["rm", "-rf", scratch]);
      await it.close();
    });

    const run = (argv: readonly string[], options: Partial<RunOptions> = {}, node = it.node) =>
      it.shell.run(node, argv, { timeoutMs: 30_000, ...options });
    const must = async (argv: readonly string[], options: Partial<RunOptions> = {}) => {
      const out = await run(argv, options);
      expect({ code: out.code, stderr: text(out.stderr) }).toEqual({ code: 0, stderr: "" });
      return text(out.stdout);
    };

    test("every argument arrives as it was given", async () => {
      expect(await must(["printf", "<%s>", ...awkwardWords])).toBe(
        awkwardWords.map((w) => `<${w}>`).join(""),
      );
    });

    test("a script's arguments arrive as they were given", async () => {
      expect(await must(["sh", "-c", 'printf "<%s>" "$@"', "name", ...awkwardWords])).toBe(
        awkwardWords.map((word) => `<${word}>`).join(""),
      );
    });

    test("nothing is added to the command: no pipe, glob or variable is interpreted", async () => {
      expect(await must(["echo", "$HOME", "|", "cat", ">", "/tmp/*", "&&", "exit"])).toBe(
        "$HOME | cat > /tmp/* && exit\n",
      );
    });

    test("an argument with a NUL is refused, and nothing runs", async () => {
      await expect(run(["echo", "a\0b"])).rejects.toMatchObject({ kind: "invalid", happened: "no" });
    });

    test("standard input arrives whole, to the byte", async () => {
      const sent = Uint8Array.from({ length: 1024 * 1024 }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
      const out = await run(["cat"], { stdin: sent });
      expect(out.code).toBe(0);
      expect(Buffer.compare(out.stdout, sent)).toBe(0);
    });

    test("standard input as text arrives as UTF-8", async () => {
      expect(await must(["cat"], { stdin: "日本語\n" })).toBe("日本語\n");
    });

    test("without standard input a command reads its end at once", async () => {
      expect(await must(["cat"])).toBe("");
    });

    test("a command that does not read its standard input ends all the same", async () => {
      expect((await run(["true"], { stdin: new Uint8Array(300_000) })).code).toBe(0);
    });

    test("stdout and stderr come back apart", async () => {
      const out = await run(["sh", "-c", "echo out; echo err >&2; echo more"]);
      expect(out).toMatchObject({ code: 0, signal: undefined });
      expect(text(out.stdout)).toBe("out\nmore\n");
      expect(text(out.stderr)).toBe("err\n");
    });

    test("an exit status is an answer, never a rejection", async () => {
      expect((await run(["true"])).code).toBe(0);
      expect((await run(["false"])).code).toBe(1);
      expect((await run(["sh", "-c", "exit 7"])).code).toBe(7);
      expect((await run(["sh", "-c", "exit 255"])).code).toBe(255);
    });

    test("a command that is not there does not end with 0", async () => {
      const out = await run(["no-such-command-here"]);
      expect(out.code).toBeGreaterThan(0);
      expect(text(out.stderr)).not.toBe("");
    });

    test("the signal that ended a command is named", async () => {
      const out = await run(["sh", "-c", "echo before; kill -TERM $$; sleep 5"]);
      // A login shell that waits for the command itself tells of the signal by an exit status of 128 and more.
      expect(out.signal ?? out.code).toBe(out.signal === undefined ? 128 + 15 : "TERM");
      expect(text(out.stdout)).toBe("before\n");
    });

    test("a command over its time is a time-out, and may have happened", async () => {
      await expect(run(["sleep", "8"], { timeoutMs: 500 })).rejects.toMatchObject({
        name: "Failure",
        kind: "timeout",
        happened: "maybe",
      });
      expect(await must(["echo", "still here"])).toBe("still here\n");
    });

    test("a command that its caller gives up is aborted, and may have happened", async () => {
      const caller = new AbortController();
      const running = run(["sleep", "8"], { signal: caller.signal });
      const expectation = expect(running).rejects.toMatchObject({ kind: "aborted", happened: "maybe" });
      await it.clock.sleep(500);
      caller.abort();
      await expectation;
    });

    test("a caller that has given up already has nothing sent", async () => {
      const file = `${scratch}/given up`;
      const running = run(["mkdir", file], { signal: AbortSignal.abort() });
      await expect(running).rejects.toMatchObject({ kind: "aborted" });
      expect((await run(["test", "-e", file])).code).toBe(1);
    });

    test("a node that does not answer is unavailable, and nothing happened", async () => {
      await expect(run(["true"], {}, it.deadNode)).rejects.toMatchObject({
        name: "Failure",
        kind: "unavailable",
        happened: "no",
      });
    });

    test("a node that the shell does not know is not found", async () => {
      for (const unknown of ["no-such-node", "constructor", ""])
        await expect(run(["true"], {}, unknown)).rejects.toMatchObject({ kind: "not-found", happened: "no" });
    });

    test("many commands run at once on one node, and none gets another's answer", async () => {
      const numbers = Array.from({ length: 24 }, (_, i) => String(i));
      const script = 'cat; sleep 0.2; echo "$1"; exit "$1"';
      const outs = await Promise.all(
        numbers.map((n) => run(["sh", "-c", script, "name", n], { stdin: `in ${n} ` })),
      );
      expect(outs.map((out) => [out.code, text(out.stdout)])).toEqual(
        numbers.map((n) => [Number(n), `in ${n} ${n}\n`]),
      );
    });

    test("commands run on several nodes at once", async () => {
      const outs = await Promise.all([it.node, it.otherNode].map((node) => run(["echo", node], {}, node)));
      expect(outs.map((out) => text(out.stdout))).toEqual([`${it.node}\n`, `${it.otherNode}\n`]);
    });

    test("a cut command has no exit status, and keeps the output that came", async () => {
      const running = run(["sh", "-c", "echo begun; sleep 5; echo ended"]);
      await it.clock.sleep(700);
      await it.cut();
      const out = await running;
      expect(out).toMatchObject({ code: undefined, signal: undefined });
      expect(text(out.stdout)).toBe("begun\n");
    });

    test("after a cut the node can be asked again, and the other node never noticed", async () => {
      const other = run(["sh", "-c", "sleep 1; echo calm"], {}, it.otherNode);
      const running = run(["sleep", "5"]);
      await it.clock.sleep(500);
      await it.cut();
      expect((await running).code).toBeUndefined();
      expect(await must(["echo", "again"])).toBe("again\n");
      expect(text((await other).stdout)).toBe("calm\n");
    });

    test("a file is uploaded and downloaded to the byte, and replaced as a whole", async () => {
      const path = `${scratch}/a file`;
      const content = Uint8Array.from({ length: 70_000 }, (_, i) => i & 0xff);
      await upload(it.shell, it.node, path, content);
      expect(Buffer.compare((await download(it.shell, it.node, path)) ?? new Uint8Array(), content)).toBe(0);
      await upload(it.shell, it.node, path, "short");
      expect(text((await download(it.shell, it.node, path)) ?? new Uint8Array())).toBe("short");
      expect((await run(["test", "-e", `${path}.new`])).code).toBe(1);
      await upload(it.shell, it.node, path, "");
      expect(await download(it.shell, it.node, path)).toHaveLength(0);
    });

    test("a file that is not there downloads as nothing", async () => {
      expect(await download(it.shell, it.node, `${scratch}/not there`)).toBeUndefined();
    });

    test("a file that cannot be written is a failure that says why", async () => {
      await expect(upload(it.shell, it.node, `${scratch}/no/such/folder`, "x")).rejects.toMatchObject({
        kind: "conflict",
        happened: "said",
      });
    });

    test("the boot id stays as long as the node is not booted", async () => {
      const first = await bootId(it.shell, it.node);
      expect(first).toMatch(/^[0-9a-f-]{36}$/);
      expect(await bootId(it.shell, it.node)).toBe(first);
    });

    if (real) {
      test("a large output arrives whole", async () => {
        const out = await run(["head", "-c", "4000000", "/dev/zero"]);
        expect(out.stdout).toHaveLength(4_000_000);
      });

      test("an output past the limit is refused by a message that names the limit", async () => {
        await expect(run(["head", "-c", "20000000", "/dev/zero"])).rejects.toMatchObject({
          kind: "invalid",
          message: expect.stringContaining("8 MiB") as string,
        });
        expect(await must(["echo", "still here"])).toBe("still here\n");
      });
    }

    describe("with the folder of runbook on the node", () => {
      /** Left alone where anything is there already: a real run may hold this machine. */
      const owned = async (folder: string) => (await run(["test", "-e", folder])).code !== 0;

      test("the fence lets a command through only for the run that the marker names", async (context) => {
        if (!it.privileged) return context.skip("only root may write the marker");
        if (!(await owned(markerFolder))) return context.skip(`${markerFolder} is there already`);
        const trace = `${scratch}/fenced`;
        const touch = fenced("run-a.3", [
          "sh",
          "-c",
          'echo ran > "$1"; echo "$2"; exit 5',
          "name",
          trace,
          "it's",
        ]);
        const refused = async () => {
          const out = await run(touch);
          expect(out.code).toBe(fencedOutCode);
          expect(text(out.stderr)).toContain("run-a.3");
          expect((await run(["test", "-e", trace])).code).toBe(1);
        };
        try {
          await refused();
          await must(["mkdir", "-p", markerFolder]);
          await refused();
          for (const other of ["run-a.2", "run-a.33", "run-b.3", ""]) {
            await upload(it.shell, it.node, `${markerFolder}/fence`, `${other}\n`);
            await refused();
          }
          await upload(it.shell, it.node, `${markerFolder}/fence`, "run-a.3\n");
          const out = await run(touch);
          expect([out.code, text(out.stdout)]).toEqual([5, "it's\n"]);
          expect((await run(["test", "-e", trace])).code).toBe(0);
        } finally {
          await must(["rm", "-rf", markerFolder]);
        }
      });

      const jobName = `shell-suite-${process.pid}`;
      const forgetJob = () => must(["rm", "-rf", `/var/lib/runbook/jobs/${jobName}`]);
      const jobEnds = async (): Promise<Job | undefined> => {
        for (;;) {
          const job = await findJob(it.shell, it.node, jobName);
          if (job?.state !== "running") return job;
          await must(["sleep", "0.3"]);
        }
      };

      test("a job runs on without the connection, and tells its end and output when asked", async (context) => {
        if (!it.privileged) return context.skip("only root may write the job's folder");
        await forgetJob();
        try {
          expect(await findJob(it.shell, it.node, jobName)).toBeUndefined();
          await startJob(it.shell, it.node, jobName, [
            "sh",
            "-c",
            'sleep 2; echo "$1"; exit 3',
            "name",
            "it's",
          ]);
          expect(await findJob(it.shell, it.node, jobName)).toEqual({ state: "running" });
          await it.cut();
          expect(await jobEnds()).toEqual({ state: "ended", code: 3, output: "it's\n" });
        } finally {
          await forgetJob();
        }
      });

      test("a job of the same name is not started twice", async (context) => {
        if (!it.privileged) return context.skip("only root may write the job's folder");
        await forgetJob();
        try {
          await startJob(it.shell, it.node, jobName, ["true"]);
          await expect(startJob(it.shell, it.node, jobName, ["true"])).rejects.toMatchObject({
            kind: "conflict",
          });
          expect(await jobEnds()).toEqual({ state: "ended", code: 0, output: "" });
        } finally {
          await forgetJob();
        }
      });

      test("a job that was killed is lost, and not taken for ended", async (context) => {
        if (!it.privileged) return context.skip("only root may write the job's folder");
        await forgetJob();
        try {
          await startJob(it.shell, it.node, jobName, ["sleep", "3"]);
          const pid = (await must(["cat", `/var/lib/runbook/jobs/${jobName}/pid`])).trim();
          await must(["sh", "-c", 'kill -KILL "$1"', "name", pid]);
          // A killed process is there until its parent has taken note of its end.
          expect(await jobEnds()).toEqual({ state: "lost" });
        } finally {
          await forgetJob();
        }
      });
    });
  });
}
