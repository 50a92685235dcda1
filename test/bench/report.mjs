/** The table on the screen, and the page that keeps the last one. */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release } from "node:os";
import { format, resolveConfig } from "prettier";

const page = new URL("../../docs/reference/performance.md", import.meta.url).pathname;
const columns = ["row", "what", "goal", "measured", "peer", "verdict", "absolute, this time"];

export function machineLine() {
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(" ");
  return `${availableParallelism()} cores (${cpus()[0]?.model.trim() || "unknown"}), ${system()}, Linux ${release()}, Node ${process.versions.node}, load ${load}`;
}

function system() {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}

export function printTable(rows) {
  process.stdout.write(table(rows));
}

function table(rows) {
  const cells = rows.map(({ id, what, goal, measured, peer, verdict, note = "" }) => [
    id,
    what,
    goal,
    measured,
    peer,
    verdict,
    note,
  ]);
  const line = (words) => `| ${words.map((word) => String(word).replaceAll("|", "\\|")).join(" | ")} |\n`;
  return [columns, columns.map(() => "---"), ...cells].map(line).join("");
}

/** Replaces what stands between the two marks of the page, and nothing else. */
export async function writePage({ rows, skipped, machine, pairs }) {
  const [before, after] = ["<!-- the last table -->\n", "<!-- end of the table -->"];
  const old = readFileSync(page, "utf8");
  const [from, to] = [old.indexOf(before), old.indexOf(after)];
  if (from < 0 || to < from) throw new Error(`${page} has lost its marks`);
  const day = new Date().toISOString().slice(0, 10);
  const parts = [
    `Measured on ${day} with ${pairs} pairs a row (twice as many for U1, six times for J1 and J2).`,
    `Machine before: ${machine[0]}. After: ${machine[1].slice(machine[1].lastIndexOf("load"))}.`,
    table(rows),
    ...skipped.map((line) => `Skipped: ${line}.`),
  ];
  const text = `${old.slice(0, from + before.length)}\n${parts.join("\n\n")}\n${old.slice(to)}`;
  writeFileSync(page, await format(text, { ...(await resolveConfig(page)), filepath: page }));
}
