/**
 * Faults put into the engine, the guards and the built-in runbooks by hand. Each is one exact text, or several, and what stands
 * there instead; `only` names the runbooks whose nights could show it.
 */
export const mutants = [
  {
    what: "the way back goes from the oldest step to the newest",
    patches: [
      {
        file: "src/engine/way-back.ts",
        from: "rank(a) - rank(b) || age(b) - age(a)",
        to: "rank(b) - rank(a) || age(a) - age(b)",
      },
    ],
  },
  {
    what: "a run ends while something of it is under way",
    patches: [
      {
        file: "src/engine/walk.ts",
        from: "if (end !== undefined && running.size === 0) return await finish(end);",
        to: "if (end !== undefined) return await finish(end);",
      },
    ],
  },
  {
    what: "a resume believes the journal, and does not look",
    patches: [
      {
        file: "src/engine/tasks.ts",
        from: 'if ((await unit.step.done(world, mine)) !== undefined) return "holds";',
        to: 'if (world !== undefined) return "holds";',
      },
      {
        file: "src/engine/look-again.ts",
        from: "for (const key of context.begun) {",
        to: "for (const key of context.begun.slice(0, 0)) {",
      },
    ],
  },
  {
    what: "after an answer that was lost, a look is believed at once",
    patches: [
      {
        file: "src/engine/tasks.ts",
        from: "call.seen.sentAt + call.visibleWithinMs",
        to: "0 * call.seen.sentAt",
      },
    ],
  },
  {
    what: "a call is given again without a look",
    patches: [
      {
        file: "src/engine/tasks.ts",
        from: `    const found = await lookUnsettled(tools, unit, step, world);
    if (found !== undefined) return found;
    if (tools.clock.now() > until) throw failure`,
        to: `    if (tools.clock.now() > until) throw failure`,
      },
    ],
  },
  {
    what: "a sleeper that wakes goes on",
    patches: [
      {
        file: "src/engine/calls.ts",
        from: "if (clock.now() > guarding.leaseUntil()) {",
        to: "if (clock.now() < 0) {",
      },
      { file: "src/engine/alive.ts", from: "if (now > leaseUntil) throw sleptPast();", to: "" },
    ],
  },
  {
    what: "the dead-man timer fires whatever boot it is",
    only: ["backup-standby", "backup-active"],
    patches: [
      {
        file: "src/drivers/clusterpro/dead-man.ts",
        from: `if [ "$(cat '\${places.bootIdFile}')" != "$boot" ]; then
    why=`,
        to: `if [ "$boot" = "" ]; then
    why=`,
      },
    ],
  },
  {
    what: "a way back that went through, its rows lost, is gone once more: served nodes lose their power",
    only: ["restore", "restore-one", "rollback"],
    patches: [
      {
        file: "runbooks/steps/nodes-down.ts",
        from: "(await isDrillOver(world)) || (await isPutBack(world))",
        to: "await isDrillOver(world)",
      },
      {
        file: "runbooks/steps/nodes-down.ts",
        from: "if (await isServed(world))",
        to: "if ((await isServed(world)) === null)",
      },
    ],
  },
  {
    what: "a node that fell while it stopped its group counts as unmounted",
    only: ["backup-both"],
    patches: [
      { file: "runbooks/steps/both.ts", from: "if (!wasUnmounted(world))", to: 'if (world.run === "")' },
    ],
  },
  {
    what: "the tag of a cut is not looked for",
    only: ["backup-standby", "backup-active"],
    patches: [
      {
        file: "runbooks/steps/cut.ts",
        from: "return wholeSet(await world.cloud.findSnapshots(operation(world)), volumes);",
        to: 'return wholeSet(await world.cloud.findSnapshots({ "runbook:operation": "none" }), volumes);',
      },
      {
        file: "runbooks/steps/cut.ts",
        from: "return part.length > 0 ? notYet : undefined;",
        to: "return part.length > 99 ? notYet : undefined;",
      },
    ],
  },
  {
    what: "the volumes are cut while their node runs",
    only: ["backup-standby", "backup-active"],
    patches: [
      {
        file: "runbooks/steps/cut.ts",
        from: "// Sent before, and its services",
        to: "if (mine.calls.length > 0) return notYet;\n    // Sent before, and its services",
      },
      {
        file: "runbooks/steps/cut.ts",
        from: 'if (!mine.begun || instance.state !== "stopped") return undefined;',
        to: "if (!mine.begun) return undefined;",
      },
      {
        file: "runbooks/steps/cut.ts",
        from: `    if (instance.state !== "stopped")
      throw`,
        to: `    if (instance.state === "terminated")
      throw`,
      },
      { file: "runbooks/steps/cut.ts", from: "stoppedBy: prepared.stoppedBy,", to: 'stoppedBy: "guest",' },
    ],
  },
  {
    what: "the service comes back on whatever node answers",
    only: ["backup-standby", "backup-active"],
    patches: [
      {
        file: "runbooks/steps/service.ts",
        from: 'if (states.every((mirror) => mirror.sides[node]?.colour === "GREEN")) return node;',
        to: "if (states.length > 0) return standby;",
      },
    ],
  },
  {
    what: "monitors are left suspended",
    only: ["backup-standby", "backup-active"],
    patches: [
      {
        file: "runbooks/steps/redundancy.ts",
        from: "return ours.every(isResumed) ? ours : undefined;",
        to: "return ours.some(isResumed) || ours.length > 0 ? ours : undefined;",
      },
    ],
  },
  {
    what: "the marks stay on the nodes",
    patches: [
      {
        file: "src/runbook/house.ts",
        from: `      if (found !== "off" && isOurs(world, found)) return undefined;
    }
    return world.members;
  },
  do: async (world) => {`,
        to: `      if (found === "off" && isOurs(world, { held: false })) return undefined;
    }
    return world.members;
  },
  do: async (world) => {`,
      },
    ],
  },
  {
    what: "the mirrors are started on devices that nobody has proven",
    only: ["restore"],
    patches: [
      {
        file: "runbooks/steps/mirrors-anew.ts",
        from: "if (found?.volume !== made)",
        to: "if (found?.volume === null)",
      },
    ],
    world: { devices: "bare" },
  },
  {
    what: "a person who brought the service back loses it again",
    only: ["restore", "restore-one", "backup-both"],
    patches: [
      { file: "runbooks/steps/nodes-down.ts", from: "if (back.length > 0)", to: "if (back.length > 99)" },
    ],
  },
  {
    what: "new volumes are left over when a restore is given back",
    only: ["restore", "restore-one"],
    patches: [
      {
        file: "runbooks/steps/volumes.ts",
        from: "  undo: (): Step => volumesDropped,\n",
        to: "",
      },
    ],
  },
];
