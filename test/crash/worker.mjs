/** A process that plays cases one after the other, as it is told. */
import { play } from "./play.mjs";

process.on("message", async ({ one, options }) => {
  try {
    process.send({ result: await play(one, options) });
  } catch (error) {
    process.send({ result: { id: one.id, wrong: [`the harness failed: ${error.stack ?? error}`], story: [] } });
  }
});
process.on("disconnect", () => process.exit(0));
