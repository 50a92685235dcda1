/**
 * A writer in a thread of its own that stands still before it writes its row, and again between the write and the end of
 * the sync, until it is let go on. Its row before may have failed: then it changes its segment, and stands still before it
 * takes the next number ("number"), or before it writes to the new segment ("new segment").
 */
import fs, { writeSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import { createJiti } from "jiti";

const { state, at, ends } = workerData;
const { openStore } = await createJiti(import.meta.url).import("../../src/store/store.ts");
const tell = (where, what) => {
  Atomics.store(state, where, what);
  Atomics.notify(state, where);
};

let gate = "none";
const standStill = () => {
  if (Atomics.load(state, at.mayWrite) === 0) parentPort.postMessage("stands still");
  Atomics.wait(state, at.mayWrite, 0);
};
const { linkSync } = fs;
fs.linkSync = (...args) => {
  if (gate === "number") standStill();
  return linkSync(...args);
};
syncBuiltinESMExports();

parentPort.on("message", async ({ folder, mode, self, uid }) => {
  let fails = false;
  const disk = {
    write: (fd, bytes) => {
      if (gate === "segment" || gate === "new segment") standStill();
      return writeSync(fd, fails ? bytes.subarray(0, 20) : bytes);
    },
    sync: (fd, done) => {
      if (gate !== "none") {
        tell(at.hasWritten, 1);
        Atomics.wait(state, at.mayEnd, 0);
      }
      done(null);
    },
  };
  const machine = { self, uid, startOf: () => self.started };
  const store = openStore(folder, { disk, machine, reserveBytes: 64 });
  const writer = await store.create({ kind: "start", body: {} }, 1, "run1");
  fails = mode !== "segment";
  if (fails) await writer.append("lost", {}, 2).catch(() => undefined);
  fails = false;
  gate = mode;
  const late = writer.append("late", {}, 3);
  const end = await late.then(
    () => ends.acknowledged,
    ({ kind }) => (kind === "conflict" ? ends.refused : ends.wrong),
  );
  gate = "none";
  await writer.close();
  tell(at.ended, end);
  tell(at.hasWritten, 1);
});
parentPort.postMessage("loaded");
