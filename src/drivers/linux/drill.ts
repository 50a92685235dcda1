/**
 * What a drill does on its scratch node: mounts, checks, and what became of them. All of it lies below one folder in /run,
 * which a boot empties. A mount that is refused and a check that says no are answers, not failures: they are kept in files,
 * so that a reply that was lost can be had again.
 *
 * Layout: FOLDER/NAME is a mount point; FOLDER/tried/NAME holds `code` (last, and as a whole), `out`, `err`.
 */
import { Failure, invariant } from "../../errors.ts";
import { drillFolders, type FileSystem, type MountSeen, type Tried } from "../../ports/nodes.ts";

export const keptBytes = 64 * 1024;
export const neverTried = 44;

// Whoever is not root must get through to a mount point, and may not look at what lies beside it.
const begin = `umask 066; d=$1; name=$2; t="$d/tried/$name"`;
const keepCode = `mv "$t/code.new" "$t/code"`;

/**
 * Arguments: folder, name of the mount point, how, device. `norecovery` goes with `ro` alone, and `nouuid` lets a copy be
 * mounted beside its original (both: xfs(5)); ext3 and ext4 call it `noload` (ext4(5)).
 */
export const mountScript = `umask 066; d=$1; name=$2; how=$3; device=$4; t="$d/tried/$name-$how"
if [ -e "$t/code" ]; then exit 0; fi
mkdir -p "$t" "$d/$name" || exit 1
type=$(blkid -p -o value -s TYPE "$device")
case "$how/$type" in
  as-it-is/xfs) options=ro,norecovery,nouuid ;;
  as-it-is/ext3 | as-it-is/ext4) options=ro,noload ;;
  as-it-is/*) options=ro ;;
  writable/xfs) options=rw,nouuid ;;
  *) options=rw ;;
esac
if grep -q -F " $d/$name " /proc/mounts; then echo 0 > "$t/code.new"
else
  mount -o "$options,nodev,nosuid" "$device" "$d/$name" > "$t/out" 2> "$t/err"
  echo $? > "$t/code.new"
  cat "$t/err" >&2
fi
${keepCode}
`;

/** Arguments: folder, name of the mount point. */
export const unmountScript = `p="$1/$2"
if ! grep -q -F " $p " /proc/mounts; then exit 0; fi
exec umount "$p"
`;

/**
 * Arguments: folder, name, user, seconds, folder to run in, the command. The mkdir is the beginning, which only one can win:
 * after a lost connection the command may still be at work, and a second one beside it would be another check.
 */
export const checkScript = `${begin}; user=$3; seconds=$4; at=$5; shift 5
unable() { echo "$1" > "$t/err"; echo unable > "$t/code.new"; ${keepCode}; exit 0; }
mkdir -p "$d/tried" || exit 1
if ! mkdir "$t" 2> /dev/null; then
  waited=0
  while [ ! -e "$t/code" ] && [ "$waited" -lt "$((seconds + 30))" ]; do sleep 1; waited=$((waited + 1)); done
  if [ ! -e "$t/code" ]; then unable "its end was never seen"; fi
  exit 0
fi
command -v timeout > /dev/null 2>&1 || unable "timeout (coreutils) is not installed there"
if [ "$user" != root ]; then
  command -v setpriv > /dev/null 2>&1 || unable "setpriv (util-linux) is not installed there"
  uid=$(id -u "$user" 2> /dev/null) || unable "there is no user $user there"
  gid=$(id -g "$user" 2> /dev/null) || unable "there is no user $user there"
  set -- setpriv --reuid "$uid" --regid "$gid" --clear-groups --no-new-privs "$@"
fi
cd "$at" || unable "there is no folder $at there"
{
  { timeout -k 5 "$seconds" "$@" 2>&1 1>&3 3>&- < /dev/null; echo $? > "$t/code.new"; } | head -c ${keptBytes + 1} > "$t/err"
} 3>&1 | head -c ${keptBytes + 1} > "$t/out"
${keepCode}
`;

/** Argument: folder. Nothing is removed while anything is mounted below it: that would empty the restored file system. */
export const clearScript = `d=$1
while read -r device point rest; do
  case "$point" in "$d"/*) umount "$point" || exit 1 ;; esac
done < /proc/mounts
if grep -q -F " $d/" /proc/mounts; then echo "something is still mounted below $d" >&2; exit 1; fi
rm -rf "$d"
`;

/** Arguments: folder, name. Prints the code, the bytes of the output, then output and errors. */
export const findTriedScript = `t="$1/tried/$2"
if [ ! -e "$t/code" ]; then exit ${neverTried}; fi
cat "$t/code"
if [ -e "$t/out" ]; then wc -c < "$t/out"; cat "$t/out"; else echo 0; fi
if [ -e "$t/err" ]; then cat "$t/err"; fi
exit 0
`;

/** What of this becomes part of a path: letters that need no quoting, and no way up. */
export function assertDrillPath(folder: string, name: string): void {
  invariant(
    folder.startsWith(drillFolders) && !folder.slice(drillFolders.length).includes("/"),
    `${folder} is no folder of a drill`,
  );
  invariant(/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name), `"${name}" is no name for a drill's folder`);
}

export function parseTried(output: Uint8Array, node: string): Tried {
  const first = output.indexOf(10);
  const second = output.indexOf(10, first + 1);
  const word = decode(output.slice(0, first)).trim();
  const bytes = Number(decode(output.slice(first + 1, second)).trim() || Number.NaN);
  const short = output.length < second + 1 + bytes;
  if (first < 0 || second < 0 || short || !Number.isSafeInteger(bytes) || !/^(\d{1,3}|unable)$/.test(word))
    throw new Failure("invalid", `${node} tells of something tried in words that cannot be read`, {
      answer: { text: decode(output.slice(0, 500)) },
    });
  const out = output.slice(second + 1, second + 1 + bytes);
  const err = output.slice(second + 1 + bytes);
  const stderr = decode(err.slice(0, keptBytes));
  return {
    code: word === "unable" ? undefined : Number(word),
    why: word === "unable" ? stderr.trim() : "",
    stdout: decode(out.slice(0, keptBytes)),
    stderr,
    cut: out.length > keptBytes || err.length > keptBytes,
  };
}

/** Blanks and other letters that would part the columns are written in octal there: "\\040". */
export function parseMounts(text: string): readonly MountSeen[] {
  const plain = (field: string) =>
    field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
  return text.split("\n").flatMap((line) => {
    const [device = "", point = "", type = "", options = ""] = line.split(" ");
    return point === ""
      ? []
      : [{ device: plain(device), point: plain(point), type, options: options.split(",") }];
  });
}

/** How the log of a file system is asked for; undefined where we know no way. */
export function logArgv(type: string, device: string): readonly string[] | undefined {
  if (type === "xfs") return ["xfs_logprint", "-t", device];
  if (type === "ext3" || type === "ext4") return ["dumpe2fs", "-h", device];
  return undefined;
}

/**
 * `xfs_logprint -t` prints "log tail: N head: N state: <CLEAN>" or <DIRTY> (xfsprogs, logprint/log_print_trans.c). dumpe2fs
 * lists "needs_recovery" among the features of a file system whose journal is to be replayed, and calls it "clean" all the
 * same (seen with e2fsprogs 1.47). What is not understood is "unknown".
 */
export function judgeLog(type: string, said: string): FileSystem {
  if (type === "xfs") {
    const state = /\bstate: <(CLEAN|DIRTY)>/.exec(said)?.[1];
    if (state === "CLEAN") return { type, log: "clean", why: "" };
    if (state === "DIRTY") return { type, log: "dirty", why: "its log has changes that were not replayed" };
    return { type, log: "unknown", why: "xfs_logprint does not say what state its log is in" };
  }
  const features = /^Filesystem features:\s*(.*)$/m.exec(said)?.[1]?.split(/\s+/);
  if (features === undefined) return { type, log: "unknown", why: "dumpe2fs does not list its features" };
  if (features.includes("needs_recovery"))
    return { type, log: "dirty", why: "its journal is to be replayed (needs_recovery)" };
  const state = /^Filesystem state:\s*(.*)$/m.exec(said)?.[1]?.trim();
  if (state === "clean") return { type, log: "clean", why: "" };
  return { type, log: "unknown", why: `dumpe2fs calls its state "${state ?? ""}"` };
}

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
