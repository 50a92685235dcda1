/**
 * Clusters left somewhere in the middle, as a person's own commands leave them: the rows of the failure table (reference
 * clusterpro 8), with nobody's journal. Each is typed into the lab.
 */
import { text } from "../../src/ports/shell.ts";
import { settle } from "../../src/lab/hands.ts";
import type { Simulation } from "./simulation.ts";

/** One command; one that takes its node down may end without an answer. */
export async function type(sim: Simulation, node: string, line: string, wanted = 0): Promise<string> {
  const argv = /[|&;$]/.test(line) ? ["sh", "-c", line] : line.split(" ");
  const { code, stdout } = await sim.lab.shell.run(node, argv, { timeoutMs: 3_600_000 });
  const goesDown = /^clp(backup|restore)\.sh /.test(line) && !/--no-(shutdown|reboot)/.test(line);
  if (code !== wanted && !(goesDown && code === undefined))
    throw new Error(`${node}: ${line} ended with ${String(code)}: ${text(stdout)}`);
  return text(stdout);
}

export async function until(sim: Simulation, what: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 1) {
    if (waited > 7200) throw new Error(`waited two hours for: ${what}`);
    await sim.clock.sleep(1000);
  }
}

export const powerState = (sim: Simulation, node: string) =>
  sim.lab.cloud.getInstance(sim.lab.node(node).instance).state.now.state;
const isOff = (sim: Simulation, node: string) => () => powerState(sim, node) === "stopped";

export async function powerOn(sim: Simulation, ...nodes: readonly string[]): Promise<void> {
  for (const node of nodes) sim.lab.cloud.start(sim.lab.node(node).instance);
  for (const node of nodes) await until(sim, `${node} is up`, () => sim.lab.node(node).state === "up");
}

export const stopGroup = (sim: Simulation) => type(sim, "server1", "clpgrp -t failover1");

export async function suspend(sim: Simulation): Promise<void> {
  for (const mirror of sim.lab.cluster().mirrors)
    for (const node of sim.lab.cluster().names)
      await type(sim, "server1", `clpmonctrl -s -h ${node} -m ${mirror.name.replace("md", "mdw")}`);
}

/** Up to and with the break: B1, 1 to 4. */
export async function broken(sim: Simulation): Promise<void> {
  await stopGroup(sim);
  await suspend(sim);
  for (const { name } of sim.lab.cluster().mirrors) await type(sim, "server2", `clpmdctrl --break ${name}`);
}

/** B1, 1 to 6: the standby is off, in backup mode. */
export async function standbyOff(sim: Simulation, service: "early" | "late" = "late"): Promise<void> {
  await broken(sim);
  if (service === "early") await type(sim, "server1", "clpgrp -s failover1");
  await type(sim, "server2", "clpbackup.sh --pre");
  await until(sim, "the standby is off", isOff(sim, "server2"));
}

/** B1, 1 to 9: it is up again, outside of the cluster. */
export async function standbyOutside(sim: Simulation, service: "early" | "late" = "late"): Promise<void> {
  await standbyOff(sim, service);
  await powerOn(sim, "server2");
}

/** A whole B1 by hand, with its snapshots; then files are lost on both sides. */
export async function backedUp(sim: Simulation): Promise<readonly string[]> {
  await standbyOff(sim, "early");
  const snapshots = dataVolumes(sim, "server2").map(({ volume }) =>
    sim.lab.cloud.createSnapshot(volume, "by hand", { run: "hand" }),
  );
  await powerOn(sim, "server2");
  await type(sim, "server2", "clpbackup.sh --post");
  await until(sim, "the standby has joined", () => sim.lab.cluster().isOnline("server2"));
  for (const { name } of sim.lab.cluster().mirrors)
    await type(sim, "server1", `clpmonctrl -r -h server1 -m ${name.replace("md", "mdw")}`);
  await until(sim, "in sync", () =>
    sim.lab.cluster().mirrors.every((mirror) => mirror.status("server1") === "Normal"),
  );
  await until(sim, "copied", () => snapshots.every(({ state }) => state === "completed"));
  await settle(sim.lab);
  return snapshots.map(({ id }) => id);
}

export function dataVolumes(sim: Simulation, node: string) {
  return sim.lab.cloud.attached(sim.lab.node(node).instance).slice(1);
}

/** R1, 5 and 6. */
export async function bothPrepared(sim: Simulation): Promise<void> {
  await stopGroup(sim);
  for (const node of ["server1", "server2"]) await type(sim, node, "clprestore.sh --pre");
  for (const node of ["server1", "server2"]) await until(sim, `${node} is off`, isOff(sim, node));
}

/** R1, 7: the volumes out, with or without the tags that a run of ours writes before. */
export async function volumesOut(sim: Simulation, tagged: boolean): Promise<void> {
  for (const node of ["server1", "server2"]) {
    for (const { volume, device } of dataVolumes(sim, node)) {
      const tags = { "runbook:old": "lost0000", "runbook:old-node": node, "runbook:old-device": device };
      if (tagged) sim.lab.cloud.setTags([volume], tags);
      sim.lab.cloud.detachVolume(volume, sim.lab.node(node).instance);
      await until(sim, "free", () => sim.lab.cloud.getVolume(volume).state === "available");
    }
  }
}

/** R1, 8: volumes made from these snapshots in the places of the old ones. */
export async function volumesIn(
  sim: Simulation,
  snapshots: readonly string[],
  nodes: readonly string[] = ["server1", "server2"],
): Promise<void> {
  for (const node of nodes) {
    const { instance } = sim.lab.node(node);
    for (const [i, snapshot] of snapshots.entries()) {
      const { zone } = sim.lab.cloud.getInstance(instance);
      const made = sim.lab.cloud.createVolume({ zone, snapshot, type: "gp3", tags: {} });
      await until(sim, "made", () => made.state === "available");
      sim.lab.cloud.attachVolume(made.id, instance, `/dev/sd${"fgh"[i] ?? ""}`);
      await until(sim, "attached", () => made.attachment.now?.state === "attached");
    }
  }
}

/** `fullcopy` for all nodes, as in Cluster WebUI. */
export async function setFullCopy(sim: Simulation, on: boolean): Promise<void> {
  const lines = [
    "mkdir -p /tmp/conf",
    "cp /opt/nec/clusterpro/etc/clp.conf /tmp/conf/clp.conf",
    "cd /tmp/conf",
    `clpcfset add rscparam md md1 parameters/fullcopy ${on ? "1" : "0"}`,
    "clpcfctrl --push -l -x /tmp/conf",
    "rm -rf /tmp/conf",
  ];
  await type(sim, "server1", lines.join(" && "));
}
