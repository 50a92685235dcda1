/** Loaded before the product: writes down which modules of a cloud's SDK its process had loaded when it ended. */
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
process.on("exit", () => {
  const sdk = Object.keys(require.cache).filter((file) => /node_modules\/(@aws-sdk|@smithy|oci-)/.test(file));
  writeFileSync(process.env["BENCH_LOADED"] ?? "", sdk.map((file) => `${file}\n`).join(""));
});
