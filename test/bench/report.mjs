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
  const [head, rest = ""] = readFileSync(page, "utf8").split("<!-- the last table -->\n");
  const [, tail] = rest.split("<!-- end of the table -->\n");
  if (tail === undefined) throw new Error(`${page} has lost its marks`);
  const text = [
    `Measured on ${new Date().toISOString().slice(0, 10)}, ${pairs} pairs a row (twice as many for U1), on`,
    `${machine[0]} at the beginning and ${machine[1].replace(/^.*, load/, "load")} at the end.\n\n`,
    table(rows),
    ...skipped.map((line) => `\nSkipped: ${line}\n`),
  ];
  const whole = `${head}<!-- the last table -->\n\n${text.join("\n").replace(",\n\n", ", ")}\n<!-- end of the table -->\n${tail}`;
  writeFileSync(page, await format(whole, { ...(await resolveConfig(page)), filepath: page }));
}
