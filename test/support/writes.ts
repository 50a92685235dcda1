/** The lab's log of writes as lines that are the same for every run: what differs by nature is masked. */
import type { Received } from "../../src/lab/world.ts";

export function plainWrites(received: readonly Pick<Received, "class" | "line" | "node">[]): string {
  const masks: (readonly [RegExp, string])[] = [
    [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, "«boot id»"],
    [/snap-[0-9a-f]{17}/g, "«snapshot»"],
    [/\S+@\S+ pid \d+/g, "«owner»"],
  ];
  const writes = received.filter((row) => row.class === "write");
  const run = writes
    .map(({ line }) => /^runbook-takeMarker (\S+)/.exec(line)?.[1])
    .find((found) => found !== undefined);
  return writes
    .filter(({ line }) => !/^runbook-(renew|adopt)/.test(line))
    .map(({ line, node }) => `${node ?? "cloud"}: ${line}`)
    .map((line) => (run === undefined ? line : line.replaceAll(run, "«run»")))
    .map((line) => masks.reduce((masked, [pattern, name]) => masked.replaceAll(pattern, name), line))
    .join("\n");
}
