/** Writes an inventory from what a node and the cloud tell. It asks them only: nothing there is changed. */
import { dirname, join, relative, resolve } from "node:path";

import { inventoryName } from "../config/inventory.ts";
import { quote } from "../drivers/ssh/quote.ts";
import { harmless } from "./exit.ts";
import { oneLine } from "./format.ts";
import { findCluster, type FoundCluster } from "./init-find.ts";
import { openReach, type InitOptions, type Reach } from "./init-reach.ts";
import { inventoryText } from "./init-text.ts";
import { assertPlaceable, placeInventory } from "./init-write.ts";

export type { InitOptions } from "./init-reach.ts";

/** Beside the inventory, which names it in its first line. */
const schemaName = "runbook.schema.json";

export async function init(file: string | undefined, options: InitOptions): Promise<number> {
  const force = options.force === true;
  const target = resolve(file ?? inventoryName);
  assertPlaceable(target, force);
  const reach = await openReach(options);
  try {
    const found = await findCluster(reach);
    const schema =
      options.schema === true
        ? { file: join(dirname(target), schemaName), text: (await import("./schema.ts")).schemaText() }
        : undefined;
    const text = inventoryText({
      found,
      cloud: reach.cloud,
      lab: reach.lab !== undefined,
      schema: schema && schemaName,
    });
    await placeInventory({ file: target, text }, schema, force);
    for (const line of told(found, reach, target)) process.stdout.write(`${harmless(line)}\n`);
    return 0;
  } finally {
    await reach.close();
  }
}

function told({ config, nodes }: FoundCluster, { lab }: Reach, target: string): readonly string[] {
  const names = (things: readonly { readonly name: string }[]) =>
    things.map(({ name }) => name).join(", ") || "none";
  const shown = relative(process.cwd(), target);
  const usual = shown === inventoryName;
  const doctor = `runbook doctor${usual ? "" : ` --inventory ${pasted(shown)}`}`;
  const key = lab === undefined ? "" : `AWS_ACCESS_KEY_ID=${lab.ec2.accessKeyId} AWS_SECRET_ACCESS_KEY=lab `;
  return [
    `cluster ${config.name}: groups ${names(config.groups)}; mirrors ${names(config.mirrors)}`,
    ...nodes.map(
      ({ name, login, instance, by }) => `  ${name} at ${login.address}: instance ${instance} (${by})`,
    ),
    ...nodes.flatMap(({ name, unreached }) =>
      unreached === undefined
        ? []
        : [
            `note: ${name} was not reached: ${oneLine(unreached)}`,
            `      its address is what clp.conf has; put the one that answers from here into ${shown}`,
          ],
    ),
    `The inventory is in ${shown}; nothing was changed on the nodes or in the cloud.`,
    `Next: \`${key}${doctor}\``,
  ];
}

/** As a word of a command line. */
function pasted(path: string): string {
  return /^[\w./@%+-]+$/.test(path) ? path : quote([path]);
}
