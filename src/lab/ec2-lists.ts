/** What all lists of EC2's API share: filters, pages, and how late a new thing shows up in them. */
import type { Cloud } from "./cloud.ts";
import { CloudError, type Tags, type VolumeRecord } from "./cloud-model.ts";
import { numberParam, recordList, requiredText, textList, textParam, type Params } from "./ec2-query.ts";

/** By a filter's name, the values that a record has for it. */
export type FilterTable<T> = { readonly [name: string]: (record: T) => readonly string[] };

/** Keeps what passes all filters. One that the lab does not model is refused, never ignored: ignored, it would list too much. */
export function filtered<T>(
  records: readonly T[],
  params: Params,
  table: FilterTable<T>,
  tagsOf?: (record: T) => Tags,
): readonly T[] {
  let left = records;
  for (const filter of recordList(params, "Filter")) {
    const name = requiredText(filter, "Name");
    const values = textList(filter, "Value").map(pattern);
    const valuesOf = valuesFor(name, table, tagsOf);
    left = left.filter((record) =>
      valuesOf(record).some((value) => values.some((wanted) => wanted.test(value))),
    );
  }
  return left;
}

function valuesFor<T>(
  name: string,
  table: FilterTable<T>,
  tagsOf: ((record: T) => Tags) | undefined,
): (record: T) => readonly string[] {
  if (tagsOf !== undefined && name === "tag-key") return (record) => Object.keys(tagsOf(record));
  if (tagsOf !== undefined && name.startsWith("tag:")) {
    const key = name.slice("tag:".length);
    return (record) => {
      const value = Object.hasOwn(tagsOf(record), key) ? tagsOf(record)[key] : undefined;
      return value === undefined ? [] : [value];
    };
  }
  const valuesOf = Object.hasOwn(table, name) ? table[name] : undefined;
  if (valuesOf === undefined)
    throw new CloudError("InvalidParameterValue", `The filter '${name}' is invalid`, 400, true);
  return valuesOf;
}

/** `*` and `?` are wildcards in a filter's value, and a backslash takes that away. */
function pattern(value: string): RegExp {
  const source = value.replace(/\\([\s\S])|[\s\S]/g, (found, plain: string | undefined) => {
    if (plain === undefined && found === "*") return "[\\s\\S]*";
    if (plain === undefined && found === "?") return "[\\s\\S]";
    return (plain ?? found).replace(
      /[^A-Za-z0-9]/gu,
      (sign) => `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`,
    );
  });
  return new RegExp(`^${source}$`, "u");
}

/** One page: MaxResults, NextToken, and the setting `pageSize`, whichever is shortest. */
export function page<T>(
  cloud: Cloud,
  operation: string,
  records: readonly T[],
  params: Params,
  limits: { readonly ids?: string; readonly atLeast?: number } = {},
): { readonly items: readonly T[]; readonly nextToken: string | undefined } {
  const wanted = numberParam(params, "MaxResults");
  if (wanted !== undefined && limits.ids !== undefined && params[limits.ids] !== undefined)
    throw new CloudError(
      "InvalidParameterCombination",
      `The parameter ${limits.ids}s cannot be used with the parameter MaxResults`,
    );
  const least = limits.atLeast ?? 5;
  if (wanted !== undefined && (wanted < least || wanted > 1000))
    throw new CloudError(
      "InvalidParameterValue",
      `Value ( ${wanted} ) for parameter maxResults is invalid. Expecting a value between ${least} and 1000.`,
    );
  const from = offsetOf(operation, textParam(params, "NextToken"));
  const to = from + Math.min(wanted ?? cloud.settings.pageSize, cloud.settings.pageSize);
  return {
    items: records.slice(from, to),
    nextToken: to < records.length ? Buffer.from(`${operation} ${to}`).toString("base64url") : undefined,
  };
}

function offsetOf(operation: string, token: string | undefined): number {
  if (token === undefined || token === "") return 0;
  const [name, offset = ""] = Buffer.from(token, "base64url").toString("utf8").split(" ");
  if (name !== operation || !/^[0-9]{1,9}$/.test(offset))
    throw new CloudError("InvalidNextToken", `The specified NextToken '${token}' is not valid`);
  return Number(offset);
}

/** Whether a list shows what was made at that time already. */
export function listed(cloud: Cloud, createdAt: number): boolean {
  return cloud.heart.clock.now() - createdAt >= cloud.settings.listLagSeconds * 1000;
}

/** Those of the world are known everywhere since ever. */
export function volumeListed(cloud: Cloud, { byApi, createdAt }: VolumeRecord): boolean {
  return !byApi || listed(cloud, createdAt);
}

/** The record of an id; one that was made a moment ago may not be known yet by its id either. */
export function snapshotById(cloud: Cloud, id: string) {
  const found = cloud.getSnapshot(id);
  if (cloud.heart.clock.now() - found.startedAt < cloud.settings.idLagSeconds * 1000)
    throw new CloudError("InvalidSnapshot.NotFound", `The snapshot '${id}' does not exist.`);
  return found;
}

export function volumeById(cloud: Cloud, id: string) {
  const found = cloud.getVolume(id);
  if (found.byApi && cloud.heart.clock.now() - found.createdAt < cloud.settings.idLagSeconds * 1000)
    throw new CloudError("InvalidVolume.NotFound", `The volume '${id}' does not exist.`);
  return found;
}
