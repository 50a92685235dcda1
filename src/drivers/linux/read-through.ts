/**
 * Disks that are read from their first block to their last, so that each block of a volume made from a snapshot comes over
 * (reference aws-ebs 5). A reader runs in a session of its own, which no end of a connection reaches, and ends with its boot.
 * What is known of it lies in /run, which a boot empties: so nothing is believed of another boot.
 *
 * Layout: FOLDER/RUN/NAME holds `bytes` (the disk's size as it was ordered), `pid` of its keeper, `reader` (the pid of dd),
 * `said` (what dd wrote) and, last and as a whole, `code`: the exit status of dd.
 */
import { Failure, invariant } from "../../errors.ts";
import type { Reading } from "../../ports/nodes.ts";

/** As one word of a script in sh. */
const quoted = (script: string) => `'${script.replaceAll("'", "'\\''")}'`;

/**
 * Arguments: its folder, the device. The device is opened to be read, and what is read goes nowhere. Without the page cache,
 * so that it comes from the volume; and in pieces that the kernel splits into many requests at a time, which a volume that
 * answers slowly, but to many at once, is read faster by (aws-ebs 5 asks for depth: `iodepth=32`).
 */
const keeperScript = `t=$1
cd /
dd if="$2" of=/dev/null bs=16M iflag=direct 2> "$t/said" &
reader=$!
echo "$reader" > "$t/reader.new" && mv "$t/reader.new" "$t/reader"
wait "$reader"
echo $? > "$t/code.new" && mv "$t/code.new" "$t/code"
`;

/**
 * Arguments: folder, run, name, boot id, bytes, device. The mkdir is the beginning, which only one can win. Device names are
 * dealt anew at a boot, so they hold for the boot in which they were looked up, and for no other. What earlier runs left is
 * taken away: the marker on the node says that none of them is at work.
 */
export const startReadingScript = `umask 077; d="$1/$2"; t="$1/$2/$3"
if [ "$(cat /proc/sys/kernel/random/boot_id)" != "$4" ]; then
  echo "it was booted since its devices were looked up: nothing is read" >&2; exit 1
fi
command -v setsid > /dev/null 2>&1 || { echo "setsid (util-linux) is not installed there" >&2; exit 1; }
if [ ! -d "$d" ]; then
  for old in "$1"/*; do rm -rf "$old"; done
  mkdir -p "$d" || exit 1
fi
mkdir "$t" 2> /dev/null || exit 0
echo "$5" > "$t/bytes"
setsid sh -c ${quoted(keeperScript)} runbook-read "$t" "$6" < /dev/null > /dev/null 2>&1 &
echo $! > "$t/pid.new" && mv "$t/pid.new" "$t/pid"
exit 0
`;

/**
 * Arguments: folder, run. Of each reader, a line with its name, its state (reading, lost, or the exit status of dd), the bytes
 * ordered, where dd stands in the disk, and the last that it said. A keeper that ends between two looks has left its code.
 */
export const listReadingsScript = `for t in "$1/$2"/*; do
  [ -d "$t" ] || continue
  waited=0
  while [ "$waited" -lt 5 ] && [ ! -e "$t/pid" ]; do sleep 1; waited=$((waited + 1)); done
  state=lost
  pid=$(cat "$t/pid" 2> /dev/null)
  if [ -n "$pid" ] && kill -s 0 "$pid" 2> /dev/null; then state=reading; fi
  if [ -e "$t/code" ]; then state=$(cat "$t/code"); fi
  at=
  reader=$(cat "$t/reader" 2> /dev/null)
  if [ "$state" = reading ] && [ -n "$reader" ]; then
    at=$(grep "^pos:" "/proc/$reader/fdinfo/0" 2> /dev/null | tr -dc 0-9)
  fi
  said=$(tail -c 2000 "$t/said" 2> /dev/null | tr '\\n' ' ')
  echo "$(basename "$t") $state $(cat "$t/bytes") \${at:--} $said"
done
exit 0
`;

/**
 * Arguments: folder, run. A reader that waits for a block ends when the block is there, or was given up by the kernel: that
 * takes up to its own limit (`nvme_core.io_timeout`, 30 s; reference aws-ebs 7). The record goes only when nobody reads.
 */
export const stopReadingsScript = `d="$1/$2"
waited=0
for t in "$d"/*; do
  while [ "$waited" -lt 5 ] && [ -d "$t" ] && [ ! -e "$t/reader" ]; do sleep 1; waited=$((waited + 1)); done
  reader=$(cat "$t/reader" 2> /dev/null)
  if [ -n "$reader" ] && [ ! -e "$t/code" ]; then kill -s TERM "$reader" 2> /dev/null; sleep 0.2; fi
done
for t in "$d"/*; do
  reader=$(cat "$t/reader" 2> /dev/null)
  while [ -n "$reader" ] && [ ! -e "$t/code" ] && kill -s 0 "$reader" 2> /dev/null; do
    if [ "$waited" -ge 60 ]; then echo "the reader $reader does not end" >&2; exit 1; fi
    sleep 1
    waited=$((waited + 1))
  done
done
rm -rf "$d"
rmdir "$1" 2> /dev/null
exit 0
`;

/** What of this becomes part of a path: letters that need no quoting, and no way up. In a plan, a hole stands for some. */
export function assertReadingPath(...parts: readonly string[]): void {
  for (const part of parts)
    invariant(
      /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(part.replace(/\u27e8[^\u27e8\u27e9]*\u27e9/g, "1")),
      `"${part}" is no name for what is read`,
    );
}

export function parseReadings(said: string, node: string): readonly Reading[] {
  return said
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, name = "", state = "", bytes = "", at = "", words = ""] =
        /^(\S+) (reading|lost|\d{1,3}) (\d+) (\d+|-) ?(.*)$/.exec(line) ?? [];
      if (name === "")
        throw new Failure("invalid", `${node} tells of a reader in words that cannot be read`, {
          answer: { text: line.slice(0, 500) },
        });
      const wanted = Number(bytes);
      // It comes to its end first, and is over a moment later.
      const percent = at === "-" || wanted === 0 ? 0 : Math.min(99, Math.floor((Number(at) / wanted) * 100));
      if (state === "reading") return { name, state, percent, why: "" };
      if (state === "lost")
        return { name, state: "failed", percent: 0, why: "its end was never seen: what ran it is gone" };
      return judge(name, Number(state), wanted, words);
    });
}

/**
 * `/sys/class/block/NAME/stat` (Documentation/block/stat.rst of the kernel): the 7th number are sectors written, the 14th
 * sectors discarded, which kernels before 4.18 do not have. Both count what goes through a partition or a device above too.
 */
export function parseDiskWrites(
  said: string,
  node: string,
): { readonly written: number; readonly discarded: number | undefined } {
  const numbers = said.trim().split(/\s+/).map(Number);
  const written = numbers[6];
  // No kernel tells of fewer than eleven; where the line was cut, so may the number be.
  if (written === undefined || numbers.length < 11 || numbers.some((each) => !Number.isSafeInteger(each)))
    throw new Failure("invalid", `${node} counts the writes to a disk in words that cannot be read`, {
      answer: { text: said.slice(0, 500) },
    });
  return { written, discarded: numbers[13] };
}

/** Exit status 0 says that the device ended; that it ended where the volume ends is told by what dd has counted. */
function judge(name: string, code: number, wanted: number, said: string): Reading {
  const read = Number(/(\d+) bytes? /.exec(said)?.[1] ?? Number.NaN);
  if (code === 0 && read === wanted) return { name, state: "whole", percent: 100, why: "" };
  const why =
    code === 0
      ? `${Number.isNaN(read) ? "it is not known how many" : read} bytes were read; wanted ${wanted}`
      : `dd ended with exit status ${code}: ${oneLine(said.replace(/\s*\d+\+\d+ records in.*$/, ""))}`;
  return { name, state: "failed", percent: 0, why };
}

/** Nothing in it can steer a terminal. */
function oneLine(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]/gu, " ").trim();
  return plain === "" ? "it said nothing" : plain.slice(0, 300);
}
