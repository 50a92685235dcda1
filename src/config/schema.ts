/**
 * What may stand in an inventory file. Each message is the end of the sentence "expected …". Everything that will
 * become part of a command line or of a path is held to harmless characters here, before anything uses it.
 */
import type * as Valibot from "valibot";

import { approvalSchema } from "./approvals.ts";
import { hookSchema } from "./hooks.ts";

/** valibot is handed in, because it is loaded only when an inventory is read. */
export function inventorySchema(v: typeof Valibot) {
  const text = (pattern: RegExp, what: string) => v.pipe(v.string(what), v.regex(pattern, what));
  const numberFrom = (least: number, most: number) => {
    const what = `a number from ${least} to ${most}`;
    return v.pipe(v.number(what), v.minValue(least, what), v.maxValue(most, what));
  };
  const wholeFrom = (least: number, most: number) =>
    v.pipe(numberFrom(least, most), v.integer("a whole number"));
  const yesOrNo = v.boolean("true or false");
  const mapping = "a mapping of names to values";
  const name = text(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    "a name of letters, digits, dots, dashes and underscores",
  );
  const path = text(/^(?!~[^/])[^\0\n-][^\0\n]*$/, "a path, absolute, below ~/ or relative to this file");

  const nodeKeys = {
    address: text(/^[A-Za-z0-9_:[][A-Za-z0-9_.:%[\]-]{0,252}$/, "a host name or an IP address"),
    port: v.optional(wholeFrom(1, 65535)),
    user: v.optional(text(/^[A-Za-z0-9_][A-Za-z0-9_.@\\$-]{0,63}$/, "a login name")),
    identity: v.optional(path),
    knownHosts: v.optional(path),
    sudo: v.optional(yesOrNo),
    jump: v.optional(
      text(/^[A-Za-z0-9_[][A-Za-z0-9_.:@%,[\]-]{0,252}$/, "a gateway as HOST, USER@HOST or USER@HOST:PORT"),
    ),
    instance: text(/^i-[0-9A-Za-z]{1,40}$/, 'the id of an instance, as "i-0123456789abcdef0"'),
  };
  const node = v.object(nodeKeys, mapping);
  const price = v.optional(numberFrom(0, 1000));
  const prices = v.object(
    {
      fastRestoreHour: price,
      snapshotGiBMonth: price,
      archiveGiBMonth: price,
      gp2GiBMonth: price,
      gp3GiBMonth: price,
      io1GiBMonth: price,
      io2GiBMonth: price,
      st1GiBMonth: price,
      sc1GiBMonth: price,
      standardGiBMonth: price,
    },
    mapping,
  );
  const cloud = v.object(
    {
      driver: v.literal("aws", '"aws"'),
      region: text(/^[a-z]{2,}(-[a-z0-9]+)+$/, 'a region, as "ap-northeast-1"'),
      profile: v.optional(text(/^[^\s\0-][^\0\n]{0,127}$/, "the name of a profile")),
      endpoint: v.optional(
        text(/^https?:\/\/[A-Za-z0-9.[\]:_-]+(\/[^\s?#]*)?$/, 'an address, as "https://ec2.example.com"'),
      ),
      prices: v.optional(prices),
    },
    mapping,
  );
  const settings = v.object(
    {
      deadManMinutes: v.optional(numberFrom(3, 120)),
      leaseMinutes: v.optional(numberFrom(2, 120)),
      copyHours: v.optional(numberFrom(0.1, 720)),
      acceptBareNvme: v.optional(yesOrNo),
    },
    mapping,
  );
  const words = "a list of words, as [cat, app/version]";
  const line = text(/^[^\0]*$/, "text");
  const drillCheck = v.object(
    {
      name: text(/^\S[^\0\n]{0,79}$/, "a name of one line, 80 characters at most"),
      on: v.optional(name),
      command: v.optional(v.pipe(v.array(text(/^[^\0]*$/, "a word"), words), v.minLength(1, words))),
      stdout: v.optional(line),
      matches: v.optional(v.pipe(line, v.check(isPattern, "a regular expression"))),
      user: v.optional(
        text(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/, "the name of a user of the machine that it is run on"),
      ),
      file: v.optional(
        text(/^(?![-/])(?!.*(^|\/)\.\.(\/|$))[^\0\n]+$/, "a path below the mirror, as orders/today.csv"),
      ),
      sha256: v.optional(text(/^[0-9a-f]{64}$/, "64 hexadecimal digits, in small letters")),
      http: v.optional(text(/^https?:\/\/[^\s"'\\]+$/, 'an address, as "http://127.0.0.1:8080/health"')),
      status: v.optional(wholeFrom(100, 599)),
      contains: v.optional(line),
      seconds: v.optional(wholeFrom(1, 1800)),
    },
    mapping,
  );
  const checks = "a list of at least one check";
  const drill = v.object(
    {
      scratch: v.object({ node: name, ...nodeKeys }, mapping),
      target: v.optional(numberFrom(1, 10_080)),
      checks: v.pipe(v.array(drillCheck, checks), v.minLength(1, checks)),
    },
    mapping,
  );
  const staging = v.object(
    {
      of: v.string("the name of the cluster whose points are restored here"),
      isolated: v.optional(yesOrNo),
      shares: v.optional(
        v.array(
          text(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$/, "an address, a name or an id"),
          "a list of addresses, names and ids",
        ),
      ),
      target: v.optional(numberFrom(1, 10_080)),
      checks: v.optional(v.pipe(v.array(drillCheck, checks), v.minLength(1, checks))),
    },
    mapping,
  );
  const hooks = "a list of at least one hook";
  const duration = v.optional(
    text(/^[1-9]\d{0,3}[hdw]$/, 'a duration in hours, days or weeks, as "36h" or "7d"'),
  );
  const cluster = v.object(
    {
      manager: v.literal("clusterpro", '"clusterpro"'),
      cloud,
      nodes: v.record(name, node, mapping),
      settings: v.optional(settings),
      drill: v.optional(drill),
      staging: v.optional(staging),
      hooks: v.optional(v.pipe(v.array(hookSchema(v), hooks), v.minLength(1, hooks))),
      restore: v.optional(
        v.object({ checks: v.pipe(v.array(drillCheck, checks), v.minLength(1, checks)) }, mapping),
      ),
      approvals: v.optional(approvalSchema(v)),
      backupEvery: duration,
      drillEvery: duration,
    },
    mapping,
  );
  return v.object(
    { default: v.optional(v.string("the name of a cluster")), clusters: v.record(name, cluster, mapping) },
    mapping,
  );
}

export type InventoryFile = Valibot.InferOutput<ReturnType<typeof inventorySchema>>;

/** The shape of a schema as far as its keys go: what `findUnknownKeys` walks along. */
export interface Keys {
  readonly type?: string;
  readonly entries?: { readonly [key: string]: Keys };
  readonly value?: Keys;
  readonly wrapped?: Keys;
  /** What each element of a list is. */
  readonly item?: Keys;
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, "m") instanceof RegExp;
  } catch {
    return false;
  }
}
