import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that holds the product's package.json: two or three levels up, in a clone as in an installed package. */
export const productFolder: string = findUp(dirname(fileURLToPath(import.meta.url)));

export function productVersion(): string {
  const text = readFileSync(join(productFolder, "package.json"), "utf8");
  return String((JSON.parse(text) as { version: unknown }).version);
}

function findUp(folder: string): string {
  if (existsSync(join(folder, "package.json"))) return folder;
  const above = dirname(folder);
  return above === folder ? folder : findUp(above);
}
