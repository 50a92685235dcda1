/** Writes an inventory from what a node and the cloud tell. It asks them only: nothing there is changed. */
import { dirname, join, relative, resolve } from "node:path";

import { inventoryName } from "../config/inventory.ts";
import { quote } from "../drivers/ssh/quote.ts";
import { Failure } from "../errors.ts";
import { harmless } from "./exit.ts";
import { oneLine } from "./format.ts";
import { findCluster, type FoundCluster } from "./init-find.ts";
import { openReach, type InitOptions, type Reach } from "./init-reach.ts";
import { assertOnlyAdded, withCluster } from "./init-add.ts";
import { addedLines, clusterName, defaultLines, inventoryText } from "./init-text.ts";
import { assertPlaceable, placeInventory, readExisting, replaceInventory } from "./init-write.ts";

export type { InitOptions } from "./init-reach.ts";

/** Beside the inventory, which names it in its first line. */
const schemaName = "runbook.schema.json";

export async function init(file: string | undefined, options: InitOptions): Promise<number> {
  const target = resolve(file ?? inventoryName);
  return options.add === true ? addTo(target, options) : writeNew(target, options);
}

async function writeNew(target: string, options: InitOptions): Promise<number> {
  const force = options.force === true;
  assertPlaceable(target, force);
  return withReach(options, async (reach) => {
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
    const shown = relative(process.cwd(), target);
    return [
      ...told(found, shown),
      `The inventory is in ${shown}; nothing was changed on the nodes or in the cloud.`,
      next(reach, target, []),
    ];
  });
}

/** The inventory is a person's by now: it is only added to. */
async function addTo(target: string, options: InitOptions): Promise<number> {
  const stray = (["force", "schema"] as const).filter((option) => options[option] === true);
  if (stray.length > 0)
    throw new Failure("invalid", `--add is given with --${stray.join(" and --")}`, {
      hint:
        options.force === true
          ? "--add keeps what is there, --force writes over it: give one of them"
          : "what is there stays as it is: write the schema with `runbook schema > runbook.schema.json`",
    });
  const existing = await readExisting(target);
  const { inventory } = existing;
  return withReach(options, async (reach) => {
    const found = await findCluster(reach);
    const name = clusterName(found.config.name);
    if (Object.hasOwn(inventory.clusters, name))
      throw new Failure("precondition", `${existing.file} has a cluster ${name} already`, {
        hint: "name a node of another cluster; or take it out of the file, to have it written anew",
      });
    const [first = "", ...others] = Object.keys(inventory.clusters);
    // Of one cluster none needed to be the default; of two, commands without a name would be refused from now on.
    const newDefault = inventory.default === undefined && others.length === 0 ? first : undefined;
    const addition = {
      name,
      lines: addedLines({ found, cloud: reach.cloud, lab: reach.lab !== undefined }),
      naming: newDefault === undefined ? [] : defaultLines(newDefault),
    };
    const text = withCluster(existing.file, existing.text, addition);
    await replaceInventory(existing, text, (is) => assertOnlyAdded(inventory, is, addition));
    const shown = relative(process.cwd(), target);
    return [
      ...told(found, shown),
      `The cluster ${name} was added to ${shown}; nothing was changed on the nodes or in the cloud.`,
      ...(newDefault === undefined
        ? []
        : [`note: ${newDefault} is the default now: it is meant where no cluster is named`]),
      next(reach, target, [name]),
    ];
  });
}

/** Asks, and prints what came of it. */
async function withReach(
  options: InitOptions,
  ask: (reach: Reach) => Promise<readonly string[]>,
): Promise<number> {
  const reach = await openReach(options);
  try {
    for (const line of await ask(reach)) process.stdout.write(`${harmless(line)}\n`);
    return 0;
  } finally {
    await reach.close();
  }
}

function told({ config, nodes }: FoundCluster, shown: string): readonly string[] {
  const names = (things: readonly { readonly name: string }[]) =>
    things.map(({ name }) => name).join(", ") || "none";
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
  ];
}

function next({ lab }: Reach, target: string, cluster: readonly string[]): string {
  const shown = relative(process.cwd(), target);
  const usual = shown === inventoryName;
  const doctor = ["runbook doctor", ...cluster, ...(usual ? [] : [`--inventory ${pasted(shown)}`])].join(" ");
  const key = lab === undefined ? "" : `AWS_ACCESS_KEY_ID=${lab.ec2.accessKeyId} AWS_SECRET_ACCESS_KEY=lab `;
  return `Next: \`${key}${doctor}\``;
}

/** As a word of a command line. */
function pasted(path: string): string {
  return /^[\w./@%+-]+$/.test(path) ? path : quote([path]);
}
