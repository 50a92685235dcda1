/** Disks that are read through: `dd` from a block device into nothing, for as long as its blocks take to come over. */
import { gapIn } from "./command-words.ts";
import type { LabNode } from "./node.ts";
import type { CommandFunction } from "./process.ts";
import type { Heart } from "./world.ts";

/** Which volumes are open for a reader on a node, by the reader's pid: the guest holds them (reference aws-ebs 4). */
const open = new WeakMap<LabNode, Map<number, string>>();
/** Volumes with a block that cannot be read; set by a tester's hand. */
const spoiled = new WeakMap<Heart, Set<string>>();

export function volumesBeingRead(node: LabNode): readonly string[] {
  return [...(open.get(node)?.values() ?? [])];
}

/** A tester's hand: from now on, a block in the middle of this volume gives an I/O error to whoever reads it. */
export function spoilVolume(heart: Heart, volume: string): void {
  const known = spoiled.get(heart) ?? new Set();
  spoiled.set(heart, known.add(volume));
}

/** In how many parts the time of a read is waited for: a disk that was taken away meanwhile is noticed after each. */
const parts = 10;

/** What dd says is its own (coreutils, LC_ALL=C). */
const dd: CommandFunction = async (context) => {
  const { node, process } = context;
  const words = new Map<string, string>();
  for (const arg of context.argv.slice(1)) {
    const [, name = "", value = ""] = /^([a-z]+)=(.*)$/.exec(arg) ?? gapIn(context, `the operand ${arg}`);
    words.set(name, value);
  }
  for (const [name, value] of words)
    if (!(["if", "of", "bs"].includes(name) || (name === "iflag" && value === "direct")))
      gapIn(context, `${name}=${value}`);
  // What else it can do destroys disks, and no driver of ours has a use for it.
  if (words.get("of") !== "/dev/null") gapIn(context, `of=${words.get("of") ?? "(standard output)"}`);
  const from = words.get("if") ?? gapIn(context, "without if=");
  const find = () => {
    node.disks.refresh();
    if (node.files.find(context.path(from)) === undefined) return "nothing";
    const real = node.files.resolve(context.path(from));
    return node.disks.list().find(({ path }) => path === real);
  };
  const disk = find();
  if (disk === "nothing") {
    context.err(`dd: failed to open '${from}': No such file or directory\n`);
    return 1;
  }
  if (disk === undefined) return gapIn(context, `if=${from}, which is no whole disk,`);
  const { volume, sizeBytes } = disk;
  const { heart, hardware } = node;
  const began = heart.clock.now();
  const takes = hardware.readingTime(volume);
  const share = () => Math.min(1, (heart.clock.now() - began) / takes);
  const holders = open.get(node) ?? new Map<number, string>();
  open.set(node, holders.set(process.pid, volume));
  const place = `/proc/${process.pid}/fdinfo`;
  node.files.plantComputed(
    `${place}/0`,
    () => `pos:\t${Math.floor(sizeBytes * share())}\nflags:\t0140000\nmnt_id:\t22\n`,
  );
  const said = (bytes: number) => {
    const seconds = (heart.clock.now() - began) / 1000;
    const blocks = Math.floor(bytes / 2 ** 24);
    const part = bytes % 2 ** 24 === 0 ? 0 : 1;
    context.err(
      `${blocks}+${part} records in\n${blocks}+${part} records out\n` +
        `${bytes} bytes (${(bytes / 1e9).toFixed(0)} GB, ${(bytes / 2 ** 30).toFixed(0)} GiB) copied, ${seconds} s, ${(bytes / 1e6 / Math.max(seconds, 0.001)).toFixed(0)} MB/s\n`,
    );
  };
  try {
    for (let part = 0; part < parts; part += 1) {
      await context.sleep(takes / parts);
      const now = find();
      const gone = now === "nothing" || now?.volume !== volume;
      if (gone || (spoiled.get(heart)?.has(volume) === true && share() >= 0.5)) {
        context.err(`dd: error reading '${from}': Input/output error\n`);
        said(Math.floor(sizeBytes * share()));
        return 1;
      }
    }
    said(sizeBytes);
    heart.effect(`${volume} was read through on ${node.name}`, {
      kind: "volume-read",
      node: node.name,
      volume,
    });
    return 0;
  } finally {
    holders.delete(process.pid);
    node.files.uproot(`/proc/${process.pid}`);
  }
};

export const readCommands: { readonly [name: string]: CommandFunction } = { dd };
