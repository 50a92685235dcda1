/**
 * J1 and J2. J1: durable commits of the store's journal, one after the other, against a raw loop that appends the same bytes to a
 * file and syncs it, in this process and on the same disk. The raw loop is made twice:
 *
 * - "async": write, then fdatasync in libuv's pool, awaited. This is the least that a store can do whose process must
 *   go on meanwhile (keepalives of SSH connections, a second command): the goal is held against it.
 * - "blocking": fdatasyncSync. It saves the way to the pool and back, and nothing else in the process runs until the
 *   disk has answered, which on a busy disk is seconds; a runner that holds a service in its hands cannot afford it.
 */
import { closeSync, fdatasync, fdatasyncSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { realDisk } from "../../dist/src/store/journal.js";
import { openStore } from "../../dist/src/store/store.js";
import { alternate, row } from "./measure.mjs";

// Short turns and many of them: what else the machine does changes within tenths of a second.
const commits = 100;
const turns = 6;
// J2: as many nodes as a network of class C has, answering together, a few times.
const results = 254;
const bursts = 10;

export async function measureCommits({ folder, pairs }) {
  mkdirSync(folder, { recursive: true });
  let syncs = 0;
  const disk = {
    ...realDisk,
    sync: (fd, done) => {
      syncs += 1;
      realDisk.sync(fd, done);
    },
  };
  const store = openStore(join(folder, "store"), { disk });
  let line;

  async function journal() {
    const run = store.newRunId();
    const writer = await store.create({ kind: "start", body: { for: "bench" } }, 1_700_000_000_000, run);
    syncs = 0;
    const from = process.hrtime.bigint();
    for (let i = 0; i < commits; i += 1) await writer.append("sent", body(i), 1_700_000_000_000 + i);
    const perSecond = rate(from);
    if (syncs !== commits) throw new Error(`${commits} commits made ${syncs} syncs; wanted one each`);
    await writer.close();
    if (line === undefined) {
      const lines = readFileSync(join(folder, "store", "runs", run, "0001.jsonl"), "utf8").split("\n");
      if (lines.length !== commits + 2) throw new Error(`the journal has ${lines.length - 1} rows`);
      line = Buffer.from(`${lines[commits / 2]}\n`);
    }
    const { rows } = await store.read(run);
    if (rows.length !== commits + 1) throw new Error(`${rows.length} rows were read again`);
    return perSecond;
  }

  const raw = (sync) => async () => {
    const fd = openSync(join(folder, `raw-${process.hrtime.bigint()}`), "ax", 0o600);
    const from = process.hrtime.bigint();
    for (let i = 0; i < commits; i += 1) {
      writeSync(fd, line);
      await sync(fd);
    }
    const perSecond = rate(from);
    closeSync(fd);
    return perSecond;
  };
  const inPool = raw(
    (fd) => new Promise((resolve, reject) => fdatasync(fd, (error) => (error ? reject(error) : resolve()))),
  );
  const blocking = raw((fd) => fdatasyncSync(fd));

  await journal();
  const async = await alternate({ pairs: pairs * turns, a: journal, b: inPool });
  const sync = await alternate({ pairs: pairs * turns, a: journal, b: blocking });
  const bytes = `${commits} commits of ${line.length} bytes, ${commits} syncs counted`;
  return [
    row({
      id: "J1",
      what: `sequential durable commits, rate (${bytes})`,
      goal: 0.85,
      at: "least",
      peer: "raw append + fdatasync, awaited, same process",
      measured: async,
      note: `${Math.round(async.a)}/s against ${Math.round(async.b)}/s`,
    }),
    row({
      id: "J1",
      what: "the same",
      peer: "raw append + fdatasyncSync, which blocks the process",
      measured: sync,
      note: `${Math.round(sync.a)}/s against ${Math.round(sync.b)}/s`,
    }),
  ];
}

/**
 * J2: what 254 nodes answer at once, in one journal, against the same rows one after the other. The store's disk is told to
 * say when each sync ended, and every acknowledgement is held against that.
 */
export async function measureGroups({ folder, pairs }) {
  mkdirSync(folder, { recursive: true });
  let syncs = 0;
  let onDisk = 0;
  let written = 0;
  const disk = {
    write: (fd, bytes) => {
      written += bytes.filter((byte) => byte === 0x0a).length;
      return realDisk.write(fd, bytes);
    },
    sync: (fd, done) => {
      const upTo = written;
      realDisk.sync(fd, (error) => {
        syncs += 1;
        onDisk = upTo;
        done(error);
      });
    },
  };
  const store = openStore(join(folder, "store"), { disk });
  const open = () => {
    syncs = written = onDisk = 0;
    return store.create({ kind: "start", body: { for: "bench" } }, 1_700_000_000_000, store.newRunId());
  };
  const told = ({ n }) => {
    if (n > onDisk) throw new Error(`row ${n} was acknowledged when ${onDisk} were on the disk`);
  };

  async function alone() {
    const writer = await open();
    const from = process.hrtime.bigint();
    for (let i = 0; i < commits; i += 1)
      told(await writer.append("answered", body(i), 1_700_000_000_000 + i));
    const perSecond = rate(from);
    await writer.close();
    return perSecond;
  }
  async function together() {
    const writer = await open();
    const from = process.hrtime.bigint();
    for (let burst = 0; burst < bursts; burst += 1) {
      const before = syncs;
      const rows = Array.from({ length: results }, (_, i) =>
        writer.append("answered", body(i), 1_700_000_000_000),
      );
      await Promise.all(rows.map(async (row) => told(await row)));
      if (syncs - before !== 1) throw new Error(`${results} results at once made ${syncs - before} syncs`);
    }
    const perSecond = rate(from, bursts * results);
    await writer.close();
    return perSecond;
  }
  const measured = await alternate({ pairs: pairs * turns, a: together, b: alone });
  return [
    row({
      id: "J2",
      what: `${results} results at once, rate (one sync for all of them, none acknowledged before it: counted)`,
      goal: 50,
      at: "least",
      peer: "the same rows, one after the other",
      measured,
      note: `${Math.round(measured.a)}/s against ${Math.round(measured.b)}/s`,
    }),
  ];
}

/** What a "sent" row of a run holds. */
function body(n) {
  return {
    n,
    unit: "breakMirrors",
    direction: "forward",
    request: {
      to: "node",
      verb: "cluster.breakMirror",
      node: "server2",
      argv: ["clpmdctrl", "--break", "md1"],
    },
    visibleWithinMs: 0,
  };
}

function rate(from, rows = commits) {
  return (rows * 1e9) / Number(process.hrtime.bigint() - from);
}
