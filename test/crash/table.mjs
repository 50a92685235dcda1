/** The table: what was played, how it ended, and what was not as it must be. */

/** Prints it; answers with the exit code. */
export function printTable(results, { cases, undecided, notPlayed, minutes, pace }) {
  const groups = new Map();
  for (const one of cases) {
    const key = one.control ? "control, no tag look-up" : `${one.shape.id}  ${one.kind}`;
    const group = groups.get(key) ?? { key, cases: [], results: [] };
    group.cases.push(one);
    groups.set(key, group);
  }
  for (const result of results)
    for (const group of groups.values()) if (group.cases.includes(result.one)) group.results.push(result);

  const rows = [...groups.values()].map((group) => {
    const planned = sum(group.cases, ({ points }) => points.length);
    const met = sum(group.results, (result) => result.met.length);
    const applies = group.results.filter((result) => result.applies);
    const ended = (...ends) => applies.filter((result) => ends.includes(result.end)).length;
    return {
      "shape, kind of kill": group.key,
      "points there are": group.cases[0].of,
      chosen: planned,
      met,
      runs: group.results.length,
      "no case": group.results.length - applies.length,
      succeeded: ended("succeeded"),
      "given back": ended("given back"),
      stuck: ended("stuck"),
      "played again": group.results.filter(({ tries }) => tries > 1).length,
      violations: group.results.filter(({ wrong }) => wrong.length > 0).length,
    };
  });
  console.log();
  console.log(textOf(rows));
  console.log(
    '\n"met" are the kills that came about: of a run that is killed several times, later processes skip what holds already.\n' +
      '"no case": the world could not change like that at this point (a group that is online nowhere cannot fail over).\n' +
      '"played again": a limit of the product was over because this machine was late, and the next try was well.',
  );

  const control = results.filter(({ one }) => one.control);
  const caught = control.filter(({ wrong }) =>
    wrong.some((line) => /^snapshot-cut .*: [2-9] times/.test(line)),
  );
  const controlPlayed = cases.some(({ control }) => control);
  if (controlPlayed)
    console.log(
      `\ncontrol, without the look-up of the tag: ${caught.length} of ${control.length} cases made snapshots twice, as they must${caught.length === 0 ? ": NOT CAUGHT" : ""}`,
    );
  const stuck = results.filter(({ end, one }) => end === "stuck" && !one.control);
  if (stuck.length > 0) console.log("\nstuck, with the reason:");
  for (const { id, failures } of stuck) console.log(`  ${id}: ${failures.at(-1) ?? ""}`);
  const bad = results.filter(({ wrong, one }) => wrong.length > 0 && !one.control);
  if (bad.length > 0) console.log("\nviolated:");
  for (const { id, wrong } of bad) for (const line of wrong) console.log(`  ${id}: ${line}`);
  console.log(
    `\n${results.length} runs, ${sum(results, ({ met }) => met.length)} kills at pace ${pace} in ${minutes.toFixed(1)} minutes; ${bad.length} runs with violations; ${notPlayed} runs were not played for want of time`,
  );
  if (undecided.length > 0)
    console.log(
      "\nundecided: the machine was late, and there was no time to play it again; the first try said:",
    );
  for (const { id, wrong } of undecided) console.log(`  ${id}: ${wrong[0]}`);
  // A run that did not get through has not passed.
  return undecided.length > 0 || notPlayed > 0 || bad.length > 0 || (controlPlayed && caught.length === 0)
    ? 1
    : 0;
}

const sum = (items, of) => items.reduce((total, item) => total + of(item), 0);

function textOf(rows) {
  const columns = Object.keys(rows[0] ?? {});
  const widths = columns.map((name) => Math.max(name.length, ...rows.map((row) => String(row[name]).length)));
  const line = (cells) =>
    cells
      .map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i])))
      .join("  ");
  return [
    line(columns),
    line(widths.map((width) => "-".repeat(width))),
    ...rows.map((row) => line(columns.map((name) => row[name]))),
  ].join("\n");
}
