/** Approvals by the built command line: signed with real keys, counted, and refused in every way in which they do not count. */
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { openStage, type Played, type Stage } from "./play.ts";

const short = `
import { minutes, roles, runbook, step } from "runbook";
const at = { monitor: "mdw1", node: "server1", via: "server1" };
const suspended = async (world) =>
  (await world.cluster.getState("server1")).monitors["mdw1"]?.["server1"] === "suspended";
const resume = step({
  title: "Resume the monitor",
  done: async (world) => ((await suspended(world)) ? undefined : { monitor: "mdw1" }),
  do: (world) => world.cluster.resumeMonitor(at),
  within: minutes(5),
});
const suspend = step({
  title: "Suspend the monitor",
  done: async (world) => ((await suspended(world)) ? { monitor: "mdw1" } : undefined),
  do: (world) => world.cluster.suspendMonitor(at),
  within: minutes(5),
  exposes: "redundancy",
  undo: () => resume,
});
export default runbook({
  title: "Suspend a monitor for a moment",
  params: {},
  steps: () => ({ roles, suspend, resume: { ...resume, ends: suspend } }),
});
`;

let stage: Stage;
const env = { AWS_ACCESS_KEY_ID: "LABACCESSKEY", AWS_SECRET_ACCESS_KEY: "lab" };
const play = (...argv: string[]): Promise<Played> => stage.play(argv, { env });
const file = (name: string) => join(stage.cwd, name);

beforeEach(async () => {
  stage = await openStage({ pace: 1 });
  stage.put("runbooks/short.ts", short);
});
afterEach(() => stage.end());

/** An inventory that asks for approvals, and keys of these people, all but the last known. */
function people(approvals: string, ...names: string[]): void {
  stage.inventory((text) => text.replace("    nodes:", `    approvals: ${approvals}\n    nodes:`));
  const known = names.map((name) => {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file(name)]);
    return `${name} ${readFileSync(file(`${name}.pub`), "utf8").trim()}`;
  });
  stage.put("signers", `${known.slice(0, -1).join("\n")}\n`);
}

const approve = (name: string, ...more: string[]) =>
  play("approve", "plan.json", "--key", file(name), "--as", name, "--why", `${name} has read it`, ...more);

async function refusal(): Promise<string> {
  const before = stage.touched().length;
  const { code, err } = await play("run", "plan.json", "--yes");
  expect({ code, sent: stage.touched().length - before }, err).toEqual({ code: 4, sent: 0 });
  return err;
}

test("a run begins with as many approvals as are wanted, and keeps who gave them, why, and their signatures", async () => {
  people("{ need: 2, signers: ./signers }", "ann", "ben@example.com", "eve");
  expect(await play("run", "short")).toMatchObject({
    code: 4,
    err: expect.stringContaining(
      "short on prod needs the approvals of 2 people, and only a plan file",
    ) as string,
  });
  expect(await play("plan", "short", "--out", "plan.json")).toMatchObject({ code: 0 });
  expect(await refusal()).toContain(
    "needs the approvals of 2 people, and has 0: none was found beside the plan",
  );
  expect(await approve("ann")).toMatchObject({
    code: 0,
    out: expect.stringMatching(
      /^plan\.json\.ann\.approval: ann approves short on prod, plan \w{12}…, until /,
    ) as string,
  });
  expect(await refusal()).toContain("has 1: none was found");
  // The same person twice, or the same key under another name, is one person.
  copyFileSync(file("plan.json.ann.approval"), file("plan.json.again.approval"));
  expect(await refusal()).toContain("is by somebody who is counted already, or with the same key");
  expect(await approve("eve")).toMatchObject({ code: 0 });
  expect(await refusal()).toContain("is not signed by eve as ");
  await approve("ben@example.com");
  const ran = await play("run", "plan.json", "--yes");
  expect(ran, ran.err).toMatchObject({ code: 0 });
  const run = /run (\w{8})/.exec(ran.out)?.[1] ?? "";
  const rows = (await play("show", run, "--json")).out.trim().split("\n");
  const start = JSON.parse(rows[0] ?? "") as { body: { approvals: Record<string, string>[] } };
  expect(start.body.approvals.map(({ by, why }) => `${by}: ${why}`)).toEqual([
    "ann: ann has read it",
    "ben@example.com: ben@example.com has read it",
  ]);
  // A stranger verifies what the journal kept.
  const [first] = start.body.approvals;
  writeFileSync(file("sig"), first?.["signature"] ?? "", { mode: 0o600 });
  execFileSync(
    "ssh-keygen",
    ["-Y", "verify", "-f", file("signers"), "-I", "ann", "-n", "runbook-approval", "-s", file("sig")],
    { input: first?.["statement"], stdio: ["pipe", "ignore", "inherit"] },
  );
  const report = (await play("report", run, "--format", "md", "--out", "-")).out;
  expect(report).toContain("ann has read it");
});

test("one for another plan or state, too old, changed, or by whoever starts it, does not count", async () => {
  const starter = userInfo().username;
  people("{ signers: ./signers, hours: 2 }", "ann", starter, "eve");
  await play("plan", "short", "--out", "plan.json");
  await approve("ann");
  const good = readFileSync(file("plan.json.ann.approval"), "utf8");
  const put = (text: string) => stage.put("plan.json.ann.approval", text);
  const changed = (from: string | RegExp, to: string) => {
    const text = good.replace(from, to);
    expect(text).not.toBe(good);
    return text;
  };
  for (const [text, told] of [
    [changed("has read it", "has reed it"), "is not signed by ann as "],
    [changed(/"by\\":\\"ann/, String.raw`"by\":\"-O`), "is no approval of a plan"],
    ["{", "is no approval: it is not JSON"],
    ["{}", "is no approval: it lacks statement and signature"],
  ] as const) {
    put(text);
    expect(await refusal()).toContain(told);
  }
  put(good);
  rmSync(file("plan.json"));
  await play("plan", "short", "--out", "plan.json");
  expect(await refusal()).toContain("is of another plan");
  rmSync(file("plan.json.ann.approval"));
  expect(await approve(starter)).toMatchObject({ code: 0 });
  expect(await refusal()).toContain(`is by ${starter}, who starts it`);
  rmSync(file(`plan.json.${starter}.approval`));
  rmSync(file("signers"));
  await approve("ann");
  expect(await refusal()).toContain("the file of allowed signers");
});

test("approve says what it lacks", async () => {
  people("{ signers: ./signers }", "ann", "eve");
  await play("plan", "short", "--out", "plan.json");
  const given = ["--key", file("ann"), "--as", "ann", "--why", "x"];
  for (const [argv, told] of [
    [["--key", file("ann"), "--as", "ann"], "--why is missing"],
    [["--key", file("ann"), "--as", "-I", "--why", "x"], "wanted your name"],
    [["--as", "ann", "--why", "x"], "--key is missing"],
    [["--key", "nowhere", "--as", "ann", "--why", "x"], "there is no key nowhere"],
    [[...given, "--hours", "0"], '--hours is "0"'],
  ] as const)
    expect(await play("approve", "plan.json", ...argv), argv.join(" ")).toMatchObject({
      code: 2,
      err: expect.stringContaining(told) as string,
    });
  expect(await play("approve", "nothing.json", ...given)).toMatchObject({ code: 2 });
});
