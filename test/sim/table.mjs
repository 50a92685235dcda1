/** What the nights reached: ends by runbook, and how often each class of trouble struck, and when. */
export function printTable(nights) {
  const ends = [...new Set(nights.map(({ end }) => end))].sort();
  const runbooks = [...new Set(nights.map(({ runbook }) => runbook))].sort();
  print(
    ["runbook", ...ends],
    runbooks.map((runbook) => [
      runbook,
      ...ends.map((end) => nights.filter((night) => night.runbook === runbook && night.end === end).length),
    ]),
  );
  const struck = nights.flatMap((night) => night.struck.map((text) => text.split(" / ")));
  const classes = [...new Set(struck.map(([, name]) => name))].sort();
  print(
    ["trouble", "before", "during", "after", "steps"],
    classes.map((name) => [
      name,
      ...["before", "during", "after"].map(
        (moment) => struck.filter(([, each, when]) => each === name && when === moment).length,
      ),
      new Set(struck.filter(([, each]) => each === name).map(([unit]) => unit)).size,
    ]),
  );
}

function print(head, rows) {
  const all = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  for (const row of all)
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "),
    );
  console.log("");
}
