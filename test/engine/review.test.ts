import { describe, expect, it } from "vitest";

import { resumeRun, startRun } from "../../src/engine/run.ts";
import type { Walk } from "../../src/engine/walk.ts";
import { connectTo } from "../../src/layers/connect.ts";
import { describeWorld } from "../../src/lab/compare.ts";
import { settle } from "../../src/lab/hands.ts";
import { approve, hours, minutes, runbook, step, check } from "../../src/runbook/words.ts";
import { Failure } from "../../src/errors.ts";
import { openSimulation, type Simulation, type Runner } from "../support/simulation.ts";

const T = 120_000;
const show = (lines: readonly { at: number; kind: string; body: object }[], from = 0) =>
  lines.slice(from).filter((l) => l.kind !== "read").map((l) => `${new Date(l.at).toISOString().slice(11, 19)} ${l.kind} ${JSON.stringify(l.body).replace(/"stdin":"[^"]*(\\.[^"]*)*"/, "").slice(0, 230)}`).join("\n");
const groupPlaces = (sim: Simulation) => Object.fromEntries(sim.lab.cluster("prod").groups.map((g) => [g.name, JSON.stringify([...g.places])]));
const effects = (sim: Simulation, kind: string) => sim.lab.heart.effects.filter((e) => e.detail.kind === kind).length;

/** Starts; dies when the predicate over journal lines first holds, after `later` ms. */
async function killWhen(sim: Simulation, service: string, when: (l: { kind: string; body: any }) => boolean, later = 0) {
  const first = sim.runner();
  const plan = await first.plan({ service });
  let hit = false;
  const walk = await first.start(plan, { onLine: (l) => { if (when(l as never)) { hit = true; if (later === 0) first.die(); } } });
  void walk.go().catch(() => undefined);
  while (!hit) await sim.clock.sleep(1);
  if (later > 0) { await sim.clock.sleep(later); first.die(); }
  return { run: walk.run, plan, walk };
}
async function resumeIt(sim: Simulation, run: string, wish: "resume" | "undo" = "resume") {
  const second = sim.runner();
  const again = await second.resume(run);
  const n = again.logbook.lines.length;
  const looked = await again.lookAgain();
  if (wish === "undo" || looked.some((e) => !e.good)) again.wantBack("test", wish);
  const ended = await again.go();
  await again.close();
  return { ended, again, n, looked: looked.map((l) => `${l.unit.key}: ${l.state}`) };
}
const race = async <R,>(sim: Simulation, p: Promise<R>, ms: number) => Promise.race([p, sim.clock.sleep(ms).then(() => "HANGS" as const)]);

describe("review", () => {
  it("E5 late: killed after prepareStandby, timer fires", { timeout: T }, async () => {
    const sim = await openSimulation();
    const { run } = await killWhen(sim, "late", (l) => l.kind === "outcome" && l.body.unit === "prepareStandby");
    const r = sim.runner(); const rows = (await r.store.read(run)).rows;
    console.log(rows.filter((x) => x.kind === "answered" || x.kind === "outcome").map((x) => new Date(x.at).toISOString().slice(11, 19) + " " + JSON.stringify(x.body).slice(0, 90)).join("\n"));
    await sim.clock.sleep(40 * 60_000);
    await r.plan().catch(() => 0);
    console.log("E5", groupPlaces(sim), await r.drivers.cluster.reads.findDeadMan("server1"));
    const { ended, again, n } = await resumeIt(sim, run);
    console.log("E5 resume", ended.end, ended.why, ended.left.map((l) => l.unit.key + ": " + l.message), groupPlaces(sim));
    console.log(show(again.logbook.lines, n).slice(0, 6000));
    sim.close();
  });
  it("E6 the start fails once on the way back", { timeout: T }, async () => {
    const sim = await openSimulation({ copySeconds: 7200 });
    sim.lab.heart.addFault({ match: "CreateSnapshot", skip: 2, action: "deny", times: 1 });
    sim.lab.heart.addFault({ match: "clpgrp -s", action: "fail-before", times: 1 });
    const { ended, walk } = await sim.runner().run({ service: "late" });
    console.log("E6", ended.end, ended.left.map((l) => l.unit.key));
    console.log(show(walk.logbook.lines.filter((l) => ["undone", "not-undone", "verb", "failure"].includes(l.kind) || (l.kind === "sent" && /startGroup|clearDead|releaseM|stopGroup/.test(JSON.stringify(l.body))))));
    sim.close();
  });
  it("E1b a person brought the service back, resume", { timeout: T }, async () => {
    const sim = await openSimulation();
    const { run } = await killWhen(sim, "early", (l) => l.kind === "answered" && l.body.verb === "cluster.stopGroup");
    await sim.clock.sleep(60_000);
    await sim.lab.shell.run("server1", ["clpgrp", "-s", "failover1"], { timeoutMs: 600_000, stdin: "" });
    console.log("person", groupPlaces(sim));
    const { ended, looked } = await resumeIt(sim, run);
    console.log("E1b", ended.end, ended.why, looked, "stops", effects(sim, "group-stopped"));
    sim.close();
  });
  it("E8 retry after a long answer", { timeout: T }, async () => {
    const sim = await openSimulation();
    const r = sim.runner();
    sim.lab.heart.addFault({ match: "clpbackup.sh --pre", action: "fail-before", times: 1 });
    let asked = 0;
    const { ended } = await r.run({ service: "early" }, { ask: async (q) => { asked++; console.log("ASK", q.units.map((u) => u.why)); await sim.clock.sleep(asked === 1 ? 7_200_000 : 1000); return { verb: asked === 1 ? "retry" : "give-back", by: "p", why: "w" }; } });
    console.log("E8", ended.end, ended.why);
    sim.close();
  });
  it("E10 undo while the stop is in flight", { timeout: T }, async () => {
    for (const ms of [30, 200, 1000, 3000]) {
      const sim = await openSimulation();
      const { run } = await killWhen(sim, "early", (l) => l.kind === "sent" && l.body.request.verb === "cluster.stopGroup", ms);
      const { ended, looked } = await resumeIt(sim, run, "undo");
      await sim.clock.sleep(3600_000);
      console.log("E10", ms, ended.end, looked, groupPlaces(sim));
      sim.close();
    }
  });
  it("E3 slept", { timeout: T }, async () => {
    const sim = await openSimulation();
    const r = sim.runner(); const plan = await r.plan({ service: "late" });
    let offset = 0;
    const own = { now: () => r.clock.now() + offset, sleep: r.clock.sleep };
    const walk = await startRun({ store: r.store, connect: connectTo(r.drivers, own), owner: "o", clock: own, mask: (t) => t, onFailure: "give-back", plan, runbook: sim.runbook,
      setting: settingOf(sim, own, r, plan.params),
      onLine: (l) => { if (l.kind === "outcome" && l.body["unit"] === "breakMirrors") offset = 20 * 60_000; } });
    const ended = await walk.go();
    console.log("E3", ended.end, ended.why, ended.left.map((l) => l.unit.key + ": " + l.message), groupPlaces(sim));
    console.log("timer", await r.drivers.cluster.reads.findDeadMan("server1"), "marker", await r.drivers.nodes.reads.getMarker("server1"));
    await sim.clock.sleep(3600_000);
    console.log("1h later", groupPlaces(sim));
    sim.close();
  });
  it("E4 prompt", { timeout: T }, async () => {
    const sim = await openSimulation();
    const { run } = await killWhen(sim, "late", (l) => l.kind === "outcome" && l.body.unit === "breakMirrors");
    const second = sim.runner();
    const again = await second.resume(run);
    await again.lookAgain();
    await sim.clock.sleep(16 * 60_000);
    const ended = await again.go();
    console.log("E4", ended.end, ended.why, ended.left.map((l) => l.unit.key + ": " + l.message), groupPlaces(sim), "stops", effects(sim, "group-stopped"));
    sim.close();
  });
  it("E9 store broken from the sent row of the start", { timeout: T }, async () => {
    const sim = await openSimulation();
    const r = sim.runner(); const plan = await r.plan({ service: "early" });
    let broken = false; let at = 0;
    const full = () => { throw new Failure("unavailable", "the disk is full"); };
    const store = { ...r.store, create: async (...a: any[]) => { const j = await (r.store.create as any)(...a); return { ...j, append: async (kind: string, body: any, t: number) => {
      if (kind === "sent" && body.request.verb === "cluster.startGroup") { broken = true; at ||= sim.clock.now(); }
      return broken ? full() : j.append(kind, body, t); } }; },
      releaseLease: async (...a: any[]) => (process.env["LEASE"] ? full() : (r.store.releaseLease as any)(...a)) };
    let online = 0;
    sim.lab.heart.listeners.add(({ effect }: any) => { if (effect?.detail.kind === "group-started") online = sim.clock.now(); });
    const walk = await startRun({ store: store as never, connect: connectTo(r.drivers, r.clock), owner: `o`, clock: r.clock, mask: (t) => t, onFailure: "give-back", plan, runbook: sim.runbook, setting: settingOf(sim, r.clock, r, plan.params) });
    const ended = await walk.go().catch((e) => "THROWS " + e.message);
    console.log("E9", typeof ended === "string" ? ended : [ended.end, ended.why, ended.left.map((l) => l.unit.key + ": " + l.message)], groupPlaces(sim), "start delayed by s", (online - at) / 1000);
    console.log(show(walk.logbook.lines.filter((l) => /verb|undone|end/.test(l.kind))));
    sim.close();
  });
  it("E11 other instances at resume", { timeout: T }, async () => {
    const sim = await openSimulation();
    const { run, plan } = await killWhen(sim, "early", (l) => l.kind === "outcome" && l.body.unit === "prepareStandby");
    const r = sim.runner(); await r.plan().catch(() => 0);
    const other = sim.lab.cloud.listInstances().map((i) => i.id + " " + i.name);
    const cluster = sim.lab.cluster("prod");
    const stranger = sim.lab.cloud.listInstances().find((i) => !cluster.names.some((n) => sim.lab.node(n).instance === i.id))!;
    const w = await resumeRun({ store: r.store, connect: connectTo(r.drivers, r.clock), owner: "o2", clock: r.clock, mask: (t) => t, onFailure: "give-back", run, runbook: sim.runbook,
      setting: settingOf(sim, r.clock, r, plan.params, { instances: { server1: sim.lab.node("server1").instance, server2: stranger.id } }) });
    const ended = await w.go();
    console.log("E11", other, ended.end, ended.why, ended.left.map((l) => l.unit.key + ": " + l.message), sim.lab.cloud.getInstance(sim.lab.node("server2").instance).state.now);
    sim.close();
  });
  it("E12 undo of a stuck run beside another's marker", { timeout: T }, async () => {
    const sim = await openSimulation();
    const f = sim.lab.heart.addFault({ match: "clpgrp -s", action: "fail-before", times: Infinity });
    sim.lab.heart.addFault({ match: "CreateSnapshot", skip: 2, action: "deny", times: 1 });
    const first = await sim.runner().run({ service: "late" });
    console.log("E12", first.ended.end, first.ended.left.map((l) => l.unit.key), groupPlaces(sim));
    const r = sim.runner(); await r.plan().catch((e) => console.log("plan:", e.message));
    console.log("timer", await r.drivers.cluster.reads.findDeadMan("server1"), "marker", await r.drivers.nodes.reads.getMarker("server1"));
    f.left = 0;
    const req = r.drivers.nodes.requests.takeMarker({ node: "server1", run: "other", owner: "somebody", fence: "1", seconds: 900 });
    await r.drivers.nodes.send(req, { limitMs: 60_000 });
    const { ended, again, n } = await resumeIt(sim, first.walk.run, "undo");
    console.log("E12 undo", ended.end, groupPlaces(sim));
    console.log(show(again.logbook.lines, n));
    sim.close();
  });
});

export function settingOf(sim: Simulation, clock: any, r: Runner, params: any, more: object = {}) {
  const cluster = sim.lab.cluster("prod");
  return { clusterName: "prod", members: cluster.names, instances: Object.fromEntries(cluster.names.map((node) => [node, sim.lab.node(node).instance])), params,
    settings: { deadManMinutes: 15, leaseMinutes: 15, copyHours: 24 }, house: { findOpenRuns: async () => [], freeBytes: async () => undefined }, clock, ...more };
}
