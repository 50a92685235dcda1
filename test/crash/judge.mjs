/** Whether a case ended well, judged by the lab's own heart and by the journal, and never by what the product printed. */
import { differences } from "../../dist/src/lab/compare.js";

/** What may happen no more often than in an undisturbed run, however often the runner died. */
const counted = {
  "group-stopped": ({ group }) => group,
  "mirror-broken": ({ mirror, node }) => `${mirror} on ${node}`,
  "backup-mode-on": ({ mirror, node }) => `${mirror} on ${node}`,
  "backup-mode-off": ({ mirror, node }) => `${mirror} on ${node}`,
  "snapshot-cut": ({ volume }) => volume,
  "instance-starting": ({ instance }) => instance,
  "node-stopping": ({ node, reboot }) => `${node}${reboot ? ", reboot" : ""}`,
  "volume-created": ({ snapshot }) => `from ${snapshot}`,
};

/** How often each counted effect was caused by a call of the tool, and not by the world or another hand. */
export function effectsOf(world) {
  const ours = new Set(world.received().flatMap((row) => row.effects));
  const counts = {};
  for (const { n, detail } of world.effects()) {
    const name = Object.hasOwn(counted, detail.kind) ? counted[detail.kind](detail) : undefined;
    if (name === undefined || !(ours.has(n) || isWorldOfTool(detail.kind))) continue;
    const key = `${detail.kind} ${name}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

// A cut is the cloud's own act in answer to a call, and nobody else's.
const isWorldOfTool = (kind) => kind === "snapshot-cut";

/** The end that the journal tells, with what it says of itself. */
export function endOf(rows) {
  const end = rows.findLast((row) => row.kind === "end");
  const failures = rows
    .filter((row) => row.kind === "failure" || row.kind === "not-undone" || row.kind === "timeout")
    .map(({ kind, body }) => `${kind} ${body.unit ?? ""}: ${body.trouble?.message ?? ""}`);
  return { end: end?.body.end, exposures: end?.body.exposures ?? [], failures };
}

/** What must be so whatever happened: the lab's invariants, no gap of the lab, a truthful end, the world as it was. */
export function judgeAlways(world, { run, rows, shape, mayMove }) {
  const { lab } = world;
  const wrong = [];
  for (const what of new Set(world.breaches)) wrong.push(`invariant: ${what}`);
  for (const line of world.gaps()) wrong.push(`lab gap: ${line}`);
  const { end, exposures } = endOf(rows);
  if (end !== "succeeded" && end !== "given back" && end !== "stuck" && end !== "refused")
    wrong.push(`the journal tells no end (${String(end)})`);
  if (end !== "stuck") {
    const restored = shape.places && end === "succeeded";
    const changed = differences(world.before(), world.describe()).filter(
      (line) =>
        !(mayMove && /^clusters\.prod\.groups\./.test(line)) &&
        !(restored && /^volumes\.|attachments|mirrors\.md1\.volumes/.test(line)),
    );
    if (restored) wrong.push(...judgeRestored(world));
    wrong.push(...world.leftOver());
    // Moved or not, each group is online, and on one node.
    for (const group of [...lab.clusters.values()].flatMap(({ groups }) => groups)) {
      const places = [...group.places.values()];
      if (places.length !== 1 || places[0] !== "online") wrong.push(`group ${group.name} is not online`);
    }
    const beyond = mayMove ? changed.filter((line) => !movedWith(line)) : changed;
    if (beyond.length > 0) wrong.push(`the world is not as it was: ${beyond.join("; ")}`);
    if (exposures.length > 0) wrong.push(`it ended ${end} with ${JSON.stringify(exposures)} still exposed`);
  }
  const snapshots = world.snapshots();
  for (const { id, tags, truth } of snapshots) {
    // With both nodes off nobody writes, and no mirror has to be broken for it.
    const whole = truth.powerOff && truth.clean && (truth.isolated || shape.runbook === "backup-both");
    if (tags["runbook:consistency"] === "quiesced" && !whole)
      wrong.push(`${id} is called quiesced, and is ${JSON.stringify(truth)}`);
    if (end === "succeeded" && tags["runbook:consistency"] === undefined)
      wrong.push(`${id} carries no word on its consistency`);
  }
  if (shape.scratch) wrong.push(...judgeDrill(world, { run, end, shape }));
  if (end === "succeeded" && shape.runbook !== "backup-both" && !shape.places && !shape.scratch) {
    const point = rows.findLast((row) => row.kind === "outcome" && row.body.unit === "recordPoint")?.body
      .found;
    if (point === undefined) wrong.push("it succeeded without a recovery point");
    else if (snapshots.some(({ tags }) => tags["runbook:consistency"] !== point.consistency))
      wrong.push(`the journal calls the point ${point.consistency}, and the cloud something else`);
  }
  const stops = Object.entries(effectsOf(world)).filter(
    ([key, n]) => key.startsWith("group-stopped") && n > 1,
  );
  // Where the procedure itself stops it more than once, an undisturbed run says how often.
  for (const [key, n] of ["backup-active", "drill-staging"].includes(shape.runbook) ? [] : stops)
    wrong.push(`the service was stopped ${n} times by the tool (${key})`);
  return wrong;
}

/** Of volumes that runs of the product made: none is left over. */
function madeVolumes({ lab }) {
  return [...lab.cloud.listVolumes()].filter(
    ({ tags, state }) => tags["runbook:replaces"] !== undefined && state !== "deleted",
  );
}

/** The files are those of the cut, on both sides, and each volume that was made is in its place. */
function judgeRestored(world) {
  const { lab } = world;
  const wrong = [];
  const sides = ["server1", "server2"].map((node) => lab.volumeOf(node, "md1"));
  for (const volume of sides) {
    const files = volume === undefined ? {} : lab.readFiles(volume);
    if (files["orders.txt"] !== "one" || files["late.txt"] !== undefined)
      wrong.push(`${volume ?? "no volume"} holds ${JSON.stringify(files)}`);
  }
  for (const { id } of madeVolumes(world))
    if (!sides.includes(id)) wrong.push(`${id} was made, and is in no place`);
  return wrong;
}

/** Of the clusters that it does not work on nothing was written to, of the point nothing but the mark; and the mark is true. */
function judgeDrill({ lab, ...world }, { run, end, shape }) {
  const wrong = [];
  const mark = shape.on === undefined ? "runbook:tested-content" : "runbook:tested-cluster";
  const others = [...lab.clusters.values()].filter(({ name }) => name !== shape.on);
  const ids = others.flatMap(({ members }) =>
    members.flatMap(({ node: { name, instance } }) => [
      name,
      instance,
      ...lab.cloud.attached(instance).map(({ volume }) => volume),
    ]),
  );
  for (const { node, line, operation, params } of world.writes()) {
    const met = ids.find((id) => node === id || JSON.stringify(params ?? {}).includes(id));
    if (met !== undefined) wrong.push(`a drill wrote to ${met}: ${line}`);
    const known = ["CreateVolume", "AttachVolume", "DetachVolume", "DeleteVolume", "CreateTags"];
    if (shape.on !== undefined) known.push("StartInstances", "StopInstances", "DeleteTags");
    if (operation !== undefined && !known.includes(operation)) wrong.push(`a drill called ${line}`);
  }
  for (const line of differences(world.tagsBefore(), world.tags()))
    if (!line.includes(`.${mark}: `)) wrong.push(`a drill changed more than its mark: ${line}`);
  // What was cut is right, and its log is clean: there is no night in which it fails the checks.
  const marks = Object.values(world.tags()).flatMap((tags) => tags[mark] ?? []);
  for (const each of marks)
    if (!each.includes("passed") || !each.includes(run)) wrong.push(`the point is marked ${each}`);
  if (end === "succeeded" && marks.length !== Object.keys(world.tags()).length)
    wrong.push("it succeeded, and the point does not say so");
  return wrong;
}

// Where the service went, its mounts and the open file system go too.
const movedWith = (line) =>
  /^clusters\.prod\.nodes\.[^.]+\.mounts/.test(line) || /^volumes\.[^.]+\.content\.dirty/.test(line);

/** Resumed at once: ends as an undisturbed run does, exactly one snapshot a volume, and no effect twice. */
export function judgeAsUndisturbed(world, { rows, undisturbed, shape }) {
  const wrong = [];
  const { end, failures } = endOf(rows);
  const counts = effectsOf(world);
  // A restore (or a drill) that met something that it cannot prove any more gives back what it found: judged as well.
  if (end !== "succeeded" && !((shape.places || shape.scratch) && end === "given back"))
    wrong.push(`it ended ${end}: ${failures.join(" | ")}`);
  if (end !== "succeeded") return wrong;
  for (const [key, n] of Object.entries(counts))
    if (n > (undisturbed[key] ?? (Object.keys(undisturbed).length === 0 ? Infinity : 1)))
      wrong.push(`${key}: ${n} times, undisturbed ${undisturbed[key] ?? 1} times`);
  for (const key of end === "succeeded" ? Object.keys(undisturbed) : [])
    if (counts[key] === undefined) wrong.push(`${key}: never, undisturbed ${undisturbed[key]} times`);
  return wrong;
}
