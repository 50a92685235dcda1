/** EC2's query protocol on the way in: a flat form becomes nested plain values, with the query's own member names. */
import { CloudError } from "./cloud-model.ts";
import type { Tags } from "./cloud-model.ts";

export type Nested = string | readonly Nested[] | { readonly [name: string]: Nested };
export type Params = { readonly [name: string]: Nested };

interface Branch {
  readonly kind: "branch";
  readonly children: Map<string, Branch | string>;
}

/** `TagSpecification.1.Tag.1.Key=a` becomes `{TagSpecification: [{Tag: [{Key: "a"}]}]}`; Action and Version are left out. */
export function unflatten(form: URLSearchParams): Params {
  const root: Branch = { kind: "branch", children: new Map() };
  for (const [name, value] of form) {
    if (name === "Action" || name === "Version") continue;
    const path = name.split(".");
    if (path.some((part) => !/^[A-Za-z0-9]+$/.test(part)))
      throw new CloudError("MalformedQueryString", `The query string is malformed at '${name}'`);
    let here = root;
    for (const part of path.slice(0, -1)) {
      const next = here.children.get(part) ?? { kind: "branch", children: new Map() };
      if (typeof next === "string")
        throw new CloudError("MalformedQueryString", `'${name}' has members and a value`);
      here.children.set(part, next);
      here = next;
    }
    here.children.set(path.at(-1) ?? "", value);
  }
  const grown = grow(root);
  return typeof grown === "object" && !Array.isArray(grown) ? (grown as Params) : {};
}

function grow(branch: Branch | string): Nested {
  if (typeof branch === "string") return branch;
  const names = [...branch.children.keys()];
  if (names.length > 0 && names.every((name) => /^[0-9]+$/.test(name)))
    return names
      .sort((a, b) => Number(a) - Number(b))
      .flatMap((name) => {
        const child = branch.children.get(name);
        return child === undefined ? [] : [grow(child)];
      });
  return Object.fromEntries([...branch.children].map(([name, child]) => [name, grow(child)]));
}

export function textParam(params: Params, name: string): string | undefined {
  const value = params[name];
  if (value === undefined || typeof value === "string") return value;
  throw new CloudError("InvalidParameterValue", `Parameter ${name} must have one value`);
}

export function requiredText(params: Params, name: string): string {
  const value = textParam(params, name);
  if (value === undefined || value === "")
    throw new CloudError("MissingParameter", `The request must contain the parameter ${name}`);
  return value;
}

export function flagParam(params: Params, name: string): boolean {
  const value = textParam(params, name);
  if (value === undefined || value === "false") return false;
  if (value === "true") return true;
  throw new CloudError(
    "InvalidParameterValue",
    `Value (${value}) for parameter ${name} is invalid: not a boolean`,
  );
}

export function numberParam(params: Params, name: string): number | undefined {
  const value = textParam(params, name);
  if (value === undefined) return undefined;
  if (!/^[0-9]{1,9}$/.test(value))
    throw new CloudError(
      "InvalidParameterValue",
      `Value (${value}) for parameter ${name} is invalid: not a number`,
    );
  return Number(value);
}

export function textList(params: Params, name: string): readonly string[] {
  return list(params, name).map((value) => {
    if (typeof value === "string") return value;
    throw new CloudError("InvalidParameterValue", `Parameter ${name} must be a list of texts`);
  });
}

export function recordList(params: Params, name: string): readonly Params[] {
  return list(params, name).map((value) => {
    if (isParams(value)) return value;
    throw new CloudError("InvalidParameterValue", `Parameter ${name} must be a list with members`);
  });
}

export function recordParam(params: Params, name: string): Params {
  const value = params[name];
  if (value !== undefined && isParams(value)) return value;
  throw new CloudError("MissingParameter", `The request must contain the parameter ${name}`);
}

/** Tags as `Tag.N.Key` and `Tag.N.Value`; a tag without a value has the empty one. */
export function tagList(params: Params): Tags {
  return Object.fromEntries(
    recordList(params, "Tag").map((tag) => [requiredText(tag, "Key"), textParam(tag, "Value") ?? ""]),
  );
}

/** The tags for one type of resource; another type in the list is refused, as there it would be lost. */
export function tagSpecification(params: Params, resourceType: string): Tags {
  const tags: Record<string, string> = {};
  for (const specification of recordList(params, "TagSpecification")) {
    const type = requiredText(specification, "ResourceType");
    if (type !== resourceType)
      throw new CloudError(
        "InvalidParameterValue",
        `'${type}' is not a valid taggable resource type for this operation.`,
      );
    Object.assign(tags, tagList(specification));
  }
  return tags;
}

/** A short line for people: "CreateSnapshots InstanceSpecification.InstanceId=i-1 …". */
export function lineOf(operation: string, form: URLSearchParams): string {
  const words = [...form]
    .filter(([name]) => name !== "Action" && name !== "Version")
    .map(([name, value]) => `${name}=${value}`);
  const line = [operation, ...words].join(" ");
  return line.length <= 300 ? line : `${line.slice(0, 299)}…`;
}

function list(params: Params, name: string): readonly Nested[] {
  const value = params[name];
  if (value === undefined) return [];
  if (isList(value)) return value;
  throw new CloudError("InvalidParameterValue", `Parameter ${name} must be a list`);
}

function isList(value: Nested): value is readonly Nested[] {
  return Array.isArray(value);
}

function isParams(value: Nested): value is Params {
  return typeof value === "object" && !isList(value);
}
