/** A folder of one test's own, and how a test looks at a refusal. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";

import { Failure } from "../../src/errors.ts";

/** Gone when the test is over. */
export function ownFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "runbook-test-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The failure that this ends in; a test that meets none fails. */
export async function refusal(act: () => Promise<unknown> | void): Promise<Failure> {
  try {
    await act();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Failure);
    return thrown as Failure;
  }
  throw new Error("nothing was thrown");
}
