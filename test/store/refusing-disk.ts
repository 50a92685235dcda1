/**
 * Stands around Node's own file calls, numbers those that touch one folder, and refuses the chosen ones. The store knows
 * nothing of it, and imports these calls by name: that works because the modules of Node are told to renew their names.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/**
 * What a call that is refused has done before: nothing; or a write half of its bytes; or all of it, as when an error comes
 * back for what is on the disk already.
 */
export type Refusal = { readonly code: string; readonly done: "nothing" | "half" | "all" };

export interface RefusingDisk {
  folder: string;
  /** The calls on the folder so far, "name path". */
  calls: string[];
  /** Asked before each call with its number from 1; undefined lets it through. */
  refuse: (call: number, name: string) => Refusal | undefined;
  close(): void;
}

type Call = (...args: never[]) => unknown;
type Table = { [name: string]: Call };

const plain = [
  ...["openSync", "readFileSync", "readdirSync", "lstatSync", "closeSync"],
  ...["linkSync", "mkdirSync", "renameSync", "rmSync"],
];
const writing = ["writeSync", "writeFileSync"];
const syncing = ["fsync", "fdatasync"];
const promised = ["mkdir", "rename", "rm", "unlink"];

export function refusingDisk(): RefusingDisk {
  const own = fs as unknown as Table;
  const later = fs.promises as unknown as Table;
  const kept: (() => void)[] = [];
  const self: RefusingDisk = {
    folder: "/nowhere",
    calls: [],
    refuse: () => undefined,
    close: () => {
      for (const putBack of kept) putBack();
      syncBuiltinESMExports();
    },
  };
  const placeOf = (first: unknown): string => (typeof first === "number" ? nameOf(first) : String(first));
  const meet = (name: string, first: unknown): Refusal | undefined => {
    const place = placeOf(first);
    if (!place.startsWith(self.folder)) return undefined;
    self.calls.push(`${name} ${place.slice(self.folder.length)}`);
    return self.refuse(self.calls.length, name);
  };
  const around = (table: Table, name: string, make: (call: Call) => Call): void => {
    const call = table[name] as Call;
    table[name] = make(call);
    kept.push(() => (table[name] = call));
  };

  for (const name of plain)
    around(own, name, (call) => (...args) => {
      const refused = meet(name, args[0]);
      // What is closed stays closed, whatever the disk said of it.
      const answer = isDone(refused) || name === "closeSync" ? call(...args) : undefined;
      if (refused) throw error(refused.code);
      return answer;
    });
  for (const name of writing)
    around(own, name, (call) => (...args) => {
      const refused = meet(name, args[0]);
      const part = refused?.done === "half" ? half(args) : args;
      const answer = isDone(refused) || refused?.done === "half" ? call(...part) : undefined;
      // As the system does: a write that stops short says how far it came, and the next one is refused.
      if (refused && !(name === "writeSync" && refused.done === "half")) throw error(refused.code);
      return answer;
    });
  for (const name of syncing)
    around(own, name, (call) => (...args) => {
      const [fd, done] = args as unknown as [number, (failed: Error | null) => void];
      const refused = meet(name, fd);
      return refused ? process.nextTick(done, error(refused.code)) : call(...args);
    });
  for (const name of promised)
    around(later, name, (call) => async (...args) => {
      const refused = meet(`promises.${name}`, args[0]);
      const answer = isDone(refused) ? await call(...args) : undefined;
      if (refused) throw error(refused.code);
      return answer;
    });
  around(later, "open", (call) => async (...args) => {
    const refused = meet("promises.open", args[0]);
    if (refused) throw error(refused.code);
    const file = (await call(...args)) as fs.promises.FileHandle;
    for (const name of ["writeFile", "sync"] as const) {
      const act = file[name].bind(file) as Call;
      Object.defineProperty(file, name, {
        value: async (...given: never[]) => {
          const no = meet(`FileHandle.${name}`, args[0]);
          if (no) throw error(no.code);
          return act(...given);
        },
      });
    }
    return file;
  });
  syncBuiltinESMExports();
  return self;
}

function isDone(refused: Refusal | undefined): boolean {
  return refused === undefined || refused.done === "all";
}

function error(code: string): Error {
  return Object.assign(new Error(`${code}: refused by the test`), { code });
}

function nameOf(fd: number): string {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

/** (file, data) or (file, bytes, offset, length), of half as many bytes. */
function half([file, data, offset, length]: readonly unknown[]): never[] {
  const cut = (whole: string | Uint8Array) => whole.slice(0, whole.length >> 1);
  const part = typeof length === "number" ? [data, offset, length >> 1] : [cut(data as string | Uint8Array)];
  return [file, ...part] as never[];
}
