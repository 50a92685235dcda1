/**
 * A drill: a restore that is thrown away. Here is what it looks at before anything is touched, and how what it finds is
 * judged; its steps are in runbooks/steps/drill-*.ts. "Not proven" is a result of its own, and never green (design 1).
 */
import { Failure, invariant } from "../errors.ts";
import { drillFolders, type Tried } from "../ports/nodes.ts";
import type { DrillCheck, DrillSetting } from "./drill-setting.ts";
import { pointFound } from "./points.ts";
import { assertGranted, sampleTags } from "./rights.ts";
import { check, type World } from "./step.ts";

export type Verdict = "passed" | "failed" | "not proven";

export interface Judged {
  readonly name: string;
  readonly result: Verdict;
  /** What was found; said of all that did not pass. */
  readonly why: string;
}

export const drillTag = "runbook:drill";

export function drillOf(world: Pick<World, "settings" | "members" | "instanceOf">): DrillSetting {
  const { drill, staging } = world.settings;
  // On staging one node is enough to look at the content of a point.
  const [node = ""] = world.members;
  if (staging) return { ...staging, node, instance: world.instanceOf(node) };
  invariant(drill, "a drill without its setting");
  return drill;
}

/** Where everything lies that this drill puts on the scratch node. */
export function drillFolder(world: Pick<World, "run">): string {
  return `${drillFolders}${world.run}`;
}

/** A mirror's data is in the folder of this name. */
export function dataMirrorsIn(holds: string): readonly string[] {
  return holds.split("+").flatMap((part) => (part.endsWith(":data") ? [part.slice(0, -":data".length)] : []));
}

/** Nothing is done with a machine of which it is not certain that it is the one to throw things away on. */
export const scratchClean = check("The scratch node is clean, and a member of no cluster", async (world) => {
  const { node, instance: id, production } = drillOf(world);
  const ours = Object.entries(production).find(([name, instance]) => name === node || instance === id);
  if (ours)
    throw new Failure("precondition", `${node} (${id}) is ${ours[0]}, a node of ${world.clusterName}`, {
      hint: "a drill needs a machine of its own: name another one in the inventory",
    });
  const instance = await world.cloud.getInstance(id);
  if (instance.state !== "running")
    throw new Failure("precondition", `instance ${id} of ${node} is ${instance.state}; wanted running`, {
      hint: "power it on",
    });
  const data = instance.attachments.filter(({ device }) => device !== instance.rootDevice);
  if (data.length > 0) {
    const volumes = await world.cloud.getVolumes(data.map(({ volume }) => volume));
    const other = volumes.map(({ tags }) => tags[drillTag]).find((run) => run !== undefined);
    throw new Failure(
      "precondition",
      `${node} has volumes beside its root: ${data.map(({ volume, device }) => `${volume} (${device})`).join(", ")}`,
      {
        hint:
          other === undefined
            ? "a scratch node has none, so that nothing can be taken for what was restored: detach them"
            : `drill ${other} left them: \`runbook undo ${other}\` takes them away, or \`runbook sweep\` tells how`,
      },
    );
  }
  const traces = await world.cluster.listTraces(node);
  if (traces.length > 0)
    throw new Failure("precondition", `${node} has the cluster's software on it: ${traces.join(", ")}`, {
      hint: "a scratch node is never a member of a cluster: name another one in the inventory",
    });
  const mounted = (await world.nodes.listMounts(node)).filter(({ point }) => point.startsWith(drillFolders));
  if (mounted.length > 0)
    throw new Failure(
      "precondition",
      `${node} has something of another drill mounted: ${mounted.map(({ point }) => point).join(", ")}`,
      { hint: "finish that drill, or reboot the scratch node" },
    );
  return { node, instance: id, zone: instance.zone };
});

export interface DrillPlace {
  readonly snapshot: string;
  readonly holds: string;
  /** A name that is free on the scratch node. */
  readonly device: string;
  readonly sizeGiB: number;
  readonly encrypted: boolean;
}

/** `/dev/sd[f-p]` are those that EC2 advises (reference aws-ebs 7). */
export const deviceNames = [..."fghijklmnop"].map((letter) => `/dev/sd${letter}`);

export const drillPlaces = check<readonly DrillPlace[]>(
  "Each snapshot of the point has its place on the scratch node",
  async (world) => {
    const { snapshots, point } = world.outcomeOf(pointFound);
    const { instance: id, checks } = drillOf(world);
    const instance = await world.cloud.getInstance(id);
    const taken = [instance.rootDevice, ...instance.attachments.map(({ device }) => device)];
    const free = deviceNames.filter((name) => !taken.includes(name));
    if (free.length < snapshots.length)
      throw new Failure("precondition", `${id} has ${free.length} free devices; wanted ${snapshots.length}`);
    const mirrors = snapshots.flatMap(({ holds }) => dataMirrorsIn(holds));
    if (mirrors.length === 0)
      throw new Failure(
        "precondition",
        `point ${point} does not say what of the mirrors its snapshots hold`,
        {
          hint: "a point that was recorded by a backup run says it; this one can only be restored by hand",
        },
      );
    const crowded = snapshots.find(({ holds }) => dataMirrorsIn(holds).length > 1);
    if (crowded)
      throw new Failure(
        "unsupported",
        `${crowded.id} holds the data of several mirrors (${crowded.holds}), which a drill cannot tell apart yet`,
      );
    const unknown = checks.find((each) => each.kind !== "http" && !mirrors.includes(each.on));
    if (unknown)
      throw new Failure(
        "precondition",
        `the check "${unknown.name}" is about a mirror that point ${point} does not hold: it has ${mirrors.join(", ")}`,
        { hint: "mend `drill.checks` in the inventory, or choose another point" },
      );
    return snapshots.map(({ id: snapshot, holds, sizeGiB, encrypted }, i) => ({
      snapshot,
      holds,
      device: free[i] ?? "",
      sizeGiB,
      encrypted,
    }));
  },
);

export const drillRights = check("The cloud grants what the drill will ask for", async (world) => {
  const { instance, zone } = world.outcomeOf(scratchClean);
  const missing: string[] = [];
  for (const { snapshot, device } of world.outcomeOf(drillPlaces))
    missing.push(
      ...(await world.cloud.findMissingRestoreRights({
        instance,
        volumes: [],
        snapshot,
        zone,
        device,
        starts: false,
        marked: [snapshot],
        tags: sampleTags(world),
      })),
    );
  return assertGranted(missing);
});

/** Told, never refused. */
export const drillTold = check("What this drill can prove, and what not", async (world) => {
  const { consistency, why, cutAt } = world.outcomeOf(pointFound);
  const { checks } = drillOf(world);
  const mirrors = world.outcomeOf(drillPlaces).flatMap(({ holds }) => dataMirrorsIn(holds));
  const unchecked = mirrors.filter(
    (mirror) => !checks.some((each) => each.kind !== "http" && each.on === mirror),
  );
  return {
    told: [
      `the point was cut at ${cutAt}`,
      "it proves the content of the point, not that a cluster can be restored from it",
      ...(consistency === "quiesced" ? [] : [`the point is ${consistency}: ${why}`]),
      ...unchecked.map((mirror) => `no check is declared for ${mirror}: of it, only that it can be mounted`),
    ],
  };
});

/** How a check is run on the scratch node: always one command, in a folder of the restored file system. */
export function commandOf(each: DrillCheck): { readonly user: string; readonly argv: readonly string[] } {
  switch (each.kind) {
    case "command":
      return { user: each.user, argv: each.argv };
    case "file":
      return { user: "root", argv: ["sh", "-c", fileScript, "runbook-check-file", each.path] };
    case "http":
      return {
        user: "nobody",
        argv: [
          "curl",
          "-q",
          "-sS",
          "--max-time",
          String(each.seconds),
          "-w",
          `\\n${httpMark}%{http_code}`,
          each.url,
        ],
      };
  }
}

const httpMark = "runbook-status=";

// A link may lead out of the restored folder, to a file of the scratch node's own that happens to be the same.
const leadsOut = 91;
const notThere = 92;
const fileScript = `real=$(readlink -e "$1") || exit ${notThere}
here=$(readlink -e .)
case "$real" in "$here"/*) ;; *) exit ${leadsOut} ;; esac
exec sha256sum "$real"
`;

/** What the outcome of a check means. What did not come to an answer proves nothing, in either direction. */
export function judgeCheck(each: DrillCheck, tried: Tried | undefined): Judged {
  const say = (result: Verdict, why: string): Judged => ({ name: each.name, result, why });
  if (tried === undefined) return say("not proven", "it was not run");
  const { code, stdout, stderr, why, cut } = tried;
  if (code === undefined) return say("not proven", why);
  // timeout(1) ends with 124, or, where it had to kill, with 137; a shell says 126 and 127 of what it could not start.
  if (code === 124 || code === 137) return say("not proven", `it took longer than ${each.seconds} s`);
  const said = firstLine(stderr) || firstLine(stdout);
  if (code === 125 || code === 126 || code === 127)
    return say("not proven", `it could not be run there (exit status ${code}): ${said}`);
  if (cut) return say("not proven", "it printed more than is kept, so that it cannot be judged");
  switch (each.kind) {
    case "command":
      return judgeCommand(each, code, stdout, said, say);
    case "file":
      if (code === notThere) return say("failed", `${each.path} is not there`);
      if (code === leadsOut) return say("failed", `${each.path} leads out of the restored file system`);
      if (code !== 0) return say("failed", `${each.path} cannot be read: ${said}`);
      return each.sha256 === null || stdout.replace(/^\\/, "").startsWith(`${each.sha256} `)
        ? say("passed", "")
        : say(
            "failed",
            `${each.path} has the checksum ${firstLine(stdout).slice(0, 64)}; wanted ${each.sha256}`,
          );
    case "http":
      return judgeHttp(each, code, stdout, said, say);
  }
}

type Say = (result: Verdict, why: string) => Judged;

function judgeCommand(
  { stdout: wanted, matches }: Extract<DrillCheck, { kind: "command" }>,
  code: number,
  stdout: string,
  said: string,
  say: Say,
): Judged {
  if (code !== 0) return say("failed", `exit status ${code}${said === "" ? "" : `: ${said}`}`);
  const printed = stdout.replace(/\n$/, "");
  if (wanted !== null && printed !== wanted.replace(/\n$/, ""))
    return say("failed", `it printed ${short(printed)}; wanted ${short(wanted)}`);
  if (matches !== null && !new RegExp(matches, "m").test(printed))
    return say("failed", `it printed ${short(printed)}, which does not fit /${matches}/`);
  return say("passed", "");
}

function judgeHttp(
  { url, status, contains }: Extract<DrillCheck, { kind: "http" }>,
  code: number,
  stdout: string,
  said: string,
  say: Say,
): Judged {
  // Nobody answered: of the content, that says nothing.
  if (code !== 0) return say("not proven", `${url} gave no answer (curl ended with ${code}): ${said}`);
  const at = stdout.lastIndexOf(`\n${httpMark}`);
  const found = Number(stdout.slice(at + httpMark.length + 1));
  if (at < 0 || !Number.isInteger(found)) return say("not proven", `${url}: its status cannot be read`);
  if (found !== status) return say("failed", `${url} answered ${found}; wanted ${status}`);
  if (contains !== null && !stdout.slice(0, at).includes(contains))
    return say("failed", `${url} answered ${found}, without ${short(contains)}`);
  return say("passed", "");
}

/** One mount: whatever is refused there is refused to whoever restores, unless the scratch node itself lacks something. */
export function judgeMount(name: string, tried: Tried | undefined): Judged {
  if (tried?.code === 0) return { name, result: "passed", why: "" };
  const said = tried === undefined ? "it was not tried" : firstLine(tried.stderr) || tried.why;
  // The kernel of the scratch node does not know the file system (mount(8), from memory): that says nothing of the point.
  const lacks = tried?.code === undefined || /unknown filesystem type/i.test(said);
  return { name, result: lacks ? "not proven" : "failed", why: said };
}

/** A point that is called quiesced has nothing left to replay. Of another one, nothing was promised. */
export function judgeLogOf(
  mirror: string,
  { log, why }: { readonly log: string; readonly why: string },
  consistency: string,
): Judged {
  const name = `the log of ${mirror}`;
  if (log === "clean" || consistency !== "quiesced") return { name, result: "passed", why: "" };
  return log === "dirty"
    ? { name, result: "failed", why: `${why}, though the point is called quiesced` }
    : { name, result: "not proven", why };
}

/** What failed outweighs what is not proven, and both outweigh the rest; of nothing, nothing is proven. */
export function verdictOf(judged: readonly Judged[]): Verdict {
  if (judged.some(({ result }) => result === "failed")) return "failed";
  if (judged.length === 0 || judged.some(({ result }) => result === "not proven")) return "not proven";
  return "passed";
}

export function sayJudged({ name, result, why }: Judged): string {
  return `${name}: ${result}${why === "" ? "" : ` (${why})`}`;
}

/** Instants of a drill, milliseconds since the epoch. */
export interface DrillTimes {
  readonly begun: number;
  readonly ready: number;
  readonly found: number;
  readonly mounted: number;
  readonly checked: number;
  readonly cutAt: string;
  readonly targetMinutes: number | null;
}

/** How long the restore took, by phase, and how old the point was. Time in which nobody was at work on the drill counts. */
export function sayNumbers(times: DrillTimes): readonly string[] {
  const { begun, ready, found, mounted, checked, cutAt, targetMinutes } = times;
  return sayPhases({
    begun,
    phases: [
      ["volumes", ready],
      ["attached and found", found],
      ["mounted", mounted],
      ["checked", checked],
    ],
    cutAt,
    targetMinutes,
  });
}

/** Each phase with the instant of its end; one that never came to be has none. */
export function sayPhases(times: {
  readonly begun: number;
  readonly phases: readonly (readonly [string, number | undefined])[];
  readonly cutAt: string;
  readonly targetMinutes: number | null;
}): readonly string[] {
  const { begun, cutAt, targetMinutes } = times;
  const said: string[] = [];
  let last = begun;
  for (const [name, end] of times.phases) {
    if (end === undefined) continue;
    said.push(`${name} ${span(end - last)}`);
    last = end;
  }
  const total = last - begun;
  const target =
    targetMinutes === null
      ? "no target is set"
      : `the target is ${targetMinutes} min: ${total <= targetMinutes * 60_000 ? "met" : "missed"}`;
  return [
    `recovery time ${span(total)} (${said.join(", ")}); ${target}`,
    `the point was ${span(begun - Date.parse(cutAt))} old`,
  ];
}

function span(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes < 2) return `${Math.round(ms / 1000)} s`;
  if (minutes < 120) return `${minutes.toFixed(1)} min`;
  return minutes < 48 * 60 ? `${(minutes / 60).toFixed(1)} h` : `${(minutes / 1440).toFixed(1)} d`;
}

function firstLine(text: string): string {
  return (text.trim().split("\n")[0] ?? "").slice(0, 200);
}

function short(text: string): string {
  const shown = JSON.stringify(text);
  return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
}
