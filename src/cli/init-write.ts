/** Puts an inventory in its place, whole or not at all, and only one that the product's own reader takes. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname } from "node:path";

import { readInventory, type Inventory } from "../config/inventory.ts";
import { asFailure, Failure } from "../errors.ts";
import { fileTrouble } from "./exit.ts";

export interface ToPlace {
  readonly file: string;
  readonly text: string;
}

/** Before anything is asked of anybody: whether the answer could be written. */
export function assertPlaceable(file: string, force: boolean): void {
  assertFolder(file);
  const there = statSync(file, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isFile()) throw new Failure("invalid", `${file} is not a file`, { hint: "name another file" });
  if (!force) throw taken(file);
}

function assertFolder(file: string): void {
  const folder = statSync(dirname(file), { throwIfNoEntry: false });
  if (folder?.isDirectory() !== true)
    throw new Failure("invalid", `there is no folder ${dirname(file)}`, {
      hint: "make it, or name a file in another one",
    });
}

/** The file that is to be added to, behind links, with what it holds and what that means. */
export async function readExisting(named: string): Promise<Existing> {
  assertFolder(named);
  if (!existsSync(named))
    throw new Failure("invalid", `there is no ${named} to add to`, {
      hint: "leave --add out, and it is written",
    });
  const file = realpathSync(named);
  const inventory = await readInventory(file);
  return { file, inventory, text: readFileSync(file, "utf8") };
}

export interface Existing {
  readonly file: string;
  readonly inventory: Inventory;
  readonly text: string;
}

/** In the place of what was there, if that is still there and the new text passes. */
export async function replaceInventory(
  { file, text: before }: Existing,
  text: string,
  assert: (inventory: Inventory) => void,
): Promise<void> {
  const draft = write({ file, text });
  try {
    assert(await assertReadable(draft, file));
    if (!holds({ file, text: before }))
      throw new Failure("precondition", `${file} was changed meanwhile`, { hint: "try again" });
    place(draft, file, true);
  } catch (thrown) {
    rmSync(draft, { force: true });
    throw thrown;
  }
}

function taken(file: string): Failure {
  return new Failure("invalid", `${file} is there already`, {
    hint: "--add puts another cluster into an inventory, --force writes over it; or name another file",
  });
}

/** The schema first, since the inventory's first line names it. */
export async function placeInventory(
  inventory: ToPlace,
  schema: ToPlace | undefined,
  force: boolean,
): Promise<void> {
  const draft = write(inventory);
  let schemaIsOurs = false;
  try {
    await assertReadable(draft, inventory.file);
    if (schema !== undefined && !holds(schema)) {
      place(write(schema), schema.file, force);
      schemaIsOurs = true;
    }
    place(draft, inventory.file, force);
  } catch (thrown) {
    rmSync(draft, { force: true });
    if (schema !== undefined && schemaIsOurs && !force) rmSync(schema.file, { force: true });
    throw thrown;
  }
}

/** Under another name beside it: that is the same file system, where a rename is one turn. */
function write({ file, text }: ToPlace): string {
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  try {
    const fd = openSync(draft, "wx", 0o600);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    return draft;
  } catch (thrown) {
    rmSync(draft, { force: true });
    throw unwritable(file, thrown);
  }
}

function place(draft: string, file: string, force: boolean): void {
  try {
    if (force) renameSync(draft, file);
    else {
      // Fails if somebody made the file meanwhile, as O_EXCL does.
      linkSync(draft, file);
      rmSync(draft);
    }
  } catch (thrown) {
    rmSync(draft, { force: true });
    throw existsSync(file) && !force ? taken(file) : unwritable(file, thrown);
  }
}

function holds({ file, text }: ToPlace): boolean {
  return existsSync(file) && readFileSync(file, "utf8") === text;
}

async function assertReadable(draft: string, file: string): Promise<Inventory> {
  try {
    return await readInventory(draft);
  } catch (thrown) {
    const failure = asFailure(thrown);
    throw new Failure(
      "invalid",
      `what was found makes no inventory: ${failure.message.replaceAll(draft, basename(file))}`,
      {
        hint: "write it by hand (docs/reference/inventory.md)",
        cause: failure,
      },
    );
  }
}

function unwritable(file: string, thrown: unknown): Failure {
  return new Failure("invalid", `${file} cannot be written: ${fileTrouble(thrown)}`, {
    cause: thrown,
    hint: "name a file in a folder that exists and is yours",
  });
}
