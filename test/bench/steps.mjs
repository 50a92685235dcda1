/**
 * S1 to S6: steps on two nodes, one command each. A is the product with its durable journal (product.mjs); the markers that a
 * run leaves on its nodes are journaled, and not sent. B sends the same looks and commands (peers.mjs), without a journal.
 */
import { join } from "node:path";
import { openFarField } from "./field.mjs";
import { alternate, compare, row, spread, takeTurns } from "./measure.mjs";
import { openPeers } from "./peers.mjs";
import { openProduct } from "./product.mjs";

const times = (measured) => `${Math.round(measured.a)} ms against ${Math.round(measured.b)} ms`;
const withLooks = "12 steps, 2 nodes, durable journal, with the looks (36 commands each side)";
const without = "the same without looks (12 commands each side)";
const cold = "bash + ControlMaster, cold, no journal";

/** One of the rows S1 to S6. What cannot be measured here is added to `skipped`. */
export async function measureSteps({ name, folder, pairs, field, skipped }) {
  const here = join(folder, name);
  const a = await openProduct({ folder: join(here, "a"), field });
  const peers = openPeers({ folder: join(here, "b"), field, ...a });
  const bench = { folder: here, pairs, field, skipped, a, peers };
  const measures = {
    S1: measureCold,
    S2: measureOthers,
    S3: measureFar,
    S4: measureJournal,
    S5: measureMargin,
    S6: measureUse,
  };
  return measures[name](bench);
}

async function measureCold({ pairs, a, peers }) {
  const rows = [];
  for (const looks of [true, false]) {
    const measured = await alternate({ pairs, a: () => a.run({ looks }), b: peers.bash(looks) });
    const what = looks ? withLooks : without;
    rows.push(row({ id: "S1", what, goal: 0.75, peer: cold, measured, note: times(measured) }));
  }
  return rows;
}

async function measureJournal({ pairs, a }) {
  const measured = await alternate({
    pairs,
    a: () => a.runWithStore("disk"),
    b: () => a.runWithStore("memory"),
  });
  const peer = "the same run, journal in memory";
  const what = "12 steps with looks, journal on disk";
  return [row({ id: "S4", what, goal: 1.12, peer, measured, note: times(measured) })];
}

/** S2: the tools that people use for such a procedure. */
async function measureOthers({ pairs, a, peers, skipped }) {
  const others = [
    { peer: "ansible-playbook, command", goal: 0.08, open: (looks) => peers.ansible("command", looks) },
    { peer: "ansible-playbook, raw", goal: 0.25, open: (looks) => peers.ansible("raw", looks) },
    { peer: "fabric", goal: 0.42, open: (looks) => peers.fabric(looks) },
    { peer: "zx + ControlMaster", goal: 0.45, open: (looks) => peers.zx(looks) },
  ];
  const rows = [];
  for (const { peer, goal, open } of others)
    for (const looks of [true, false]) {
      const b = open(looks);
      if (typeof b === "string") {
        if (looks) skipped.push(`S2 against ${peer}: ${b}`);
        continue;
      }
      const measured = await alternate({ pairs, a: () => a.run({ looks }), b });
      const what = looks ? withLooks : without;
      rows.push(
        row({ id: "S2", what, goal, peer: `${peer}, cold, no journal`, measured, note: times(measured) }),
      );
    }
  return rows;
}

/** S3: the nodes are 20 ms away. */
async function measureFar({ folder, pairs, field }) {
  const far = await openFarField(join(folder, "far-inventory"), field, 20);
  try {
    const a = await openProduct({ folder: join(folder, "far"), field: far });
    const peers = openPeers({ folder: join(folder, "far-peers"), field: far, ...a });
    const rows = [];
    for (const looks of [true, false]) {
      const measured = await alternate({ pairs, a: () => a.run({ looks }), b: peers.bash(looks) });
      const what = `${looks ? withLooks : without}, a round trip of 20 ms`;
      rows.push(row({ id: "S3", what, goal: 0.62, peer: cold, measured, note: times(measured) }));
    }
    return rows;
  } finally {
    far.close();
  }
}

/** S5: what one step more costs, start and end left out: 120 steps less 12, against masters that are open already. */
async function measureMargin({ folder, pairs, field, a, peers, skipped }) {
  const many = await openProduct({ folder: join(folder, "many"), field, steps: 120 });
  const rows = [];
  for (const looks of [true, false]) {
    const warm = peers.bashWarm(looks);
    const { as, bs } = await takeTurns({
      pairs,
      a: async () => perStep(await many.runMeasured({ looks }), await a.runMeasured({ looks }), 108),
      b: async () => perStep(await warm(), { ms: 0, cpuMs: 0 }, 12),
    });
    const step = `one step more (120 less 12), journal on, ${looks ? "with its looks" : "without looks"}`;
    for (const [of, what, goal] of [
      ["ms", "wall", 0.4],
      ["cpuMs", "CPU of the client", 0.25],
    ]) {
      const measured = compare(as.map(pick(of)), bs.map(pick(of)));
      const note = `${measured.a.toFixed(1)} ms against ${measured.b.toFixed(1)} ms`;
      const peer = "one step of bash over warm ControlMasters";
      rows.push(row({ id: "S5", what: `${step}: ${what}`, goal, peer, measured, note }));
    }
  }
  skipped.push("S5 with a kept shell on each node: the product keeps none");
  return rows;
}

const pick = (of) => (used) => used[of];

function perStep(more, few, steps) {
  return { ms: (more.ms - few.ms) / steps, cpuMs: (more.cpuMs - few.cpuMs) / steps };
}

/** S6: what the client itself uses. */
async function measureUse({ pairs, a, peers }) {
  const rows = [];
  for (const looks of [true, false]) {
    const { as, bs } = await takeTurns({
      pairs,
      a: () => a.runMeasured({ looks }),
      b: peers.bashMeasured(looks),
    });
    const measured = compare(as.map(pick("cpuMs")), bs.map(pick("cpuMs")));
    const what = looks ? withLooks : without;
    const peer = `${cold}, its masters included`;
    rows.push(
      row({ id: "S6", what: `${what}: CPU of the client`, goal: 2, peer, measured, note: times(measured) }),
      row({
        id: "S6",
        what: "the same: memory of the client, MB",
        goal: 75,
        peer: "",
        measured: spread(as.map(pick("rssMB"))),
        note: "",
      }),
    );
  }
  return rows;
}
