import { expect, test } from "vitest";
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
import { bench } from "../support/lab.ts";

test("a file goes up and comes back byte by byte, with its mode", async () => {
  const { lab, run } = bench();
  const bytes = new Uint8Array([0, 255, 10, 13, 200, 65]);
  await upload(lab.shell, "server1", "/root/f", bytes);
  expect(await download(lab.shell, "server1", "/root/f")).toEqual(Buffer.from(bytes));
  expect((await run("server1", "stat -c %a /root/f")).out).toBe("600\n");
  expect(await download(lab.shell, "server1", "/root/none")).toBeUndefined();
});

test("the boot id is the node's own", async () => {
  const { lab } = bench();
  expect(await bootId(lab.shell, "server1")).not.toBe(await bootId(lab.shell, "server2"));
});

test("a job outlives its connection, ends with its code, and is lost with its boot", async () => {
  const { lab, seconds, until } = bench();
  expect(await findJob(lab.shell, "server1", "j1")).toBeUndefined();
  await startJob(lab.shell, "server1", "j1", ["sh", "-c", "echo begin; sleep 60; echo end; exit 3"]);
  expect(await findJob(lab.shell, "server1", "j1")).toEqual({ state: "running" });
  await expect(startJob(lab.shell, "server1", "j1", ["true"])).rejects.toMatchObject({ kind: "conflict" });
  await seconds(61);
  expect(await findJob(lab.shell, "server1", "j1")).toEqual({
    state: "ended",
    code: 3,
    output: "begin\nend\n",
  });
  await startJob(lab.shell, "server1", "j2", ["sleep", "600"]);
  lab.rebootUnasked("server1");
  await until("down", () => !lab.node("server1").alive);
  await until("up", () => lab.node("server1").alive);
  expect(await findJob(lab.shell, "server1", "j2")).toEqual({ state: "lost" });
});

test("a fenced command runs only under its own marker", async () => {
  const { lab, sh } = bench();
  await sh("server1", `mkdir -p ${markerFolder} && echo r1.2 > ${markerFolder}/fence`);
  const out = await lab.shell.run("server1", fenced("r1.2", ["clpstat"]), { timeoutMs: 5000 });
  expect(out.code).toBe(0);
  const refused = await lab.shell.run("server1", fenced("r1.1", ["clpgrp", "-t", "failover1"]), {
    timeoutMs: 5000,
  });
  expect(refused.code).toBe(fencedOutCode);
  expect(text(refused.stderr)).toContain("not r1.1");
  expect(lab.heart.received.at(-1)).toMatchObject({
    class: "read",
    line: "clpgrp -t failover1",
    reply: "sent",
  });
});

test("what never left is unavailable, what was cut has no exit status", async () => {
  const { lab, run, seconds } = bench();
  await expect(run("nowhere", "true")).rejects.toMatchObject({ kind: "not-found", happened: "no" });
  const sleeping = run("server2", "sleep 600");
  await seconds(5);
  lab.killPower("server2");
  expect(await sleeping).toMatchObject({ code: undefined, signal: undefined });
  await expect(run("server2", "true")).rejects.toMatchObject({ kind: "unavailable", happened: "no" });
});

test("a cut path of the operator ends the session, and the command goes on", async () => {
  const { lab, run, sh, seconds } = bench();
  const job = sh("server1", "sleep 30; echo done > /root/done");
  await seconds(5);
  lab.cutOperator("server1");
  expect((await job).code).toBeUndefined();
  await expect(run("server1", "true")).rejects.toMatchObject({ kind: "unavailable" });
  await seconds(60);
  lab.mendOperator("server1");
  expect((await run("server1", "cat /root/done")).out).toBe("done\n");
});

test("a limit that is over, or a signal, leaves the outcome unknown", async () => {
  const { lab, sh, seconds } = bench();
  await expect(lab.shell.run("server1", ["sleep", "60"], { timeoutMs: 1000 })).rejects.toMatchObject({
    kind: "timeout",
    happened: "maybe",
  });
  const stop = new AbortController();
  const run = lab.shell.run("server1", ["sh", "-c", "sleep 5; echo a > /root/a"], {
    timeoutMs: 60_000,
    signal: stop.signal,
  });
  stop.abort();
  await expect(run).rejects.toMatchObject({ kind: "aborted", happened: "maybe" });
  await seconds(10);
  expect((await sh("server1", "cat /root/a")).out).toBe("a\n");
});

test("a command that a signal ends says so", async () => {
  const { lab, run, seconds } = bench();
  const sleeping = run("server1", "sleep 600");
  await seconds(1);
  const pid = [...lab.node("server1").processes.keys()][0];
  await run("server1", `kill ${pid}`);
  expect(await sleeping).toMatchObject({ code: undefined, signal: "TERM" });
});

test("a command line of the wire and an argv are the same command", async () => {
  const { lab } = bench();
  const chunks: string[] = [];
  const io = { stdout: (chunk: Uint8Array) => chunks.push(text(chunk)), stderr: () => undefined };
  expect(await lab.node("server1").exec("env LC_ALL=C printf '%s|' 'a b' \"c\"", io)).toEqual({ code: 0 });
  expect(await lab.node("server1").exec("echo $((1+1)) | cat", { ...io, stdin: "unused" })).toEqual({
    code: 0,
  });
  expect(chunks.join("")).toBe("a b|c|2\n");
  expect(lab.heart.received[0]).toMatchObject({
    argv: ["env", "LC_ALL=C", "printf", "%s|", "a b", "c"],
    line: "printf %s| a b c",
  });
});

test.each([
  ["fail-before", { code: 1 }, false, "sent"],
  ["fail-after", { code: 1 }, true, "sent"],
  ["lose-before", { code: undefined, out: "" }, false, "lost"],
  ["lose-after", { code: undefined, out: "" }, true, "lost"],
  ["half-output", { code: undefined, out: "Command s" }, true, "cut"],
  ["nonsense", { code: 0 }, false, "sent"],
] as const)("the fault %s does what its name says", async (action, said, done, reply) => {
  const { lab, run } = bench();
  lab.heart.addFault({ match: "clpgrp -t failover1", action });
  expect(await run("server1", "env LC_ALL=C clpgrp -t failover1")).toMatchObject(said);
  expect(lab.cluster().nodeOf("failover1")).toBe(done ? undefined : "server1");
  expect(lab.heart.received[0]?.reply).toBe(reply);
});

test.each(["hang", "hang-after"] as const)("the fault %s never answers", async (action) => {
  const { lab } = bench();
  lab.heart.addFault({ match: "clpgrp -t", action, node: "server1" });
  await expect(
    lab.shell.run("server1", ["clpgrp", "-t", "failover1"], { timeoutMs: 120_000 }),
  ).rejects.toMatchObject({ kind: "timeout" });
  expect(lab.cluster().nodeOf("failover1")).toBe(action === "hang" ? "server1" : undefined);
});
