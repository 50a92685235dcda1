/** Runners on one folder: processes that never existed, so that they can die by being struck off a list. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Disk } from "../../src/store/journal.ts";
import type { Machine, Process } from "../../src/store/machine.ts";
import { openStore } from "../../src/store/store.ts";
import type { Store } from "../../src/ports/store.ts";
import type { StoreBench } from "../conformance/store.ts";

export interface FolderBench extends StoreBench {
  readonly folder: string;
  machine(n: number, other?: Partial<Process>): Machine;
  open(options?: { n?: number; disk?: Disk; other?: Partial<Process>; uid?: number }): Store;
}

/** Where a disk's own time is no part of what is tested. */
export const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

export function folderBench(on = tmpdir()): FolderBench {
  const folder = mkdtempSync(join(on, "runbook-store-"));
  const living = new Map<number, string>();
  const machine = (n: number, other: Partial<Process> = {}): Machine => {
    const self: Process = {
      host: "machine",
      machineId: "id",
      bootId: "boot1",
      pidNamespace: "pid:[4026531836]",
      pid: n,
      started: `${n}000`,
      user: "operator",
      ...other,
    };
    return { self, uid: process.getuid?.(), startOf: (pid) => living.get(pid) };
  };
  const open: FolderBench["open"] = ({ n = 1, disk, other, uid } = {}) => {
    if (!living.has(n)) living.set(n, `${n}000`);
    const seen = machine(n, other);
    return openStore(folder, {
      machine: uid === undefined ? seen : { ...seen, uid },
      reserveBytes: 4096,
      ...(disk === undefined ? {} : { disk }),
    });
  };
  return {
    folder,
    machine,
    open,
    runner: (n) => open({ n }),
    kill: (n) => void living.set(n, "gone"),
    close: () => {
      rmSync(folder, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}
