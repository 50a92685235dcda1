/**
 * The dead-man timer: a script on the active node that starts the stopped groups again if the run falls silent
 * (design 3.5). A repeating timer of the init system runs it every ten seconds; it compares the node's uptime with
 * the file `due`, so that a renewal is one atomic replacement of `due`, without a moment in which no timer is set.
 *
 * Its folder: script, boot, node, peer, group.N, mirror.N, wanted (what it was armed with), armed (which arming a loop
 * belongs to), due, loop (its process, without systemd), and last `run`, without which nothing there counts: a
 * folder that was half made, or half removed, has no `run`. The script adds `peer-red` (the break was proven while the
 * peer could be seen), `fired` (a folder, since mkdir is atomic: it acts once, even if two of it run at the same
 * time), `starting` and `report`.
 *
 * The scripts may be cut anywhere. Cut before `fired`: the next tick does it all again, having changed nothing. Cut
 * after it: the next tick only takes its timer away, and `starting` tells which group was begun; a second start that
 * nobody expects would be worse than a group that a person starts. The script's work stands in functions that its last
 * line calls, so that a part of it does nothing.
 *
 * Plain POSIX sh with the few commands that every node has, no awk, no sed: each line must be easy to be sure of.
 */
import { createHash } from "node:crypto";

import { Failure } from "../../errors.ts";
import { markerFolder } from "../../ports/shell.ts";
import type { DeadManState } from "../../ports/cluster-manager.ts";
import { searchPath } from "./commands.ts";
import { deadManCodes as codes } from "./errors.ts";

/** Where the scripts look; the tests put another place here. */
export interface DeadManPlaces {
  readonly folder: string;
  readonly fenceFile: string;
  readonly uptimeFile: string;
  readonly bootIdFile: string;
  readonly searchPath: string;
}
export const deadManPlaces: DeadManPlaces = {
  folder: "/var/lib/runbook/dead-man",
  fenceFile: `${markerFolder}/fence`,
  uptimeFile: "/proc/uptime",
  bootIdFile: "/proc/sys/kernel/random/boot_id",
  searchPath,
};

const unit = "runbook-dead-man";
const tickSeconds = 10;

/** What the timer runs at each tick. */
export const deadManScript = (places: DeadManPlaces = deadManPlaces): string => `#!/bin/sh
# Dead-man timer of runbook: starts the groups that a run stopped, if that run fell silent.
d='${places.folder}'

ask() {
  env LC_ALL=C PATH='${places.searchPath}' "$@" < /dev/null 2> /dev/null
}

uptime_now() {
  cut -d. -f1 '${places.uptimeFile}'
}

stop_timer() {
  ask systemctl stop ${unit}.timer
}

# Sets here and there to the colours of mirror $1 on this node and on the peer; empty where that cannot be told. The
# columns are those of the header, whichever node comes first.
colours() {
  here=
  there=
  shown=$(ask clpmdstat --mirror "$1")
  header=$(printf '%s\\n' "$shown" | grep -F "$1 " | head -n 1)
  row=$(printf '%s\\n' "$shown" | grep -F 'Mirror Color' | head -n 1)
  set -- $header
  while [ $# -gt 2 ]; do shift; done
  first=$1
  second=$2
  set -- $row
  while [ $# -gt 2 ]; do shift; done
  if [ "$first" = "$node" ] && [ "$second" = "$peer" ]; then
    here=$1
    there=$2
  elif [ "$first" = "$peer" ] && [ "$second" = "$node" ]; then
    here=$2
    there=$1
  fi
}

# Sets green to the first mirror that is not GREEN here, empty if all are; red to yes if all are GREEN here and RED there,
# to unseen if it could be so and the other side is not shown, else to no.
mirrors() {
  green=
  red=no
  m=1
  while [ -e "$d/mirror.$m" ]; do
    mirror=$(cat "$d/mirror.$m")
    colours "$mirror"
    if [ "$m" = 1 ]; then red=yes; fi
    if [ "$here" != GREEN ]; then
      red=no
      if [ -z "$green" ]; then green=$mirror; fi
    fi
    case "$there" in
      RED) ;;
      GRAY | "") if [ "$red" = yes ]; then red=unseen; fi ;;
      *) red=no ;;
    esac
    m=$((m + 1))
  done
}

# Sets seen to yes if this node sees the peer as a member. The table cuts names at 16 characters: where both nodes look
# the same then, nobody can tell.
visible() {
  seen=no
  short=$(printf '%s\\n' "$peer" | cut -c1-16)
  own=$(printf '%s\\n' "$node" | cut -c1-16)
  if [ "$short" != "$own" ]; then
    line=$(ask clpstat | grep "^[ *]*$short [.]*: " | head -n 1)
    case "$line" in
      *": Online" | *": Online " | *": Online  "*) seen=yes ;;
    esac
  fi
}

watch() {
  visible
  if [ "$seen" = yes ]; then
    mirrors
    # The connection of the mirrors goes down before the cluster counts its member as lost: what is not shown any more
    # says nothing against what was seen.
    case "$red" in
      yes) echo "the peer was seen RED and this node GREEN" > "$d/peer-red" ;;
      no) rm -f "$d/peer-red" ;;
    esac
  fi
}

# Starts group $1, unless there is a reason not to; one line of the report either way.
start() {
  why=
  if [ "$(cat '${places.bootIdFile}')" != "$boot" ]; then
    why="the node was booted since the timer was set"
  fi
  if [ -z "$why" ]; then
    case "$(cat '${places.fenceFile}' 2> /dev/null)" in
      "$run".*) ;;
      *) why="the marker on this node does not name run $run" ;;
    esac
  fi
  if [ -z "$why" ]; then
    where=$(env LC_ALL=C PATH='${places.searchPath}' clpgrp -n "$1" < /dev/null 2>&1 | tr '\\n' ' ')
    if [ -n "$where" ]; then why="clpgrp -n said: $where"; fi
  fi
  if [ -z "$why" ]; then
    mirrors
    if [ -n "$green" ]; then why="mirror $green is not GREEN here"; fi
  fi
  if [ -z "$why" ]; then
    visible
    if [ "$seen" != yes ] && [ ! -e "$d/peer-red" ]; then
      why="$peer is not visible, and was not seen RED before"
    fi
  fi
  if [ -n "$why" ]; then
    echo "$1: not started: $why" >> "$d/report"
  else
    echo "$1: its start was begun, and no end of it was written" > "$d/starting"
    said=$(env LC_ALL=C PATH='${places.searchPath}' clpgrp -s "$1" -h "$node" < /dev/null 2>&1)
    code=$?
    if [ "$code" = 0 ]; then
      echo "$1: started" >> "$d/report"
    else
      echo "$1: start failed with exit status $code: $(printf '%s\\n' "$said" | tr '\\n' ' ')" >> "$d/report"
    fi
    rm -f "$d/starting"
  fi
}

main() {
  if [ ! -e "$d/run" ]; then exit 0; fi
  if [ -e "$d/fired" ]; then
    stop_timer
    exit 0
  fi
  run=$(cat "$d/run")
  boot=$(cat "$d/boot")
  node=$(cat "$d/node")
  peer=$(cat "$d/peer")
  if [ "$(uptime_now)" -lt "$(cat "$d/due")" ]; then
    watch
    exit 0
  fi
  mkdir "$d/fired" 2> /dev/null || exit 0
  # A renewal may have come in between: it writes due and then looks for fired, we do it the other way round, so that
  # at least one of the two sees the other.
  if [ "$(uptime_now)" -lt "$(cat "$d/due")" ]; then
    rm -rf "$d/fired"
    exit 0
  fi
  g=1
  while [ -e "$d/group.$g" ]; do
    start "$(cat "$d/group.$g")"
    g=$((g + 1))
  done
  stop_timer
}

main
`;

/**
 * Arms it. The script is held against its digest: who may give this command must not be able to have root run another one,
 * and one that came in part is found out too. Arguments: run, boot id, node, peer, seconds, number of groups, groups…, mirrors…; the script is its input.
 * Doing it again with the same arguments only moves the hour, without a gap; with others it replaces what the same run
 * armed, and keeps `peer-red`, which cannot be seen again while the peer is off.
 */
export const armScript = (places: DeadManPlaces = deadManPlaces): string => `umask 077
d='${places.folder}'
say() { echo "runbook: $1" >&2; }
run=$1; shift
boot=$1; shift
node=$1; shift
peer=$1; shift
after=$1; shift
groups=$1; shift
mkdir -p '${places.folder.slice(0, places.folder.lastIndexOf("/"))}' || exit 1
cat > "$d.script"
sum=$(sha256sum < "$d.script" | cut -c1-64)
if [ "$sum" != ${digestOf(deadManScript(places))} ]; then say "the script came in part, or is another one"; exit ${codes.cutScript}; fi
if [ "$(cat '${places.bootIdFile}')" != "$boot" ]; then say "the node was booted since $boot"; exit ${codes.booted}; fi
same=no
if [ -e "$d/run" ]; then
  if [ "$(cat "$d/run")" = "$run" ]; then
    same=yes
  elif [ "$(cat "$d/boot")" = "$boot" ]; then
    say "the timer of run $(cat "$d/run") stands here"; exit ${codes.otherRun}
  fi
fi
if [ "$same" = yes ] && [ -e "$d/fired" ]; then say "the timer of this run fired"; exit ${codes.fired}; fi
wanted=$(printf '%s\\n' "$node" "$peer" "$groups" "$@")
due=$(($(cut -d. -f1 '${places.uptimeFile}') + after))
if [ "$same" = yes ] && [ "$(cat "$d/boot")" = "$boot" ] && [ "$(cat "$d/wanted")" = "$wanted" ]; then
  ${ticking}  if [ "$ticking" = yes ]; then
    mv "$d.script" "$d/script"
    echo "$due" > "$d/due.new" && mv "$d/due.new" "$d/due" || exit 1
    if [ -e "$d/fired" ]; then say "the timer of this run fired"; exit ${codes.fired}; fi
    echo "armed before, now until uptime $due"
    exit 0
  fi
fi
systemctl stop ${unit}.timer > /dev/null 2>&1
if [ "$same" = yes ] && [ -e "$d/fired" ]; then say "the timer of this run fired"; exit ${codes.fired}; fi
kept=no
if [ "$same" = yes ] && [ "$(cat "$d/boot")" = "$boot" ] && [ -e "$d/peer-red" ]; then kept=yes; fi
rm -f "$d/run"
rm -rf "$d"
mkdir "$d" || exit 1
mv "$d.script" "$d/script"
echo "$boot" > "$d/boot"
echo "$node" > "$d/node"
echo "$peer" > "$d/peer"
i=0
while [ "$i" -lt "$groups" ]; do i=$((i + 1)); echo "$1" > "$d/group.$i"; shift; done
i=0
while [ $# -gt 0 ]; do i=$((i + 1)); echo "$1" > "$d/mirror.$i"; shift; done
if [ "$kept" = yes ]; then echo "seen before the timer was set again" > "$d/peer-red"; fi
echo "$wanted" > "$d/wanted"
echo "$due" > "$d/due"
echo "$due" > "$d/armed"
echo "$run" > "$d/run.new" && mv "$d/run.new" "$d/run" || exit 1
if command -v systemd-run > /dev/null 2>&1; then
  systemd-run --collect --unit=${unit} --on-active=${tickSeconds} --on-unit-active=${tickSeconds} --timer-property=AccuracySec=1s /bin/sh "$d/script"
  if [ "$(systemctl is-active ${unit}.timer 2> /dev/null)" != active ]; then
    # systemd before 236 does not know --collect.
    systemd-run --unit=${unit} --on-active=${tickSeconds} --on-unit-active=${tickSeconds} --timer-property=AccuracySec=1s /bin/sh "$d/script"
  fi
  if [ "$(systemctl is-active ${unit}.timer 2> /dev/null)" != active ]; then say "the timer does not tick"; exit ${codes.notTicking}; fi
else
  setsid sh -c '${loopScript}' ${unit} "$d" "$due" < /dev/null > /dev/null 2>&1 &
  echo $! > "$d/loop"
  if ! kill -0 "$(cat "$d/loop")" 2> /dev/null; then say "the loop does not run"; exit ${codes.notTicking}; fi
fi
echo "armed until uptime $due"
`;

// Ends by itself once the folder is gone, was armed anew, or fired.
const loopScript =
  `while [ -e "$1/run" ] && [ "$(cat "$1/armed")" = "$2" ] && [ ! -e "$1/fired" ]; ` +
  `do sleep ${tickSeconds}; sh "$1/script"; done`;

const ticking =
  `ticking=no\n` +
  `if [ "$(systemctl is-active ${unit}.timer 2> /dev/null)" = active ]; then ticking=yes\n` +
  `elif [ -e "$d/loop" ] && kill -0 "$(cat "$d/loop")" 2> /dev/null; then ticking=yes; fi\n`;

const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");

/** Arguments: run, seconds. */
export const renewScript = (places: DeadManPlaces = deadManPlaces): string => `d='${places.folder}'
if [ ! -e "$d/run" ]; then echo "runbook: there is no dead-man timer" >&2; exit ${codes.none}; fi
if [ "$(cat "$d/run")" != "$1" ]; then echo "runbook: the timer is that of run $(cat "$d/run")" >&2; exit ${codes.otherRun}; fi
if [ -e "$d/fired" ]; then echo "runbook: the timer fired" >&2; exit ${codes.fired}; fi
${ticking}if [ "$ticking" != yes ] || [ "$(cat "$d/boot")" != "$(cat '${places.bootIdFile}')" ]; then echo "runbook: the timer does not tick" >&2; exit ${codes.notTicking}; fi
due=$(($(cut -d. -f1 '${places.uptimeFile}') + $2))
echo "$due" > "$d/due.new" && mv "$d/due.new" "$d/due" || exit 1
if [ -e "$d/fired" ]; then echo "runbook: the timer fired" >&2; exit ${codes.fired}; fi
echo "renewed until uptime $due"
`;

/** Argument: run. `run` goes first: what is left of a removal that was cut counts as nothing. */
export const clearScript = (places: DeadManPlaces = deadManPlaces): string => `d='${places.folder}'
if [ -e "$d/run" ]; then
  if [ "$(cat "$d/run")" != "$1" ]; then echo "runbook: the timer is that of run $(cat "$d/run")" >&2; exit ${codes.otherRun}; fi
  if [ -e "$d/loop" ] && [ ! -e "$d/fired" ] && [ "$(cat "$d/boot")" = "$(cat '${places.bootIdFile}')" ]; then kill "$(cat "$d/loop")" 2> /dev/null; fi
fi
systemctl stop ${unit}.timer > /dev/null 2>&1
if [ "$(systemctl is-active ${unit}.timer 2> /dev/null)" = active ]; then echo "runbook: the timer cannot be stopped" >&2; exit 1; fi
rm -f "$d/run"
rm -rf "$d" "$d.script"
echo "cleared"
`;

/** All that is known of it, in one command; exit status 44 if there is none. */
export const findScript = (places: DeadManPlaces = deadManPlaces): string => `d='${places.folder}'
if [ ! -e "$d/run" ]; then exit ${codes.none}; fi
${ticking}fired=no
if [ -e "$d/fired" ]; then fired=yes; fi
echo "run $(cat "$d/run")"
echo "set $(cat "$d/boot")"
echo "now $(cat '${places.bootIdFile}')"
echo "due $(cat "$d/due")"
echo "ticking $ticking"
echo "fired $fired"
if [ -e "$d/report" ]; then cat "$d/report"; fi
if [ -e "$d/starting" ]; then cat "$d/starting"; fi
exit 0
`;

export function parseDeadMan(output: string, node: string): DeadManState {
  const [run, set, now, due, ticks, fired, ...report] = output.split("\n");
  const value = (line: string | undefined, key: string) => {
    if (line === key || line?.startsWith(`${key} `)) return line.slice(key.length + 1).trim();
    throw new Failure(
      "invalid",
      `what the dead-man timer's folder on ${node} holds is not understood: ${JSON.stringify(line ?? "")}, expected ${key}`,
      {
        hint: `look into ${deadManPlaces.folder} on that node`,
      },
    );
  };
  const yesOrNo = (line: string | undefined, key: string) => {
    const word = value(line, key);
    return word === "yes" || word === "no" ? word : value(undefined, `${key} yes or no`);
  };
  const seconds = value(due, "due");
  const sameBoot = value(set, "set") === value(now, "now");
  const armed = sameBoot && yesOrNo(ticks, "ticking") === "yes" && /^\d+$/.test(seconds);
  const state = yesOrNo(fired, "fired") === "yes" ? "fired" : armed ? "armed" : "dead";
  return {
    run: value(run, "run"),
    state,
    dueUptimeSeconds: state === "armed" ? Number(seconds) : undefined,
    report: report.filter((line) => line !== ""),
  };
}
