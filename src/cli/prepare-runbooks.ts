/**
 * Part of the build: makes JavaScript of the product's runbooks and of the steps that they share, so that nobody's first
 * command waits for it (some four seconds for all of them). A text that was changed since is translated when it is used.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { builtFolder, codeName, translate } from "./load.ts";
import { productFolder } from "./product.ts";

const folder = join(productFolder, "runbooks");
const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts"),
);

mkdirSync(builtFolder, { recursive: true });
const wanted = new Set<string>();
for (const file of files) {
  const text = readFileSync(join(folder, file), "utf8");
  const name = codeName(file, text);
  wanted.add(name);
  const path = join(builtFolder, name);
  if (existsSync(path)) continue;
  // Another build, or a command, may look at the folder now.
  writeFileSync(`${path}.${process.pid}`, translate(file, text));
  renameSync(`${path}.${process.pid}`, path);
}
for (const name of readdirSync(builtFolder))
  if (name.endsWith(".cjs") && !wanted.has(name)) rmSync(join(builtFolder, name), { force: true });
