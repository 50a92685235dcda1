/**
 * Exit statuses and failure texts → our kinds. The texts are known from memory only (reference clusterpro 3.4, 3.6):
 * they are matched loosely, and only to give a better kind and hint. Whether the step worked is found by looking.
 */
import { Failure, type FailureKind, type Happened } from "../../errors.ts";
import { commandFailure, fencedOutCode, text, type Output } from "../../ports/shell.ts";
import { runsCode } from "./settings.ts";

interface Meaning {
  readonly kind: FailureKind;
  readonly happened?: Happened;
  readonly hint?: string;
}

const texts: readonly (readonly [RegExp, Meaning])[] = [
  [
    /^sudo: /m,
    { kind: "denied", happened: "no", hint: "grant the sudo lines of docs/reference/clusterpro.md" },
  ],
  [
    /log in as root/i,
    { kind: "denied", hint: "the commands need root: log in as root, or set `sudo: true` for the node" },
  ],
  [/is busy\b|try again later/i, { kind: "unavailable", happened: "no" }],
  [/already been (started|stopped)/i, { kind: "conflict" }],
  [/time-?out has occurred|timed out/i, { kind: "timeout", happened: "maybe" }],
  [
    /cluster service is (active|stopped)|could not connect to the server|server is not active/i,
    { kind: "precondition", hint: "the cluster's software does not run on that node" },
  ],
  [
    /mirror agent is not running/i,
    { kind: "precondition", hint: "start the mirror agent, or the cluster's software, on that node" },
  ],
  [
    /licen[sc]e/i,
    {
      kind: "precondition",
      hint: "the Replicator licence blocks mirror commands when it is missing or expired",
    },
  ],
  [
    /invalid option/i,
    { kind: "unsupported", hint: "this version does not have the option; X 4.3 or newer is needed" },
  ],
  [
    /invalid configuration data|configuration is invalid/i,
    { kind: "invalid", hint: "check clp.conf on the nodes" },
  ],
  [/invalid (server|group|monitor\w*|mirror disk|resource) name|specify a valid/i, { kind: "not-found" }],
  [/the status of .+ is invalid|invalid server status/i, { kind: "precondition" }],
  [/not in a condition to start|wait synchronization|no operable group/i, { kind: "precondition" }],
  [
    /failed to (start|stop|isolate|recover|activate)|error occurred|internal error/i,
    { kind: "conflict", hint: "see the cluster's event log on the node" },
  ],
];

// Of clpmonctrl alone (reference clusterpro 3.6).
const monitorCodes: { readonly [code: number]: Meaning } = {
  1: { kind: "denied" },
  5: { kind: "not-found" },
  6: { kind: "not-found" },
  10: { kind: "precondition", hint: "the cluster's software does not run on that node" },
  11: { kind: "precondition", hint: "the cluster is suspended" },
  12: { kind: "precondition", hint: "the cluster waits for its nodes to synchronise" },
  90: { kind: "timeout", happened: "maybe" },
};

/** Exit statuses of our own scripts for the dead-man timer (dead-man.ts). */
export const deadManCodes = {
  none: 44,
  otherRun: 76,
  notTicking: 77,
  booted: 78,
  cutScript: 79,
  fired: 80,
} as const;
const deadManMeanings: { readonly [code: number]: Meaning } = {
  [deadManCodes.none]: {
    kind: "precondition",
    happened: "no",
    hint: "it was never armed, or somebody took it away",
  },
  [deadManCodes.otherRun]: {
    kind: "conflict",
    happened: "no",
    hint: "another run's timer stands there; resume or undo that run",
  },
  [deadManCodes.notTicking]: {
    kind: "precondition",
    hint: "see `systemctl status runbook-dead-man.timer` on the node",
  },
  [deadManCodes.booted]: {
    kind: "precondition",
    happened: "no",
    hint: "the node was booted since the run looked",
  },
  [deadManCodes.cutScript]: { kind: "unavailable", happened: "no" },
  [deadManCodes.fired]: {
    kind: "conflict",
    hint: "the timer fired; its report says which groups it started",
  },
};

// The commands that end with their node going down, and the last thing that each says before (reference clusterpro 3.7, 3.8).
const takeDown: { readonly [command: string]: { readonly [phase: string]: string } } = {
  "clpbackup.sh": { "--pre": "Shutting down...", "--post": "Rebooting..." },
  "clprestore.sh": { "--pre": "Shutting down...", "--post": "Rebooting..." },
};

const inWebUi = "set it in Cluster WebUI, apply it, and go on";
// Of the requests that are scripts of ours: what a person can do where the product's command is not there.
const missing: { readonly [verb: string]: string } = {
  "cluster.setMirrorOptions": inWebUi,
  "cluster.setMirrorDevices": inWebUi,
  "cluster.enableService": "is CLUSTERPRO X set up on that node?",
  "cluster.disableService": "is CLUSTERPRO X set up on that node?",
};

/** What a command's output means; undefined if it did what it should. `verb` is the request's, or a name of the read. */
export function findFailure(
  verb: string,
  node: string,
  argv: readonly string[],
  out: Output,
): Failure | undefined {
  const line = verb.endsWith("DeadMan")
    ? "the dead-man timer's script"
    : // A script of ours is called by its name, and shown with its arguments.
      (argv[0] === "sh" ? argv.slice(3) : argv).join(" ");
  const said = [text(out.stdout).trim(), text(out.stderr).trim()].filter(Boolean).join("\n").slice(0, 4000);
  const fail = (meaning: Meaning, ended: string) =>
    new Failure(meaning.kind, `${line} on ${node} ${ended}${said ? `: ${said.slice(0, 500)}` : ""}`, {
      happened: meaning.happened ?? "said",
      answer: { ...(out.code !== undefined && { code: out.code }), text: said },
      ...(meaning.hint !== undefined && { hint: meaning.hint }),
    });

  // A signal is no answer either: when a node goes down, its commands are ended so.
  if (out.code === undefined)
    return fail(
      { kind: "unavailable", happened: "maybe" },
      out.signal === undefined
        ? "was cut off; whether it happened is not known"
        : `was ended by signal ${out.signal}`,
    );
  if (out.code === fencedOutCode && text(out.stderr).startsWith("runbook: the marker"))
    return commandFailure(node, line, out);
  if (out.code === 0) return cameShort();
  const ended = `ended with exit status ${out.code}`;
  if (verb.endsWith("DeadMan")) {
    const ours = deadManMeanings[out.code];
    if (ours) return fail(ours, ended);
  }
  // `env` says so itself: the command does not exist, so nothing was done.
  if ((out.code === 127 || out.code === 126) && /^env: /m.test(text(out.stderr)))
    return fail(
      {
        kind: "unsupported",
        happened: "no",
        hint: "is CLUSTERPRO X (4.3 or newer for clpbackup.sh and clprestore.sh) installed there?",
      },
      ended,
    );
  const ourScript = missing[verb];
  if (ourScript !== undefined && out.code === 127 && /^runbook: /m.test(text(out.stderr)))
    return fail({ kind: "unsupported", happened: "no", hint: ourScript }, ended);
  const lastLine = takeDown[argv[0] ?? ""]?.[argv[1] ?? ""];
  if (verb === "cluster.setMirrorDevices" && out.code === runsCode)
    return fail(
      { kind: "precondition", happened: "no", hint: "stop the cluster's software on that node first" },
      ended,
    );
  const saidLast = lastLine !== undefined && said.includes(`${argv[0]} : ${lastLine}`);
  // 128 plus the number of the signal that ended an inner command while the node went down. Whatever comes after the last
  // line comes from a system that is ending.
  if (saidLast || ((lastLine ?? ourScript) !== undefined && [129, 130, 137, 143].includes(out.code)))
    return fail({ kind: "unavailable", happened: "maybe" }, ended);
  // A second control command at the same time is refused with 128 (reference clusterpro 3.6); a script's last command is
  // the only one that changes the cluster.
  if (
    lastLine === undefined &&
    out.code === 128 &&
    ((argv[0] ?? "").startsWith("clp") || ourScript !== undefined)
  )
    return fail({ kind: "unavailable", happened: "no" }, ended);
  const byText = textMeaning();
  // In which words it refuses is not known (reference clusterpro 3.8).
  const refusal =
    argv[0] === "clprestore.sh" && argv[1] === "--post"
      ? "it refuses while the initial mirror construction of a mirror is on, and while the mirror agent runs"
      : undefined;
  const byCode = argv[0] === "clpmonctrl" ? monitorCodes[out.code] : undefined;
  // These are several commands in a row: whatever one of them says, those before it were done.
  const several = lastLine !== undefined || ourScript !== undefined;
  const meaning = byText ?? byCode ?? { kind: "conflict", ...(refusal !== undefined && { hint: refusal }) };
  return fail(several && meaning.kind !== "denied" ? { ...meaning, happened: "said" } : meaning, ended);

  function textMeaning(): Meaning | undefined {
    return texts.find(([pattern]) => pattern.test(said))?.[1];
  }

  function cameShort(): Failure | undefined {
    const last = takeDown[argv[0] ?? ""]?.[argv[1] ?? ""];
    if (last !== undefined)
      return said.includes(`${argv[0]} : ${last}`)
        ? undefined
        : fail(
            {
              kind: "conflict",
              hint: "it may have been done in part: look at the units and the mirrors of the node",
            },
            `never said "${last}"`,
          );
    const ofControl = ["clpgrp", "clpmonctrl", "clpmdctrl", "clpcl"].includes(argv[0] ?? "");
    const bad = ofControl && !/success|succeeded/i.test(said) ? textMeaning() : undefined;
    return bad && fail({ ...bad, happened: "said" }, "ended with exit status 0, yet says that it failed");
  }
}
