/**
 * `node appender.mjs FOLDER ROUND`: a process that creates the run in round 0, else takes it over, then appends lone rows and
 * groups, and says which were acknowledged, "N ID" each. It ends when it is refused, and says with which kind of failure.
 */
import { writeSync } from "node:fs";
import { createJiti } from "jiti";

const { openStore } = await createJiti(import.meta.url).import("../../src/store/store.ts");
const [folder, round] = process.argv.slice(2);
const store = openStore(folder, { reserveBytes: 4096 });
const at = Number(round);
const writer =
  round === "0"
    ? await store.create({ kind: "start", body: {} }, at, "run1")
    : await store.takeOver("run1", at);
const tell = ({ n, body }) => writeSync(1, `${n} ${body.id}\n`);
for (let i = 0, refused = false; !refused; i += 1) {
  const group = Array.from({ length: i % 3 === 0 ? 1 : 5 }, (_, k) => ({
    id: `${round}-${i}-${k}`,
    text: "x".repeat(i % 700),
  }));
  const rows = group.map((body) => writer.append("read", body, at).then(tell));
  for (const row of await Promise.allSettled(rows)) {
    if (row.status === "fulfilled" || refused) continue;
    refused = true;
    writeSync(1, `refused: ${row.reason.kind}\n`);
  }
}
await writer.close();
