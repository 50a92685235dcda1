/**
 * Messages for the holder of a run, from a second terminal: one file each, numbered in the order in which they came.
 * Only the holder appends to the journal, so it reads them, takes them away, and journals or refuses what they ask.
 */
import { existsSync } from "node:fs";
import { rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../errors.ts";
import type { Json } from "../ports/driver.ts";
import { checkFolder, diskFailure, namesIn, parseObject, placeNew, readOwn } from "./private-files.ts";

type Message = { readonly [key: string]: Json };

export async function sendMessage(inbox: string, message: Message, uid: number | undefined): Promise<void> {
  if (!checkFolder(inbox, uid)) throw new Failure("not-found", `there is no inbox ${inbox}`);
  const text = `${JSON.stringify(message)}\n`;
  let number = Math.max(0, ...numbersIn(inbox)) + 1;
  while (!(await placeNew(inbox, messageName(number), text))) number += 1;
}

/** Takes the messages away, oldest first. One that cannot be understood is put aside and thrown, once, in its turn. */
export async function receiveMessages(inbox: string, uid: number | undefined): Promise<readonly Message[]> {
  const messages: Message[] = [];
  try {
    if (!checkFolder(inbox, uid)) return messages;
    for (const number of numbersIn(inbox)) {
      const path = join(inbox, messageName(number));
      const bytes = readOwn(path, uid);
      if (bytes === undefined) continue;
      const message = parseObject(bytes);
      if (message === undefined) {
        // Those before it were taken away already and must not be lost: its turn is the next call.
        if (messages.length > 0) return messages;
        await rename(path, `${path}.refused`);
        throw new Failure(
          "invalid",
          `the message ${path} cannot be understood; it was renamed to end in .refused`,
        );
      }
      await unlink(path).catch((thrown: unknown) => {
        // Gone all the same: then it is ours, and would be lost by the failure.
        if (existsSync(path)) throw thrown;
      });
      messages.push(message);
    }
    return messages;
  } catch (thrown) {
    // The same where the disk refuses half-way.
    if (messages.length > 0) return messages;
    throw diskFailure(thrown, `reading the inbox ${inbox}`);
  }
}

// A person waits for the answer; one look costs a few hundredths of a millisecond.
const lookEveryMs = 250;

/** Looks for messages again and again, in real time: people write them. A folder that cannot be read now is looked at again. */
export function listenAt(inbox: string, heard: () => void): () => void {
  const timer = setInterval(() => {
    if (hasMessage(inbox)) heard();
  }, lookEveryMs);
  // It keeps no process alive: a run that is at work does that itself.
  timer.unref();
  return () => clearInterval(timer);
}

function hasMessage(inbox: string): boolean {
  try {
    return numbersIn(inbox).length > 0;
  } catch {
    return false;
  }
}

function numbersIn(inbox: string): readonly number[] {
  const numbers = namesIn(inbox).flatMap((name) => {
    const digits = /^(\d{8})\.json$/.exec(name)?.[1];
    return digits === undefined ? [] : [Number(digits)];
  });
  return numbers.sort((a, b) => a - b);
}

function messageName(number: number): string {
  return `${String(number).padStart(8, "0")}.json`;
}
