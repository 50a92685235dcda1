/**
 * The user's own commands (hooks). What became of one is kept below one folder in /run, which a boot empties, under the run and
 * the hook's name: so a reply that was lost can be had again, and a runner that takes over sees whether it ran, still runs,
 * or ended. The command runs in a session of its own, which no end of a connection reaches.
 *
 * Layout: FOLDER/RUN/NAME holds `pid` of its keeper, `status` (the command's own exit status), `out` (the last of what it
 * printed), `whole` (nobody prints any more) and, last and as a whole, `code`: an exit status, "over", "lost" or "unable".
 */
import { Failure, invariant } from "../../errors.ts";
import { hooksFolder, type HookEnd } from "../../ports/nodes.ts";

export const neverRun = 44;
/** How much of what it printed a node keeps, bytes; and how much of that is told, lines and letters of each. */
const keptBytes = 16 * 1024;
const toldLines = 10;
const toldLetters = 200;

/** As one word of a script in sh. */
const quoted = (script: string) => `'${script.replaceAll("'", "'\\''")}'`;

/** Argument: its folder. It takes all output to its end, so that none fills the node's memory, and keeps the last of it. */
const outputScript = `tail -c ${keptBytes} > "$1/out"; : > "$1/whole"`;

/** Arguments: its folder, the command. What keeps the output is in a session of its own: no end of the command is its end. */
const commandScript = `t=$1; shift
{ "$@" 2>&1; echo $? > "$t/status.new"; mv "$t/status.new" "$t/status"; } | setsid sh -c ${quoted(outputScript)} runbook-hook-output "$t"
`;

/**
 * Arguments: its folder, seconds, the command. timeout(1) makes a process group of its own, of which it is the leader, and
 * sends TERM to all of it when the time is over. What of it is still there five seconds later is killed.
 */
const keeperScript = `t=$1; seconds=$2; shift 2
umask 022
cd /
timeout "$seconds" sh -c ${quoted(commandScript)} runbook-hook-command "$t" "$@" &
group=$!
wait "$group"
if [ $? = 124 ]; then
  waited=0
  while [ "$waited" -lt 5 ] && kill -s 0 -- "-$group" 2> /dev/null; do sleep 1; waited=$((waited + 1)); done
  kill -s KILL -- "-$group" 2> /dev/null
  waited=0
  while [ "$waited" -lt 2 ] && [ ! -e "$t/whole" ]; do sleep 1; waited=$((waited + 1)); done
  echo over > "$t/code.new"
else
  echo lost > "$t/code.new"
fi
if [ -e "$t/status" ]; then cat "$t/status" > "$t/code.new"; fi
mv "$t/code.new" "$t/code"
`;

/**
 * Arguments: folder, run, name, user, seconds, the command. The mkdir is the beginning, which only one can win. What earlier
 * runs left is taken away: the marker on the node says that none of them is at work.
 */
export const runHookScript = `umask 077; d="$1/$2"; t="$1/$2/$3"; user=$4; seconds=$5
unable() { echo "$1" > "$t/out"; echo unable > "$t/code.new"; mv "$t/code.new" "$t/code"; exit 0; }
if [ ! -d "$d" ]; then
  for old in "$1"/*; do rm -rf "$old"; done
  mkdir -p "$d" || exit 1
fi
shift 5
if mkdir "$t" 2> /dev/null; then
  command -v timeout > /dev/null 2>&1 || unable "timeout (coreutils) is not installed there"
  command -v setsid > /dev/null 2>&1 || unable "setsid (util-linux) is not installed there"
  if [ "$user" != root ]; then
    command -v setpriv > /dev/null 2>&1 || unable "setpriv (util-linux) is not installed there"
    uid=$(id -u "$user" 2> /dev/null) || unable "there is no user $user there"
    gid=$(id -g "$user" 2> /dev/null) || unable "there is no user $user there"
    groups=$(id -G "$user" | tr ' ' ',')
    home=/
    if command -v getent > /dev/null 2>&1; then home=$(getent passwd "$user" | cut -d: -f6); fi
    set -- setpriv --reuid "$uid" --regid "$gid" --groups "$groups" env HOME="$home" USER="$user" LOGNAME="$user" "$@"
  fi
  setsid sh -c ${quoted(keeperScript)} runbook-hook "$t" "$seconds" "$@" < /dev/null > /dev/null 2>&1 &
  keeper=$!
  echo "$keeper" > "$t/pid.new" && mv "$t/pid.new" "$t/pid"
  wait "$keeper"
fi
gone=0
while [ ! -e "$t/code" ]; do
  pid=$(cat "$t/pid" 2> /dev/null)
  if [ -z "$pid" ] || ! kill -0 "$pid" 2> /dev/null; then gone=$((gone + 1)); fi
  if [ "$gone" -gt 5 ] && [ ! -e "$t/code" ]; then unable "its end was never seen: what ran it is gone"; fi
  sleep 1
done
exit 0
`;

/** Arguments: folder, run, name. Prints how it ended, then what it printed. */
export const findHookScript = `t="$1/$2/$3"
if [ ! -e "$t/code" ]; then exit ${neverRun}; fi
cat "$t/code"
if [ -e "$t/out" ]; then cat "$t/out"; fi
exit 0
`;

/** What of this becomes part of a path: letters that need no quoting, and no way up. In a plan, a hole stands for some. */
export function assertHookPath(...parts: readonly string[]): void {
  for (const part of parts)
    invariant(
      /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(part.replace(/\u27e8[^\u27e8\u27e9]*\u27e9/g, "1")),
      `"${part}" is no name for what is kept of a hook`,
    );
}

/** Its arguments, after the script and its name. */
export function hookArgs(hook: {
  readonly run: string;
  readonly name: string;
  readonly user: string;
  readonly seconds: number;
  readonly env: { readonly [variable: string]: string };
  readonly argv: readonly string[];
}): readonly string[] {
  const { run, name, user, seconds, env, argv } = hook;
  assertHookPath(run, name);
  const set = Object.entries(env).map(([variable, value]) => `${variable}=${value}`);
  return [hooksFolder, run, name, user, String(seconds), "env", ...set, ...argv];
}

export function parseHook(output: Uint8Array, node: string): HookEnd {
  const text = new TextDecoder().decode(output);
  const [word = "", ...rest] = text.split("\n");
  const said = lastLines(rest);
  // Where the first line has no end, the rest of the number may be missing.
  if (/^\d{1,3}$/.test(word) && rest.length > 0) return { how: "ended", code: Number(word), said };
  if (word === "over") return { how: "over", code: undefined, said };
  if (word === "unable") return { how: "unable", code: undefined, said };
  if (word === "lost") return { how: "unable", code: undefined, said: ["its end was never seen"] };
  throw new Failure("invalid", `${node} tells of a hook in words that cannot be read`, {
    answer: { text: text.slice(0, 500) },
  });
}

/** Nothing in it can steer a terminal, and no line is longer than a person reads. */
function lastLines(lines: readonly string[]): readonly string[] {
  return lines
    .map((line) => line.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]/gu, " ").trimEnd())
    .filter((line) => line !== "")
    .slice(-toldLines)
    .map((line) => (line.length > toldLetters ? `${line.slice(0, toldLetters)}…` : line));
}
