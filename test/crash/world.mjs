/**
 * One case's own world and everything that is done to it: a lab in this process, found by the product through its home
 * as `--lab` finds any, and the product as a process of its own. What happened is read from the lab's own heart.
 */
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

import { pacedClock } from "../../dist/src/drivers/clock/paced.js";
import { describeWorld } from "../../dist/src/lab/compare.js";
import { useHand, settle } from "../../dist/src/lab/hands.js";
import { beginLeftOver, watch } from "../../dist/src/lab/invariants.js";
import { serveLab } from "../../dist/src/lab/serve.js";
import { parseSegment } from "../../dist/src/store/rows.js";
import { thisMachine } from "../../dist/src/store/machine.js";

const product = fileURLToPath(new URL("../../", import.meta.url));
const entry = join(product, "bin", "runbook.js");
const preload = fileURLToPath(new URL("preload.cjs", import.meta.url));

/** A product that neither ends nor moves for so long (real time) hangs. */
const longestMs = 180_000;

/** `runbook`: texts by their paths, to be used instead of the product's own runbook. */
export async function openWorld({ shape, pace, seed, runbook }) {
  const home = mkdtempSync(join(tmpdir(), "runbook-crash-"));
  const folder = join(home, "lab");
  const cwd = join(home, "work");
  mkdirSync(join(cwd, "runbooks"), { recursive: true });
  for (const [path, text] of Object.entries(runbook ?? {})) {
    mkdirSync(dirname(join(cwd, "runbooks", path)), { recursive: true });
    writeFileSync(join(cwd, "runbooks", path), text);
  }
  const now = Date.now();
  const paced = { pace, originReal: now, originWorld: now };
  const served = await serveLab({
    folder,
    clock: pacedClock(paced),
    pace: paced,
    startTime: thisMachine().startOf(process.pid) ?? "",
    loseReplies: 0.05,
    options: {
      seed,
      mirrors: shape.mirrors,
      copySeconds: 60,
      files: { "orders.txt": "one" },
      cloud: { snapshotSeconds: 120, listLagSeconds: 20 },
    },
  });
  const { lab } = served;
  const breaches = [];
  watch(lab, (breach) => breaches.push(breach.what));
  const from = { received: 0, effects: 0, snapshots: 0 };
  const asItIs = () => ({ before: worldOf(lab), tags: tagsOf(lab), leftOver: beginLeftOver(lab) });
  Object.assign(from, asItIs());
  return {
    lab,
    pace,
    home,
    breaches,
    /** What is judged begins here: what was done before was to prepare it. */
    beginNow: () =>
      Object.assign(from, {
        received: lab.heart.received.length,
        effects: lab.heart.effects.length,
        snapshots: lab.cloud.listSnapshots().length,
        ...asItIs(),
      }),
    before: () => from.before,
    /** Of the snapshots that were there when it began, by their ids. */
    tagsBefore: () => from.tags,
    tags: () => tagsOf(lab),
    leftOver: () => from.leftOver(),
    received: () => lab.heart.received.slice(from.received),
    effects: () => lab.heart.effects.slice(from.effects),
    snapshots: () => lab.cloud.listSnapshots().slice(from.snapshots),
    /** The tool's own calls that changed the world, in the order in which they began to. */
    writes: () => lab.heart.received.slice(from.received).filter((row) => row.class === "write"),
    gaps: () => lab.heart.received.filter((row) => row.class === "gap").map((row) => row.line),
    product: (args, more) => runProduct(home, cwd, args, more),
    settle: () => settle(lab),
    hand: (name, words = []) => useHand(lab, name, words, "prod"),
    /** As a person does at the console of a node, whatever it answers. */
    type: (node, line) => lab.node(node).exec(line, { stdout: () => undefined, stderr: () => undefined }),
    sleep: (worldMs) => lab.heart.clock.sleep(worldMs),
    now: () => lab.heart.clock.now(),
    describe: () => worldOf(lab),
    runs: () => runsIn(home),
    rows: (run) => rowsOf(home, run),
    close: async (keep = false) => {
      await served.close();
      if (!keep) rmSync(home, { recursive: true, force: true });
    },
  };
}

function tagsOf(lab) {
  return Object.fromEntries(lab.cloud.listSnapshots().map(({ id, tags }) => [id, { ...tags }]));
}

/** A setting that clp.conf does not have, and one that it has with its default, are the same (reference clusterpro 1.5). */
function worldOf(lab) {
  const defaults = /(\\r|\\n|\\t|\s)*<(fullcopy>1<\/fullcopy|mkfs>0<\/mkfs)>/g;
  return JSON.parse(JSON.stringify(describeWorld(lab)).replace(defaults, ""));
}

/** Runs it to its end, or to its death: by the preload at one of the points `at`, or by `onChild`, which gets its process. */
async function runProduct(home, cwd, args, { at = [], onChild, gate } = {}) {
  const log = join(home, "killed-at");
  rmSync(log, { force: true });
  const asked = performance.now();
  const leave = await gate?.enter(args[0] === "resume");
  let startMs;
  return new Promise((resolve, reject) => {
    const { PATH, HOME, LANG } = process.env;
    const child = spawn(process.execPath, [entry, ...args], {
      cwd,
      env: {
        PATH,
        HOME,
        LANG,
        RUNBOOK_HOME: home,
        ...(at.length > 0 && {
          NODE_OPTIONS: `--require ${preload}`,
          CRASH_AT: JSON.stringify(at),
          CRASH_LOG: log,
        }),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stdout.on("data", (chunk) => {
      said += chunk;
      // Its first words come when everything is loaded and connected.
      startMs ??= performance.now() - asked;
      leave?.();
    });
    child.stderr.on("data", (chunk) => (said += chunk));
    let hung = false;
    const limit = setTimeout(() => {
      hung = true;
      child.kill("SIGKILL");
    }, longestMs);
    child.once("error", reject);
    child.once("close", (code, signal) => {
      leave?.();
      clearTimeout(limit);
      const point = existsSync(log) ? readFileSync(log, "utf8") : undefined;
      resolve({ startMs, code, killed: signal === "SIGKILL" && !hung, point, hung, said });
    });
    onChild?.(child);
  });
}

/**
 * Kills the child at the moment at which one of its calls has changed something in the world, and its reply has not left
 * yet: the first of the calls that `points` name by their number, counted over all processes of the run. Answers with a
 * function that ends the watching and says which point it was.
 */
export function killAtWrite(world, child, points, seen) {
  const { heart } = world.lab;
  let hit;
  const listener = ({ effect }) => {
    if (!effect || hit) return;
    const cause = heart.received.findLast((row) => row.effects.includes(effect.n));
    if (!cause || seen.has(cause)) return;
    seen.add(cause);
    const point = points.find((each) => each.write === seen.size);
    if (!point) return;
    hit = { point: point.id, line: cause.line };
    child.kill("SIGKILL");
  };
  heart.listeners.add(listener);
  return () => {
    heart.listeners.delete(listener);
    return hit;
  };
}

/** The lab's own store of runs: lab/state-NUMBER, a new one for each world. */
function storeOf(home) {
  const name = readdirSync(join(home, "lab")).find((each) => each.startsWith("state"));
  return name === undefined ? undefined : join(home, "lab", name, "runs");
}

function runsIn(home) {
  const folder = storeOf(home);
  if (folder === undefined || !existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => !name.startsWith("."));
}

/** Every whole row in all segments, void ones too: what a story is told from. */
function rowsOf(home, run) {
  const folder = join(storeOf(home), run);
  return readdirSync(folder)
    .filter((name) => /^\d{4,}\.jsonl$/.test(name))
    .sort()
    .flatMap((name) => parseSegment(Number(name.slice(0, -6)), readFileSync(join(folder, name))).rows);
}
