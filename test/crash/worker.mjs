/** A process that plays cases one after the other, as it is told. */
import { play } from "./play.mjs";

// Loading the product takes a processor for a second. Where too many load at once, those that run are too late for their
// limits, so each asks the parent for its turn.
let turn;
const gate = {
  enter: (first) =>
    new Promise((resolve) => {
      turn = () => {
        let left = false;
        resolve(() => {
          if (!left) process.send({ gate: "leave" });
          left = true;
        });
      };
      process.send({ gate: "enter", first });
    }),
};

process.on("message", async ({ go, one, options }) => {
  if (go) {
    turn();
    return;
  }
  try {
    process.send({ result: await play(one, { ...options, gate }) });
  } catch (error) {
    process.send({
      result: { id: one.id, met: [], wrong: [`the harness failed: ${error.stack ?? error}`], story: [] },
    });
  }
});
process.on("disconnect", () => process.exit(0));
