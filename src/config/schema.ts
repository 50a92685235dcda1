/**
 * What may stand in an inventory file. Each message is the end of the sentence "expected …". Everything that will
 * become part of a command line or of a path is held to harmless characters here, before anything uses it.
 */
import type * as Valibot from "valibot";

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

  const node = v.object(
    {
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
  const cluster = v.object(
    {
      manager: v.literal("clusterpro", '"clusterpro"'),
      cloud,
      nodes: v.record(name, node, mapping),
      settings: v.optional(settings),
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
}
