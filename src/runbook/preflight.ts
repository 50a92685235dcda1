/**
 * What is checked before anything is touched. Each check has an id (its key in the runbook's list), says what was found
 * and wanted, and hints at the cure; `runbook doctor` plays the same ones. What they find are the facts of a plan.
 */
import { Failure } from "../errors.ts";
import { findMirrorVolumes, type VolumesFound } from "./devices.ts";
import { findMarker, heldByOther } from "./house.ts";
import { assertInSync, readMirrors } from "./mirrors.ts";
import { roles } from "./roles.ts";
import { assertGranted, sampleTags } from "./rights.ts";
import { check, type World } from "./step.ts";

export const mirrorsGreen = check("Every mirror is GREEN on both sides", async (world) => {
  const { mirrors, active } = world.outcomeOf(roles);
  const found = await readMirrors(world, mirrors, active);
  assertInSync(found);
  return found.map((mirror) => mirror.mirror);
});

export const monitorsKnown = check(
  "Each mirror has its monitor, and it is known where it runs",
  async (world) => {
    const { mirrors, active } = world.outcomeOf(roles);
    const state = await world.cluster.getState(active);
    return mirrors.map(({ name, monitor }) => {
      if (monitor === null)
        throw new Failure(
          "precondition",
          `no monitor watches ${name}: automatic recovery could not be held back, nor would it start`,
          {
            hint: "add a mirror disk monitor for it to the cluster",
          },
        );
      const found = state.monitors[monitor];
      if (!found)
        throw new Failure("precondition", `monitor ${monitor} of ${name} is not shown by the cluster`);
      for (const [node, status] of Object.entries(found)) {
        if (status !== "normal" && status !== "suspended")
          throw new Failure("precondition", `monitor ${monitor} is ${status} on ${node}; wanted normal`, {
            hint: "look at the mirror and at the cluster's log, and mend what it reports",
          });
      }
      return {
        mirror: name,
        monitor,
        suspendedOn: Object.keys(found).filter((node) => found[node] === "suspended"),
      };
    });
  },
);

export const standbyFree = check("Nothing runs on the standby", async (world) => {
  const { standby, active } = world.outcomeOf(roles);
  const state = await world.cluster.getState(active);
  const there = Object.entries(state.groups).filter(([, group]) => group.node === standby);
  if (there.length > 0)
    throw new Failure(
      "precondition",
      `${there.map(([name]) => name).join(", ")} runs on the standby ${standby}, which will be shut down`,
      {
        hint: "move it to the active node, for example with `clpgrp -m`",
      },
    );
  return true;
});

export const shutdownStops = check("A shutdown from within stops the standby's instance", async (world) => {
  const { standby } = world.outcomeOf(roles);
  const instance = await world.cloud.getInstance(world.instanceOf(standby));
  if (instance.state !== "running")
    throw new Failure(
      "precondition",
      `instance ${instance.id} of ${standby} is ${instance.state}; wanted running`,
    );
  if (instance.onGuestShutdown !== "stop")
    throw new Failure(
      "precondition",
      `a shutdown of ${standby} would ${instance.onGuestShutdown} its instance ${instance.id}`,
      {
        hint: "set the instance's shutdown behaviour to stop",
      },
    );
  return true;
});

export const notReplaced = check("Nothing replaces the standby's instance when it stops", async (world) => {
  const { standby } = world.outcomeOf(roles);
  const instance = await world.cloud.getInstance(world.instanceOf(standby));
  if (instance.replacedBy !== undefined)
    throw new Failure(
      "precondition",
      `instance ${instance.id} of ${standby} belongs to ${instance.replacedBy}, which would replace it when it stops`,
      {
        hint: "take it out of the group, or suspend the group's replacement of instances",
      },
    );
  return true;
});

/** Told, never refused: a stopped instance may find no capacity when it is to start again. */
export const capacityTold = check(
  "Whether a start of the standby is covered by a capacity reservation",
  async (world) => {
    const { standby } = world.outcomeOf(roles);
    const instance = await world.cloud.getInstance(world.instanceOf(standby));
    return instance.capacityReserved ? "reserved" : "not reserved: a start may lack capacity";
  },
);

export const volumesFound = check<VolumesFound>(
  "The mirrors' volumes on the standby are found by device identity",
  async (world) => {
    const { standby, mirrors } = world.outcomeOf(roles);
    return findMirrorVolumes(world, standby, mirrors);
  },
);

export const rightsGranted = check("The cloud grants what the run will ask for", async (world) => {
  const { standby } = world.outcomeOf(roles);
  const { volumes } = world.outcomeOf(volumesFound);
  return assertGranted(
    await world.cloud.findMissingRights({
      instance: world.instanceOf(standby),
      volumes,
      tags: sampleTags(world),
    }),
  );
});

/** Asked before anything else: what another run took away must not be told as trouble that a person should mend. */
export const nobodyElse = check("No other run is at work on this cluster", async (world) => {
  await assertNoOpenRun(world);
  await assertUnmarked(world);
  return true;
});

/** Asks the store alone. */
export async function assertNoOpenRun(
  world: World,
  mayStand: (run: { readonly runbook: string; readonly state: string }) => boolean = () => false,
): Promise<void> {
  const open = await world.house.findOpenRuns();
  const other = open.filter((run) => run.run !== world.run && !mayStand(run))[0];
  if (other) {
    const { run, runbook, state, holder } = other;
    const by = holder === undefined ? "" : ` by ${holder}`;
    throw new Failure("conflict", `run ${run} (${runbook}) on this cluster is ${state}${by}`, {
      hint:
        state === "running"
          ? `wait for it (\`runbook status ${run}\` shows it), or stop it there with Ctrl-C`
          : `finish it first: \`runbook resume ${run}\` or \`runbook undo ${run}\``,
    });
  }
}

async function assertUnmarked(world: World): Promise<void> {
  for (const node of world.members) {
    const found = await findMarker(world, node);
    if (found === "off") continue;
    if (found.held && found.marker?.run !== world.run) throw heldByOther(node, found);
    const timer = await world.cluster.findDeadMan(node);
    if (timer && timer.run !== world.run)
      throw new Failure(
        "conflict",
        `${node} carries the dead-man timer of run ${timer.run} (${timer.state})`,
        {
          hint: `give that run back first: \`runbook undo ${timer.run}\``,
        },
      );
  }
}

export const roomInStore = check("There is room to keep the journal", async (world) => {
  const free = await world.house.freeBytes();
  if (free !== undefined && free < 64 * 1024 * 1024)
    throw new Failure(
      "precondition",
      `only ${Math.floor(free / 1024 / 1024)} MiB are free where runs are kept; wanted 64`,
      {
        hint: "make room, or set RUNBOOK_HOME to another disk",
      },
    );
  return true;
});
