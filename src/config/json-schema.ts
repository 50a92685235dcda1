/**
 * The inventory's schema as JSON Schema, for editors: made by walking the schema that the reader checks with, so that the two
 * cannot drift apart. Draft 7, because the YAML language server that most editors use supports "JSON Schema 7 and below".
 */
import type * as Valibot from "valibot";
import { Failure } from "../errors.ts";
import { inventorySchema } from "./schema.ts";

export type JsonSchema = { readonly [keyword: string]: unknown };

/** valibot is handed in, because it is loaded only when it is needed. */
export function inventoryJsonSchema(v: typeof Valibot): JsonSchema {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "The inventory of runbook",
    ...walk(inventorySchema(v), []),
  };
}

/** What a key means, in one line; undefined for one that the table does not have. */
export function meaningOf(path: readonly string[]): string | undefined {
  const name = path.join(".");
  return meanings[name] ?? meanings[likeOf(name)];
}

/** What has the same keys as something else, and means the same by them. */
function likeOf(name: string): string {
  return name
    .replace(/^clusters\.\*\.drill\.scratch\./, "clusters.*.nodes.*.")
    .replace(/^clusters\.\*\.(restore|staging)\.checks\.\*/, "clusters.*.drill.checks.*");
}

/** By the path of the key, with * for a name that people choose, and for an element of a list. */
const meanings: { readonly [path: string]: string | undefined } = {
  default: "the cluster that is meant when none is named",
  clusters: "your clusters, by names that you choose",
  "clusters.*.manager": "the cluster software",
  "clusters.*.cloud": "the cloud that its nodes run in",
  "clusters.*.cloud.driver": "which cloud it is",
  "clusters.*.cloud.region": "the region of its instances",
  "clusters.*.cloud.profile":
    "a profile of ~/.aws; without it the SDK looks for credentials as it always does",
  "clusters.*.cloud.endpoint": "another address of the cloud's API",
  "clusters.*.cloud.prices": "what things cost by your contract, for `runbook sweep`",
  "clusters.*.nodes": "both nodes, by the names that the cluster's own configuration gives them",
  "clusters.*.nodes.*.address": "how the node is reached from here: a host name or an IP address",
  "clusters.*.nodes.*.port": "the port of its SSH server",
  "clusters.*.nodes.*.user": "as whom to log in",
  "clusters.*.nodes.*.identity": "the private key to log in with",
  "clusters.*.nodes.*.knownHosts": "the known_hosts file that has its host key",
  "clusters.*.nodes.*.sudo": "whether commands are run by `sudo -n`",
  "clusters.*.nodes.*.jump": "the gateway on the way there",
  "clusters.*.nodes.*.instance": "the instance that it runs on",
  "clusters.*.settings": "times and tolerances; each has a default",
  "clusters.*.settings.deadManMinutes":
    "after how many minutes without a sign of the run the active node starts its groups again",
  "clusters.*.settings.leaseMinutes":
    "for how many minutes a run holds the cluster after its last sign of life",
  "clusters.*.settings.copyHours": "how many hours a full copy of the mirrors may take",
  "clusters.*.settings.acceptBareNvme": "accepts paths such as /dev/nvme1n1, which change between boots",
  "clusters.*.backupEvery": "how old the newest backup may become, for `runbook status --check`",
  "clusters.*.drillEvery": "how old the newest drill that passed may become, for `runbook status --check`",
  "clusters.*.drill": "where recovery points are tried out, and what must be found in them",
  "clusters.*.drill.scratch": "a machine of its own: what is restored there is thrown away",
  "clusters.*.drill.scratch.node": "its name",
  "clusters.*.drill.target": "in how many minutes the data should be back, checked",
  "clusters.*.staging":
    "this is the staging cluster of another one, whose recovery points are tried out here",
  "clusters.*.staging.of": "the other cluster, of this file and of the same region",
  "clusters.*.staging.isolated":
    "nothing that runs here reaches the other cluster or its clients, so that groups may be started",
  "clusters.*.staging.shares": "addresses, names and ids that both clusters may have",
  "clusters.*.staging.target": "in how many minutes the service should run, checked",
  "clusters.*.staging.checks": "as those of a drill, in the place of the other cluster's",
  "clusters.*.drill.checks": "what must be found in a restored recovery point",
  "clusters.*.drill.checks.*.name": "what the check is called",
  "clusters.*.drill.checks.*.on": "the mirror in whose restored folder it is run",
  "clusters.*.drill.checks.*.command": "a list of words, run as they stand, without a shell",
  "clusters.*.drill.checks.*.stdout": "what the command prints",
  "clusters.*.drill.checks.*.matches": "a regular expression that fits what the command prints",
  "clusters.*.drill.checks.*.user": "as whom the command is run",
  "clusters.*.drill.checks.*.file": "a file below the mirror",
  "clusters.*.drill.checks.*.sha256": "the file's checksum",
  "clusters.*.drill.checks.*.http": "an address, asked on the scratch machine",
  "clusters.*.drill.checks.*.status": "the status of the answer",
  "clusters.*.drill.checks.*.contains": "text in the answer",
  "clusters.*.drill.checks.*.seconds": "how long the check may take",
  "clusters.*.restore": "what must be found after a restore, on the node that serves again",
  "clusters.*.restore.checks": "as those of a drill",
  "clusters.*.approvals": "how many people must have signed a plan before it is run",
  "clusters.*.approvals.need": "how many different people; one if left out",
  "clusters.*.approvals.signers": "a file of allowed signers, as ssh-keygen reads it",
  "clusters.*.approvals.notStarter": "whoever starts the run is not counted; true if left out",
  "clusters.*.approvals.hours": "an approval counts for so long at most; 24 if left out",
  "clusters.*.approvals.runbooks": "the runbooks whose plans need it; all if left out",
  "clusters.*.hooks": "your own commands around the phases of the procedures",
  "clusters.*.hooks.*.name": "what the hook is called",
  "clusters.*.hooks.*.around": "the phase of the procedure",
  "clusters.*.hooks.*.on": "where it is run",
  "clusters.*.hooks.*.before": "run before the phase: a list of words, without a shell",
  "clusters.*.hooks.*.after":
    "run after the phase, whatever happened once `before` ran: a list of words, without a shell",
  "clusters.*.hooks.*.user": "as whom the commands are run",
  "clusters.*.hooks.*.seconds": "how long each command may take",
  "clusters.*.hooks.*.onFailure": "what becomes of the run if `before` fails",
};

/** What the reader checks beside the schema (`findContradictions` in inventory.ts), as far as JSON Schema can say it. */
const beyond: { readonly [path: string]: JsonSchema | undefined } = {
  clusters: { minProperties: 1 },
  "clusters.*.nodes": { minProperties: 2, maxProperties: 2 },
  "clusters.*.drill.checks.*": {
    oneOf: [{ required: ["command", "on"] }, { required: ["file", "on"] }, { required: ["http"] }],
    not: { required: ["stdout", "matches"] },
  },
  "clusters.*.hooks.*": { anyOf: [{ required: ["before"] }, { required: ["after"] }] },
};

/** A schema of valibot, as far as an inventory uses it. */
interface Walked {
  readonly type: string;
  readonly message?: unknown;
  readonly literal?: unknown;
  readonly entries?: { readonly [key: string]: Walked };
  readonly key?: Walked;
  readonly value?: Walked;
  readonly wrapped?: Walked;
  readonly item?: Walked;
  /** Of a union the schemas, of a picklist the values. */
  readonly options?: readonly unknown[];
  readonly pipe?: readonly [Walked, ...Rule[]];
}

interface Rule {
  readonly type: string;
  readonly requirement?: unknown;
  readonly message?: unknown;
}

function walk(schema: Walked, path: readonly string[]): JsonSchema {
  const shape = shapeOf(schema, path);
  const said = [...new Set(messagesIn(schema))].join(", ");
  const meaning = meaningOf(path);
  // That a mapping is expected goes without saying where it is said what for.
  const expected =
    said === "" || (meaning !== undefined && shape["type"] === "object") ? undefined : `expected ${said}`;
  const description = [meaning, expected].filter((part) => part !== undefined).join("; ");
  return {
    ...(description !== "" && { description }),
    ...shape,
    // The YAML language server says this in the place of the expression that did not fit.
    ...("pattern" in shape && { patternErrorMessage: `expected ${said}` }),
    ...beyond[likeOf(path.join("."))],
  };
}

function shapeOf(schema: Walked, path: readonly string[]): JsonSchema {
  if (schema.pipe !== undefined) {
    const [first, ...rules] = schema.pipe;
    return rules.reduce(
      (shape, rule) => ({ ...shape, ...keywordsOf(rule, shape, path) }),
      shapeOf(first, path),
    );
  }
  const { type, entries, key, value, wrapped, item, options = [] } = schema;
  if (type === "string" || type === "number" || type === "boolean") return { type };
  if (type === "literal") return { const: schema.literal };
  if (type === "picklist") return { enum: options };
  if (type === "union") return { anyOf: options.map((option) => shapeOf(option as Walked, path)) };
  if (isOptional(schema) && wrapped) return shapeOf(wrapped, path);
  if (type === "array" && item) return { type: "array", items: walk(item, [...path, "*"]) };
  if (type === "record" && key && value)
    return {
      type: "object",
      propertyNames: walk(key, [...path, "(name)"]),
      additionalProperties: walk(value, [...path, "*"]),
    };
  if ((type === "object" || type === "strict_object") && entries) {
    const required = Object.entries(entries).flatMap(([name, inner]) => (isOptional(inner) ? [] : [name]));
    return {
      type: "object",
      properties: Object.fromEntries(
        Object.entries(entries).map(([name, inner]) => [name, walk(inner, [...path, name])]),
      ),
      ...(required.length > 0 && { required }),
      // What is unknown is refused by the reader, whatever kind of object the schema has (`findUnknownKeys`).
      additionalProperties: false,
    };
  }
  throw unsaid(`a schema of the type "${type}"`, path);
}

function keywordsOf({ type, requirement }: Rule, shape: JsonSchema, path: readonly string[]): JsonSchema {
  const ofList = shape["type"] === "array";
  switch (type) {
    case "regex":
      if (!(requirement instanceof RegExp) || requirement.flags !== "") break;
      // Between quotes a slash needs no backslash.
      return { pattern: requirement.source.replaceAll("\\/", "/") };
    case "min_value":
      return { minimum: requirement };
    case "max_value":
      return { maximum: requirement };
    case "integer":
      return { type: "integer" };
    case "min_length":
    case "non_empty": {
      const least = type === "non_empty" ? 1 : requirement;
      return ofList ? { minItems: least } : { minLength: least };
    }
    case "max_length":
      return ofList ? { maxItems: requirement } : { maxLength: requirement };
    case "check":
      // A function of the reader's own: JSON Schema cannot say it, and the reader still does.
      return {};
  }
  throw unsaid(`a rule of the type "${type}"`, path);
}

function isOptional({ type }: Walked): boolean {
  return type === "optional" || type === "exact_optional";
}

/** The ends of the sentence "expected …". */
function messagesIn({ message, pipe, wrapped }: Walked): readonly string[] {
  if (wrapped) return messagesIn(wrapped);
  if (pipe === undefined) return typeof message === "string" ? [message] : [];
  const [first, ...rules] = pipe;
  return [
    ...messagesIn(first),
    ...rules.flatMap((rule) => (typeof rule.message === "string" ? [rule.message] : [])),
  ];
}

/** A mistake of ours: the schema was changed, and this file was not. */
function unsaid(what: string, path: readonly string[]): Failure {
  return new Failure("bug", `${path.join(".")}: ${what} has no words in JSON Schema yet`);
}
