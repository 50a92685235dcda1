/**
 * Our marker on a node (design 3.6): a folder, with `fence` holding "RUN.FENCE", `owner`, and `expires` in seconds of
 * the node's own clock. A write to the node checks `fence` in its own command, so that file is the authority; it is
 * put in last and as a whole, and a folder without it counts as held by somebody who cannot be known.
 *
 * Taking is a mkdir, which only one can win. A node that dies between the mkdir and the files leaves a folder that
 * names nobody, so a run first makes a folder of claims under its own name, with the three files in it, and moves
 * them after the mkdir. Finding a nameless folder and its own claims, a run goes on where it stopped; all other runs
 * take it for held. (A rename of the whole folder would be one step, but replaces an empty folder silently, and a
 * link would make the marker something else than the folder that the fence looks into.) Should two runs ever both
 * think that a nameless folder is theirs, the file of the later move stands, and the other is fenced out from then on.
 */
import { Failure } from "../../errors.ts";
import { markerFolder } from "../../ports/shell.ts";
import type { MarkerState } from "../../ports/nodes.ts";

export const markerCodes = { none: 44, held: 76, badName: 77 } as const;

const stopBadName = `case "$run" in *.* | "") echo "runbook: a run's name holds no dot" >&2; exit ${markerCodes.badName} ;; esac`;
const heldBy = `echo "runbook: held: $(cat "$d/fence" 2> /dev/null)" >&2; exit ${markerCodes.held}`;

/** Arguments: run, fence, owner, seconds. */
export const takeScript = (folder: string = markerFolder): string => `umask 077
d='${folder}'
run=$1; shift
${stopBadName}
claim="$d.claim.$run"
mine=no
if [ -e "$claim" ]; then mine=yes; fi
mkdir -p '${parent(folder)}' && mkdir -p "$claim" || exit 1
echo "$run.$1" > "$claim/fence"
echo "$2" > "$claim/owner"
echo $(($(date +%s) + $3)) > "$claim/expires"
if ! mkdir "$d" 2> /dev/null; then
  if [ ! -e "$d" ]; then echo "runbook: $d cannot be made" >&2; rm -rf "$claim"; exit 1; fi
  if [ -e "$d/fence" ] || [ "$mine" = no ]; then rm -rf "$claim"; ${heldBy}; fi
fi
mv "$claim/owner" "$d/owner"
mv "$claim/expires" "$d/expires"
mv "$claim/fence" "$d/fence"
rm -rf "$claim"
if [ "$(cat "$d/fence")" != "$run.$1" ]; then ${heldBy}; fi
`;

/** Arguments: run, fence, owner, seconds. A fence never goes back: a newer holder of the same run keeps it. */
export const adoptScript = (folder: string = markerFolder): string => `umask 077
d='${folder}'
run=$1; shift
${stopBadName}
old=$(cat "$d/fence" 2> /dev/null)
case "$old" in
  "$run".*) ;;
  *) ${heldBy} ;;
esac
if [ "$(echo "$old" | cut -d. -f2)" -gt "$1" ]; then ${heldBy}; fi
echo "$2" > "$d/owner.new" && mv "$d/owner.new" "$d/owner" || exit 1
echo $(($(date +%s) + $3)) > "$d/expires.new" && mv "$d/expires.new" "$d/expires" || exit 1
echo "$run.$1" > "$d/fence.new" && mv "$d/fence.new" "$d/fence" || exit 1
if [ "$(cat "$d/fence")" != "$run.$1" ]; then ${heldBy}; fi
`;

/**
 * Arguments: run, fence, owner, seconds, the dead run's RUN.FENCE, and for how many seconds it must have been expired. The
 * fence goes first: cut after it, the marker is ours and expired, so that it is renewed, or taken over in its turn. The
 * other way round it would be the dead run's for as long again. Of two takers the later one's fence stands.
 */
export const takeOverScript = (folder: string = markerFolder): string => `umask 077
d='${folder}'
run=$1; shift
${stopBadName}
old=$(cat "$d/fence" 2> /dev/null)
if [ "$old" = "$run.$1" ]; then exit 0; fi
if [ "$old" != "$4" ]; then ${heldBy}; fi
expires=$(cat "$d/expires" 2> /dev/null)
case "$expires" in "" | *[!0-9]*) ${heldBy} ;; esac
if [ "$((expires + $5))" -ge "$(date +%s)" ]; then ${heldBy}; fi
echo "$run.$1" > "$d/fence.$run" && mv "$d/fence.$run" "$d/fence" || exit 1
echo "$2" > "$d/owner.$run" && mv "$d/owner.$run" "$d/owner" || exit 1
echo $(($(date +%s) + $3)) > "$d/expires.$run" && mv "$d/expires.$run" "$d/expires" || exit 1
if [ "$(cat "$d/fence")" != "$run.$1" ]; then ${heldBy}; fi
`;

/** Arguments: run, fence, seconds. */
export const renewScript = (folder: string = markerFolder): string => `umask 077
d='${folder}'
if [ "$(cat "$d/fence" 2> /dev/null)" != "$1.$2" ]; then ${heldBy}; fi
echo $(($(date +%s) + $3)) > "$d/expires.new" && mv "$d/expires.new" "$d/expires" || exit 1
`;

/**
 * Argument: run. The folder of claims is made first: cut in the middle of the removal, the same run can do it again,
 * while to others the marker is held.
 */
export const releaseScript = (folder: string = markerFolder): string => `umask 077
d='${folder}'
run=$1; shift
${stopBadName}
claim="$d.claim.$run"
case "$(cat "$d/fence" 2> /dev/null)" in
  "$run".*) ;;
  "") if [ -e "$d" ] && [ ! -e "$claim" ]; then ${heldBy}; fi ;;
  *) ${heldBy} ;;
esac
if [ -e "$d" ]; then mkdir -p "$claim"; rm -rf "$d"; fi
rm -rf "$claim"
`;

/** Prints the node's time, fence, expiry and owner; exit status 44, with what `cat` says, if there is no folder. */
export const findScript = (folder: string = markerFolder): string => `d='${folder}'
if [ ! -e "$d" ]; then cat "$d/fence"; exit ${markerCodes.none}; fi
date +%s
echo "$(cat "$d/fence")"
echo "$(cat "$d/expires")"
echo "$(cat "$d/owner")"
`;

export function parseMarker(output: string): MarkerState {
  const [now = "", fence = "", expires = "", ...owner] = output.split("\n").map((line) => line.trim());
  const unreadable = (why: string): MarkerState => ({ held: true, marker: undefined, why });
  const [, run, number] = /^([^.\s]+)\.(\d{1,15})$/.exec(fence) ?? [];
  if (run === undefined || number === undefined)
    return unreadable(
      fence === ""
        ? "its fence file is missing or empty"
        : `its fence file holds ${JSON.stringify(fence.slice(0, 100))}`,
    );
  // Of a line without its end nobody can tell whether it is a whole number: a marker would look long expired.
  if (owner.length === 0) return unreadable("what was read of it ends in the middle");
  if (!/^\d{1,12}$/.test(now) || !/^\d{1,12}$/.test(expires))
    return unreadable(
      `its expiry ${JSON.stringify(expires.slice(0, 100))} or the node's time ${JSON.stringify(now.slice(0, 100))} is no number`,
    );
  return {
    held: true,
    marker: {
      run,
      owner: owner.join(" ").trim(),
      fence: Number(number),
      secondsLeft: Number(expires) - Number(now),
    },
  };
}

/** The failure that an exit status of the scripts stands for. */
export function markerFailure(verb: string, node: string, code: number, said: string): Failure | undefined {
  if (code === markerCodes.held)
    return new Failure("conflict", `the marker on ${node} is not this run's: ${said || "it names nobody"}`, {
      happened: "no",
      hint: "see `runbook status`; a marker that names nobody was left by a node that died while it was taken",
      answer: { code, text: said },
    });
  if (code === markerCodes.badName)
    return new Failure("bug", `${verb} on ${node} was given a run's name with a dot, or none`, {
      answer: { code, text: said },
    });
  return undefined;
}

const parent = (folder: string) => folder.slice(0, folder.lastIndexOf("/"));
