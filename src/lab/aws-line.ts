/**
 * The few `aws ec2 …` lines that a person pastes into a lab, for where the AWS CLI is not installed. Only what the
 * procedures ask a person to type is known; the call itself takes the same way as one that comes over HTTP.
 */
import { Failure } from "../errors.ts";
import type { Cloud } from "./cloud.ts";
import { classOfForm, handleEc2 } from "./ec2-dispatch.ts";
import { lineOf, unflatten } from "./ec2-query.ts";
import type { PersonsAnswer } from "./client.ts";

interface Shape {
  readonly operation: string;
  /** Flag to the name of the parameter; "list" takes any number of words, "flag" takes none. */
  readonly flags: { readonly [flag: string]: readonly [name: string, kind: "list" | "flag" | "tags"] };
}

const instances = ["InstanceId", "list"] as const;
const shapes: { readonly [name: string]: Shape } = {
  "start-instances": { operation: "StartInstances", flags: { "instance-ids": instances } },
  "stop-instances": {
    operation: "StopInstances",
    flags: { "instance-ids": instances, force: ["Force", "flag"] },
  },
  "describe-instances": { operation: "DescribeInstances", flags: { "instance-ids": instances } },
  "create-tags": {
    operation: "CreateTags",
    flags: { resources: ["ResourceId", "list"], tags: ["Tag", "tags"] },
  },
  "delete-tags": {
    operation: "DeleteTags",
    flags: { resources: ["ResourceId", "list"], tags: ["Tag", "tags"] },
  },
  "attach-volume": { operation: "AttachVolume", flags: {} },
  "detach-volume": { operation: "DetachVolume", flags: {} },
  "delete-volume": { operation: "DeleteVolume", flags: {} },
  "delete-snapshot": { operation: "DeleteSnapshot", flags: {} },
  "disable-fast-snapshot-restores": { operation: "DisableFastSnapshotRestores", flags: {} },
};

/** The whole input as JSON, as every operation of the AWS CLI takes it; here of plain values and lists of them. */
function addInput(form: URLSearchParams, command: string, text: string): void {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (thrown) {
    throw new Failure("invalid", `--cli-input-json of aws ec2 ${command} is not JSON`, { cause: thrown });
  }
  for (const [name, value] of Object.entries(input ?? {})) {
    // The query protocol names each member of a list by the singular and its number.
    const members = Array.isArray(value) ? (value as unknown[]) : undefined;
    if (members === undefined) form.set(name, String(value));
    else members.forEach((member, i) => form.set(`${name.replace(/s$/, "")}.${i + 1}`, String(member)));
  }
}

// They say where and how to print, and change nothing of what is asked.
const ignoredFlags = ["region", "output", "endpoint-url", "profile"];

export function runAwsLine(cloud: Cloud, words: readonly string[]): PersonsAnswer {
  const [, service, command = "", ...rest] = words;
  const shape = service === "ec2" && Object.hasOwn(shapes, command) ? shapes[command] : undefined;
  if (shape === undefined)
    throw new Failure("invalid", `the lab does not know "${words.slice(0, 3).join(" ")}"`, {
      hint: `it knows ${Object.keys(shapes)
        .map((name) => `aws ec2 ${name}`)
        .join(", ")}`,
    });
  const form = new URLSearchParams({ Action: shape.operation, Version: "2016-11-15" });
  const input = rest[0] === "--cli-input-json" ? rest[1] : undefined;
  if (input !== undefined) {
    addInput(form, command, input);
    return send(cloud, shape.operation, form);
  }
  for (const { flag, values } of flagsOf(rest)) {
    if (ignoredFlags.includes(flag)) continue;
    const [name, kind] = (Object.hasOwn(shape.flags, flag) ? shape.flags[flag] : undefined) ?? [];
    if (name === undefined)
      throw new Failure("invalid", `aws ec2 ${command} in the lab takes no --${flag}`, {
        hint: `it takes ${Object.keys(shape.flags)
          .map((each) => `--${each}`)
          .join(", ")}`,
      });
    if (kind !== "flag" && values.length === 0)
      throw new Failure("invalid", `--${flag} of aws ec2 ${command} lacks its value`);
    if (kind === "flag") form.set(name, "true");
    else if (kind === "tags" && values[0]?.startsWith("[")) addTags(form, name, command, values[0]);
    else values.forEach((value, index) => addValue(form, `${name}.${index + 1}`, kind, value));
  }
  return send(cloud, shape.operation, form);
}

function flagsOf(words: readonly string[]): readonly { readonly flag: string; readonly values: string[] }[] {
  const flags: { readonly flag: string; readonly values: string[] }[] = [];
  for (const word of words)
    if (word.startsWith("--")) {
      const [flag = "", ...value] = word.slice(2).split("=");
      flags.push({ flag, values: value.length > 0 ? [value.join("=")] : [] });
    } else {
      const last = flags.at(-1);
      if (!last)
        throw new Failure("invalid", `"${word}" stands where an option such as --instance-ids is wanted`);
      last.values.push(word);
    }
  return flags;
}

function addValue(
  form: URLSearchParams,
  name: string,
  kind: "list" | "tags" | undefined,
  value: string,
): void {
  if (kind !== "tags") {
    form.set(name, value);
    return;
  }
  const match = /^Key=([^,]+)(?:,Value=(.*))?$/.exec(value);
  if (!match) throw new Failure("invalid", `a tag is written Key=NAME,Value=TEXT; found "${value}"`);
  addTag(form, name, { Key: match[1] ?? "", ...(match[2] !== undefined && { Value: match[2] }) });
}

/** The same tags as a list in JSON, as the AWS CLI takes them too. */
function addTags(form: URLSearchParams, name: string, command: string, text: string): void {
  let tags: unknown;
  try {
    tags = JSON.parse(text);
  } catch (thrown) {
    throw new Failure("invalid", `--tags of aws ec2 ${command} is not JSON`, { cause: thrown });
  }
  (tags as readonly Tag[]).forEach((tag, i) => addTag(form, `${name}.${i + 1}`, tag));
}

interface Tag {
  readonly Key: string;
  readonly Value?: string;
}

/** Without a value, delete-tags takes the tag away whatever its value is. */
function addTag(form: URLSearchParams, name: string, { Key, Value }: Tag): void {
  form.set(`${name}.Key`, String(Key));
  if (Value !== undefined) form.set(`${name}.Value`, String(Value));
}

function send(cloud: Cloud, operation: string, form: URLSearchParams): PersonsAnswer {
  const { heart } = cloud;
  const row = heart.receive({
    to: "cloud",
    operation,
    params: unflatten(form),
    line: lineOf(operation, form),
  });
  row.class = classOfForm(form);
  const authorization = `AWS4-HMAC-SHA256 Credential=${cloud.settings.accessKeys[0] ?? ""}/lab`;
  const reply = heart.during(row, () => handleEc2(cloud, form, { authorization }));
  row.class = reply.class;
  row.reply = "sent";
  if (reply.status === 200) return { code: 0, signal: null, stdout: told(cloud, form), stderr: "" };
  const part = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(reply.body)?.[1] ?? "";
  const stderr = `An error occurred (${part("Code")}) when calling the ${operation} operation: ${part("Message")}\n`;
  return { code: 254, signal: null, stdout: "", stderr };
}

/** The instances that were spoken of, as they stand now. */
function told(cloud: Cloud, form: URLSearchParams): string {
  const named = [...form].filter(([name]) => name.startsWith("InstanceId.")).map(([, value]) => value);
  const wanted = cloud
    .listInstances()
    .filter(({ id }) => (named.length > 0 ? named.includes(id) : form.get("Action") === "DescribeInstances"));
  return wanted.map(({ id, name, state }) => `${id}  ${name}  ${state.now.state}\n`).join("");
}
