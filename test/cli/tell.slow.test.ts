/** `runbook tell`, `hold` and their answers, by the built command line: two terminals, one run. */
import { afterEach, expect, test } from "vitest";

import { openStage, type Playing, type Stage } from "./play.ts";

const waiting = `
import { hours, minutes, roles, runbook, step, wait } from "runbook";
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
const ever = wait({ title: "Wait for nothing", done: async () => undefined, within: hours(10) });
export default runbook({
  title: "Suspend a monitor for ever",
  params: {},
  steps: () => ({ roles, suspend, ever, resume: { ...resume, ends: suspend } }),
});
`;

let stage: Stage;
afterEach(() => stage.end());

async function begin(): Promise<{ readonly playing: Playing; readonly run: string }> {
  stage = await openStage({ pace: 60 });
  stage.put("runbooks/ever.ts", waiting);
  const playing = stage.start(["run", "ever", "--lab"]);
  await playing.until("✓ Suspend the monitor");
  const run = /run (\w{8})/.exec(playing.out())?.[1] ?? "";
  return { playing, run };
}

test("pause, resume and give-back are heeded, kept with their reasons, and told at the first terminal", async () => {
  const { playing, run } = await begin();
  expect(await stage.play(["tell", run, "pause", "--why", "a look at the switch"])).toMatchObject({
    code: 0,
    out: expect.stringContaining(`run ${run} was told: pause; nothing new begins`) as string,
    err: "",
  });
  const status = await stage.play(["status", "--lab"]);
  expect(status.out).toMatch(
    /^ {2}paused; last said: pause, by \S+@\S+ pid \d+ at \S+: a look at the switch$/m,
  );
  expect(await stage.play(["tell", run, "pause", "--why", "once more"])).toMatchObject({
    code: 4,
    err: expect.stringContaining(`run ${run} was not told to pause: the run is paused already`) as string,
  });
  expect(await stage.play(["tell", run, "skip", "--why", "it takes long"])).toMatchObject({
    code: 4,
    err: expect.stringContaining("no step waits for an answer, so there is nothing to skip") as string,
  });
  expect(await stage.play(["tell", run, "resume", "--why", "the switch is well"])).toMatchObject({ code: 0 });
  expect(await stage.play(["tell", run, "give-back", "--why", "another night"])).toMatchObject({ code: 0 });
  const ended = await playing.ended;
  expect(ended.code).toBe(1);
  expect(ended.out).toMatch(/ pause, said \S+@\S+ pid \d+: a look at the switch$/m);
  expect(ended.out).toMatch(/ give back, said \S+@\S+ pid \d+: another night$/m);
  expect(ended.out).toMatch(/ skip, said .*: it takes long; not heeded: no step waits for an answer/m);
  const markdown = (await stage.play(["report", run, "--lab", "--format", "md", "--out", "-"])).out;
  expect(markdown).toContain("go on after the pause");
  expect(markdown).toContain("the switch is well");
  expect(await stage.play(["tell", run, "pause", "--why", "too late"])).toMatchObject({
    code: 4,
    err: expect.stringContaining(`run ${run} has ended (given back); it cannot be told anything`) as string,
  });
});

test("stop leaves the run held; without a reason, a known word or anybody at work nothing is said", async () => {
  const { playing, run } = await begin();
  const refused: readonly (readonly [readonly string[], number, string])[] = [
    [["tell", run, "pause"], 2, "--why is missing"],
    [["tell", run, "pause", "--why", "  "], 2, "--why is missing"],
    [["tell", run, "halt", "--why", "x"], 2, '"halt" is nothing that a run can be told'],
    [["tell", run, "stop", "--why", "x", "--wait", "soon"], 2, '--wait is "soon"'],
    [["tell", "zzzzzzzz", "stop", "--why", "x"], 2, "there is no run zzzzzzzz"],
  ];
  for (const [argv, code, text] of refused)
    expect(await stage.play(argv), argv.join(" ")).toMatchObject({
      code,
      out: "",
      err: expect.stringContaining(text) as string,
    });
  expect(await stage.play(["tell", run, "stop", "--why", "shift ends"])).toMatchObject({ code: 0 });
  const ended = await playing.ended;
  expect(ended.code).toBe(6);
  expect(ended.out).toContain(`run ${run} waits for a person: shift ends`);
  expect(await stage.play(["tell", run, "resume", "--why", "morning"])).toMatchObject({
    code: 4,
    err: expect.stringContaining(
      `nobody is at work on run ${run} (held), so there is nobody to tell`,
    ) as string,
  });
  expect(await stage.play(["undo", run, "--yes"])).toMatchObject({ code: 1 });
});

test("a hold lets nothing new begin, and does not touch what runs; two people place it once", async () => {
  const { playing, run } = await begin();
  const held = await stage.play(["hold", "--lab", "--why", "the network is being changed"]);
  expect(held).toMatchObject({ code: 0, err: "" });
  expect(held.out).toContain("cluster prod is held: no run begins on it");
  expect(held.out).toContain(`run ${run} (ever, running) is not touched by it`);
  expect(await stage.play(["hold", "--lab", "--why", "me too"])).toMatchObject({
    code: 5,
    err: expect.stringMatching(/cluster prod is held by \S+@\S+ pid \d+ since \S+: the network/) as string,
  });
  expect(await stage.play(["tell", run, "give-back", "--why", "out of the way"])).toMatchObject({ code: 0 });
  expect((await playing.ended).code).toBe(1);
  const before = stage.touched().length;
  expect(await stage.play(["run", "ever", "--lab"])).toMatchObject({
    code: 4,
    err: expect.stringMatching(/cluster prod is held by .*: the network is being changed/) as string,
  });
  expect(stage.touched()).toHaveLength(before);
  expect((await stage.play(["status", "--lab"])).out).toContain("cluster prod is held by");
  expect(await stage.play(["hold", "--lab", "--end", "--why", "done"])).toMatchObject({ code: 0 });
  expect((await stage.play(["hold", "--lab"])).out).toBe("nothing is held\n");
  expect(await stage.play(["hold", "--lab", "--cloud", "--why", "region in trouble"])).toMatchObject({
    code: 0,
  });
  expect((await stage.play(["run", "ever", "--lab"])).err).toContain("cloud aws ap-northeast-1 is held by");
  const refused: readonly (readonly [readonly string[], string])[] = [
    [["hold", "prod", "--lab"], "--why is missing"],
    [["hold", "nowhere", "--lab", "--why", "x"], "nowhere"],
    [["hold", "--lab", "--end", "--why", "x"], "cluster prod is not held"],
  ];
  for (const [argv, text] of refused)
    expect(await stage.play(argv), argv.join(" ")).toMatchObject({
      code: 2,
      err: expect.stringContaining(text) as string,
    });
});

test("two words said at once: one is heeded, the other is told who was first", async () => {
  const { playing, run } = await begin();
  const [ann, ben] = await Promise.all([
    stage.play(["tell", run, "pause", "--why", "ann's reason"]),
    stage.play(["tell", run, "give-back", "--why", "ben's reason"]),
  ]);
  const said = [ann, ben];
  // Whoever reads the journal after the other's word was taken up is a second speaker, and may be heeded too.
  const lost = said.filter(({ code }) => code !== 0);
  for (const { code, err } of lost) {
    expect(code).toBe(4);
    expect(err).toMatch(/said "(pause|give-back)" first: (ann|ben)'s reason|has ended|no longer at work/);
  }
  expect(lost.length).toBeLessThanOrEqual(1);
  if (ben.code !== 0) await stage.play(["tell", run, "give-back", "--why", "once more"]);
  expect((await playing.ended).code).toBe(1);
});
