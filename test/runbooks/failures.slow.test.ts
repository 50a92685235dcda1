import { describe, expect, it } from "vitest";

import { commandsFor } from "../../src/cli/by-hand.ts";
import { parsePasted } from "../../src/cli/lab-paste.ts";
import { describeWorld } from "../../src/lab/compare.ts";
import { settle, typeLine } from "../../src/lab/hands.ts";
import type { Fault } from "../../src/lab/world.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";

/** Every command and call of the procedure that changes something, and on which node it is met first. */
interface Command {
  readonly match: string;
  readonly node?: string;
  /** Dry runs of the checks, in the plan and in the run, come before the call itself. */
  readonly skip?: number;
}
const commands: readonly Command[] = [
  { match: "runbook-takeMarker", node: "server1" },
  { match: "runbook-takeMarker", node: "server2" },
  { match: "runbook-arm-dead-man" },
  { match: "clpgrp -t" },
  { match: "clpmonctrl -s", node: "server1" },
  { match: "clpmonctrl -s", node: "server2" },
  { match: "clpmdctrl --break" },
  { match: "clpgrp -s" },
  { match: "runbook-clear-dead-man" },
  { match: "clpbackup.sh --pre" },
  { match: "clpbackup.sh --post" },
  { match: "clpmonctrl -r" },
  { match: "runbook-releaseMarker", node: "server1" },
];
const calls: readonly Command[] = [
  { match: "CreateSnapshot", skip: 2 },
  { match: "StartInstances", skip: 2 },
  { match: "CreateTags", skip: 2 },
];
/** After these the node goes down whatever they answered: an answer that comes at all is luck. */
const takesNodeDown = ["clpbackup.sh --pre", "clpbackup.sh --post"];

async function night(
  fault: Command & { action: Fault["action"]; times: number },
  service: "early" | "late",
): Promise<{ end: string; text: string; same: boolean; sim: Simulation; done: () => void }> {
  const sim = await openSimulation();
  const before = describeWorld(sim.lab);
  sim.lab.heart.addFault(fault);
  const { ended, plan, walk } = await sim.runner().run({ service });
  let text = `${ended.end}: ${ended.why ?? ""}`;
  if (ended.end === "stuck") {
    sim.lab.heart.faults.length = 0;
    const lines = ended.left.flatMap(({ unit }) => commandsFor(plan, unit.key, walk.logbook.lines));
    text += `\n${lines.map((line) => `    ${line.slice(0, 160)}`).join("\n")}`;
    await paste(sim, lines.join("\n"));
  }
  await settle(sim.lab);
  const after = describeWorld(sim.lab);
  const same = JSON.stringify(after) === JSON.stringify(before);
  if (!same && process.env["TRACE"]) {
    for (const line of walk.logbook.lines.filter(({ kind }) => kind !== "read"))
      process.stderr.write(
        `${new Date(line.at).toISOString()} ${line.kind} ${JSON.stringify(line.body).slice(0, 240)}\n`,
      );
    expect(after).toEqual(before);
  }
  return { end: ended.end, text, same, sim, done: () => sim.close() };
}

async function paste(sim: Simulation, text: string): Promise<void> {
  const names = [...sim.lab.nodes.keys()];
  for (const { node, command } of parsePasted(text, names)) {
    await settle(sim.lab);
    const answer = await typeLine(sim.lab, { markPerson: () => undefined } as never, command, node).catch(
      (thrown: unknown) => String(thrown),
    );
    if (process.env["TRACE"])
      process.stderr.write(
        `paste ${node ?? "cloud"}: ${command.slice(0, 100)} -> ${JSON.stringify(answer).slice(0, 200)}\n`,
      );
  }
  await settle(sim.lab);
}

function verdict({ end, same, sim }: Awaited<ReturnType<typeof night>>) {
  const snapshots = sim.lab.cloud.listSnapshots().length;
  return {
    end,
    same,
    twice: snapshots > 1,
    breaches: sim.breaches.map(({ what }) => what),
    gaps: sim.gaps(),
  };
}
const good = { same: true, twice: false, breaches: [], gaps: [] };

for (const service of ["early", "late"] as const) {
  describe(`service ${service}: a command that fails once`, () => {
    it.each(commands)("$match on $node, before its effect: given back", async (command) => {
      const result = await night({ ...command, action: "fail-before", times: 1 }, service);
      expect(verdict(result), result.text).toEqual({ ...good, end: "given back" });
      result.done();
    });

    it.each(commands.filter(({ match }) => !takesNodeDown.includes(match)))(
      "$match on $node, after its effect: given back",
      async (command) => {
        const result = await night({ ...command, action: "fail-after", times: 1 }, service);
        expect(verdict(result), result.text).toEqual({ ...good, end: "given back" });
        result.done();
      },
    );

    it.each(takesNodeDown)(
      "%s, after its effect: given back, or succeeded where the answer was lost",
      async (match) => {
        const result = await night({ match, action: "fail-after", times: 1 }, service);
        expect(["given back", "succeeded"], result.text).toContain(result.end);
        expect(verdict(result), result.text).toEqual({ ...good, end: result.end });
        result.done();
      },
    );

    it.each(calls)("$match refused: given back", async (call) => {
      const result = await night({ ...call, action: "deny", times: 1 }, service);
      expect(verdict(result), result.text).toEqual({ ...good, end: "given back" });
      result.done();
    });

    // Whether a call that met an error of the cloud's own has worked, only a look tells; then it is asked again.
    it.each(
      calls.flatMap((call) =>
        (["fail-before", "fail-after", "throttle", "lose-after"] as const).map((action) => ({
          ...call,
          action,
        })),
      ),
    )("$match, $action: looked at, cured, never done twice", async (call) => {
      const result = await night({ ...call, times: 1 }, service);
      expect(verdict(result), result.text).toEqual({ ...good, end: "succeeded" });
      result.done();
    });
  });

  describe(`service ${service}: a command that fails for good`, () => {
    it.each([...commands, ...calls])(
      "$match on $node: given back, or stuck with commands that bring it back",
      async (command) => {
        const result = await night(
          { ...command, action: command.skip === undefined ? "fail-before" : "deny", times: Infinity },
          service,
        );
        expect(["given back", "stuck"], result.text).toContain(result.end);
        expect(verdict(result), result.text).toEqual({ ...good, end: result.end });
        result.done();
      },
    );
  });
}
