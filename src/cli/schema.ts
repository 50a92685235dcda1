/** The JSON Schema of the inventory, for editors. */
import * as valibot from "valibot";

import { inventoryJsonSchema } from "../config/json-schema.ts";

export async function schema(): Promise<number> {
  process.stdout.write(schemaText());
  return 0;
}

export function schemaText(): string {
  return `${JSON.stringify(inventoryJsonSchema(valibot), null, 2)}\n`;
}
