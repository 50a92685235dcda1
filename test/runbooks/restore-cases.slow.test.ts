/**
 * Seeded restores onto disks whose names have moved, and from recovery points that were mixed up. What is legal is known
 * here from how a case was made, and shares nothing with the guards that judge it. `npm run cases` plays a thousand of each.
 */
import { describe, expect, it } from "vitest";

import { differences } from "../../src/lab/compare.ts";
import { settle } from "../../src/lab/hands.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";
import { worldOf } from "../support/world.ts";

const count = Number(process.env["CASES"] ?? 2);
const first = Number(process.env["CASE"] ?? 1);
const seeds = Array.from({ length: count }, (_, i) => first + i);
const limit = { timeout: 3_600_000 };

/** mulberry32: the same case for the same seed. */
function dice(seed: number) {
  let state = seed * 2_654_435_761;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    below: (n: number) => Math.floor(next() * n),
    pick: <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T,
    shuffle: <T>(list: readonly T[]): readonly T[] =>
      list
        .map((each) => [next(), each] as const)
        .toSorted(([a], [b]) => a - b)
        .map(([, each]) => each),
  };
}

const nodes = ["server1", "server2"];

function mirrorsOf(sim: Simulation): readonly string[] {
  return sim.lab.cluster().mirrors.map(({ name }) => name);
}

/** What each mirror holds on each side, by the content of the volume and not by any path. */
function contents(sim: Simulation): { readonly [where: string]: unknown } {
  return Object.fromEntries(
    nodes.flatMap((node) =>
      sim.lab.cloud.attached(sim.lab.node(node).instance).flatMap(({ volume }) => {
        const { kind, control } = sim.lab.cloud.content(volume);
        return kind === "mirror" ? [[`${node} ${String(control["mirror"])}`, sim.lab.readFiles(volume)]] : [];
      }),
    ),
  );
}

function deviceOf(sim: Simulation, volume: string): string {
  for (const { instance } of sim.lab.nodes.values()) {
    const place = sim.lab.cloud.attached(instance).find((each) => each.volume === volume);
    if (place) return place.device;
  }
  throw new Error(`${volume} is attached nowhere`);
}

async function backUp(sim: Simulation, text: string): Promise<string> {
  for (const mirror of mirrorsOf(sim)) sim.lab.writeFile("prod", mirror, "orders.txt", `${mirror} ${text}`);
  await settle(sim.lab);
  const { ended, walk } = await sim
    .runner(await sim.open("runbooks/backup-standby.ts"))
    .run({ service: "early" });
  expect(ended.end).toBe("succeeded");
  await settle(sim.lab);
  return walk.run;
}

function expected(sim: Simulation, text: string) {
  return Object.fromEntries(
    nodes.flatMap((node) =>
      mirrorsOf(sim).map((mirror) => [
        `${node} ${mirror}`,
        { "app/version": "1", "orders.txt": `${mirror} ${text}` },
      ]),
    ),
  );
}

/** When the run writes that it begins this step. */
function duringRun(sim: Simulation, step: string, act: (run: string) => void): void {
  let done = false;
  hooks.set(sim, (kind, unit) => {
    if (done || kind !== "intent" || unit !== step) return;
    done = true;
    act(sim.lab.node("server1").files.read("/var/lib/runbook/lock/run").trim());
  });
}

const hooks = new WeakMap<Simulation, (kind: string, unit: string) => void>();

async function endOf(sim: Simulation, params: { readonly point?: string }) {
  try {
    const { ended } = await sim.runner().run(params, {
      onLine: ({ kind, body }) => hooks.get(sim)?.(kind, String(body["unit"])),
    });
    return { end: ended.end as string, why: ended.why ?? "" };
  } catch (thrown) {
    return { end: "refused", why: String(thrown) };
  }
}

/** Restores, and says how the world is after it. */
async function play(sim: Simulation, legal: boolean, text: string, params: { readonly point?: string } = {}) {
  const before = worldOf(sim.lab);
  const own = contents(sim);
  const { end, why } = await endOf(sim, params);
  await settle(sim.lab);
  const trouble: string[] = [...sim.breaches.map(({ what }) => what), ...sim.gaps()];
  const wanted = legal ? ["succeeded"] : ["refused", "given back"];
  if (!wanted.includes(end)) trouble.push(`ended ${end} (${why}); wanted ${wanted.join(" or ")}`);
  const holds = JSON.stringify(contents(sim));
  if (holds !== JSON.stringify(legal ? expected(sim, text) : own)) trouble.push(`the mirrors hold ${holds}`);
  if (!legal) trouble.push(...differences(before, worldOf(sim.lab)));
  if (sim.lab.cluster().nodeOf("failover1") === undefined) trouble.push("the group is online nowhere");
  return { end, why, trouble };
}

/** At the boot on the restored volumes the kernel finds the disks in another order; at all others in that of the attach names. */
async function renamed(seed: number): Promise<readonly string[]> {
  const { pick, shuffle, below } = dice(seed);
  const mirrors = pick([1, 2, 3] as const);
  const nvme = below(4) > 0;
  const devices = pick(["bare", "bare", "partuuid"] as const);
  const sim = await openSimulation({
    mirrors,
    nvme,
    devices,
    seed,
    runbook: "runbooks/restore.ts",
    acceptBareNvme: true,
  });
  try {
    const moved: string[] = [];
    for (const node of nodes) {
      const lab = sim.lab.node(node);
      const atFirst = lab.disks
        .list()
        .filter(({ root }) => !root)
        .map(({ volume }) => deviceOf(sim, volume));
      const later = below(3) === 0 ? atFirst : shuffle(atFirst);
      lab.disks.order = () => {
        const swapped = sim.lab.cloud
          .attached(lab.instance)
          .some(({ volume }) => "runbook:replaces" in sim.lab.cloud.getVolume(volume).tags);
        // Only while nobody has started the mirrors on them: later boots are no matter of the proof.
        return swapped && lab.systemd.units.get("clusterpro")?.enabled !== true ? later : atFirst;
      };
      if (later.some((device, i) => device !== atFirst[i])) moved.push(node);
    }
    await backUp(sim, "one");
    for (const mirror of mirrorsOf(sim)) sim.lab.deleteFile("prod", mirror, "orders.txt");
    await settle(sim.lab);
    // Xen names follow the attach names, and a partition's UUID is found under any name.
    const legal = devices === "partuuid" || !nvme || moved.length === 0;
    const { end, why, trouble } = await play(sim, legal, "one");
    return trouble.map(
      (line) =>
        `seed ${seed} (${mirrors} mirrors, ${nvme ? "NVMe" : "Xen"}, ${devices}, moved on ${moved.join("+") || "none"}; ${end}: ${why}): ${line}`,
    );
  } finally {
    sim.close();
  }
}

describe("a restore onto disks whose names moved at the boot", () => {
  it("is given back unless they lead to the right volumes, and then succeeds", limit, async () => {
    const bad: string[] = [];
    for (const seed of seeds) bad.push(...(await renamed(seed)));
    expect(bad).toEqual([]);
  });
});

interface Tamper {
  readonly what: string;
  /** Which recovery point's files a restore brings, if it may bring any. */
  readonly brings: "one" | "two" | "nothing";
  readonly needs?: "several mirrors";
  readonly world?: SimulationOptions;
  readonly act: (sim: Simulation, made: Made) => Promise<{ readonly point?: string } | void>;
}

interface Made {
  readonly one: string;
  readonly two: string;
  readonly pick: <T>(list: readonly T[]) => T;
}

function snapshotsOf(sim: Simulation, run: string) {
  return sim.lab.cloud.listSnapshots().filter(({ tags }) => tags["runbook:run"] === run);
}

function holding(sim: Simulation, run: string, mirror: string) {
  const found = snapshotsOf(sim, run).find(({ content }) => content.control["mirror"] === mirror);
  if (!found) throw new Error(`run ${run} has no snapshot of ${mirror}`);
  return found;
}

const tampers: readonly Tamper[] = [
  { what: "nothing", brings: "two", act: async () => undefined },
  { what: "the older point is named", brings: "one", act: async (_sim, { one }) => ({ point: one }) },
  {
    what: "somebody's own snapshot of the same volume lies beside them",
    brings: "two",
    act: async (sim, { one, pick }) => {
      const { volume } = pick(snapshotsOf(sim, one));
      sim.lab.cloud.createSnapshot(volume, "before the upgrade", { Name: "mine" });
      await sim.clock.sleep(600_000);
    },
  },
  {
    what: "the newer point belongs to another cluster",
    brings: "one",
    act: async (sim, { two }) => {
      sim.lab.cloud.setTags(
        snapshotsOf(sim, two).map(({ id }) => id),
        { "runbook:cluster": "other" },
      );
    },
  },
  {
    what: "a snapshot of the newer point has failed, and the newest whole one is wanted",
    brings: "one",
    act: async (sim, { two, pick }) => {
      pick(snapshotsOf(sim, two)).state = "error";
    },
  },
  {
    what: "a snapshot of the named point has failed",
    brings: "nothing",
    act: async (sim, { two, pick }) => {
      pick(snapshotsOf(sim, two)).state = "error";
      return { point: two };
    },
  },
  {
    what: "a snapshot of the named point is in the archive",
    brings: "nothing",
    act: async (sim, { two, pick }) => {
      pick(snapshotsOf(sim, two)).tier = "archive";
      return { point: two };
    },
  },
  {
    what: "one of the set was deleted",
    brings: "nothing",
    needs: "several mirrors",
    act: async (sim, { two, pick }) => {
      sim.lab.cloud.deleteSnapshot(pick(snapshotsOf(sim, two)).id);
      return { point: two };
    },
  },
  {
    what: "one of the set is of the other cut",
    brings: "nothing",
    needs: "several mirrors",
    act: async (sim, { one, two, pick }) => {
      const mirror = pick(mirrorsOf(sim));
      const [older, newer] = [holding(sim, one, mirror), holding(sim, two, mirror)];
      sim.lab.cloud.setTags([older.id], { "runbook:point": two });
      sim.lab.cloud.setTags([newer.id], { "runbook:point": one });
      return { point: pick([one, two]) };
    },
  },
  {
    what: "two of the set are said to hold each other's mirror",
    brings: "nothing",
    needs: "several mirrors",
    act: async (sim, { two, pick }) => {
      const [a = "", b = ""] = [
        pick([
          ["md1", "md2"],
          ["md2", "md1"],
        ]),
      ].flat();
      const [x, y] = [holding(sim, two, a), holding(sim, two, b)];
      const said = [x.tags["runbook:holds"] ?? "", y.tags["runbook:holds"] ?? ""];
      sim.lab.cloud.setTags([x.id], { "runbook:holds": said[1] ?? "" });
      sim.lab.cloud.setTags([y.id], { "runbook:holds": said[0] ?? "" });
      return { point: two };
    },
  },
  {
    what: "two of the set are said to hold the same mirror",
    brings: "nothing",
    needs: "several mirrors",
    act: async (sim, { two }) => {
      const [x, y] = [holding(sim, two, "md1"), holding(sim, two, "md2")];
      sim.lab.cloud.setTags([y.id], { "runbook:holds": x.tags["runbook:holds"] ?? "" });
      return { point: two };
    },
  },
  { what: "the point is not there", brings: "nothing", act: async () => ({ point: "nowhere" }) },
  {
    what: "a volume with this run's tags was made from the other cut",
    brings: "nothing",
    act: async (sim, { one, pick }) => {
      const mirror = pick(mirrorsOf(sim));
      const node = pick(nodes);
      const source = holding(sim, one, mirror);
      const place = sim.lab.volumeOf(node, mirror) ?? "";
      const { zone } = sim.lab.cloud.getVolume(place);
      duringRun(sim, "newVolumes", (run) => {
        sim.lab.cloud.createVolume({
          snapshot: source.id,
          zone,
          tags: { "runbook:run": run, "runbook:replaces": place },
        });
      });
    },
  },
  {
    what: "somebody starts the cluster on one node before the proof",
    brings: "nothing",
    // The command itself takes no time here: else it may end when the proof was made already.
    world: { times: { startAgentMs: 0 } },
    act: async (sim, { pick }) => {
      const node = pick(nodes);
      sim.lab.heart.listeners.add(({ effect }) => {
        if (effect?.detail.kind !== "node-up" || effect.detail["node"] !== node) return;
        const restored = sim.lab.cloud
          .attached(sim.lab.node(node).instance)
          .some(({ volume }) => "runbook:replaces" in sim.lab.cloud.getVolume(volume).tags);
        const lab = sim.lab.node(node);
        if (restored && lab.systemd.units.get("clusterpro")?.enabled !== true)
          lab.later(0, () => void sim.lab.shell.run(node, ["clpcl", "-s"], { timeoutMs: 600_000 }));
      });
    },
  },
];

async function mixed(seed: number): Promise<readonly string[]> {
  const { pick } = dice(seed);
  const mirrors = pick([1, 2, 3] as const);
  const tamper = pick(tampers.filter(({ needs }) => needs === undefined || mirrors > 1));
  const sim = await openSimulation({ mirrors, seed, runbook: "runbooks/restore.ts", ...tamper.world });
  try {
    const one = await backUp(sim, "one");
    const two = await backUp(sim, "two");
    for (const mirror of mirrorsOf(sim)) sim.lab.deleteFile("prod", mirror, "orders.txt");
    await settle(sim.lab);
    const params = (await tamper.act(sim, { one, two, pick })) ?? {};
    const { end, why, trouble } = await play(sim, tamper.brings !== "nothing", tamper.brings, params);
    return trouble.map(
      (line) => `seed ${seed} (${mirrors} mirrors, ${tamper.what}; ${end}: ${why}): ${line}`,
    );
  } finally {
    sim.close();
  }
}

describe("a restore from recovery points that were mixed up", () => {
  it(
    "is refused or given back where two contents could meet, and succeeds where none can",
    limit,
    async () => {
      const bad: string[] = [];
      for (const seed of seeds) bad.push(...(await mixed(seed)));
      expect(bad).toEqual([]);
    },
  );
});
