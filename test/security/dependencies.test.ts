/** The look at the dependencies that CI takes: it finds what it is to find, and never keeps silent about what it cannot see. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

// eslint-disable-next-line @typescript-eslint/ban-ts-comment -- a script of CI's has no types
// @ts-ignore
import * as script from "../../.ci/dependencies.mjs";

interface Lock {
  packages: { [path: string]: { version?: string; integrity?: string; hasInstallScript?: boolean } };
}
const { wrongIn, auditOf } = script as {
  wrongIn: (lock: Lock) => string[];
  auditOf: (text: string, least: string) => { why?: string; bad: string[] };
};
const lock = () =>
  JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8")) as Lock;

test("nothing is wrong with the lock file as it is", () => {
  expect(wrongIn(lock())).toEqual([]);
});

test("a new install script, one that is gone, and a package without a hash are each told", () => {
  const changed = lock();
  changed.packages["node_modules/chalk"] = {
    version: "9.9.9",
    integrity: "sha512-x",
    hasInstallScript: true,
  };
  changed.packages["node_modules/a/node_modules/ssh2"] = { version: "1.0.0" };
  delete changed.packages["node_modules/cpu-features"];
  expect(wrongIn(changed)).toEqual([
    expect.stringMatching(/^chalk 9\.9\.9 wants to run a script when it is installed/),
    expect.stringMatching(/^cpu-features has no install script any more/),
    expect.stringMatching(/^ssh2 1\.0\.0 is not pinned by a hash/),
  ]);
});

test("an audit is read, and one that was not answered says why", () => {
  const vulnerabilities = { yaml: { name: "yaml", severity: "moderate", range: "<2.0" } };
  const report = JSON.stringify({ auditReportVersion: 2, vulnerabilities });
  expect(auditOf(report, "info").bad).toEqual(["yaml <2.0 is known to be bad (moderate)"]);
  expect(auditOf(report, "high")).toEqual({ bad: [] });
  expect(auditOf('{"message":"405 Method Not Allowed"}', "info").why).toBe("405 Method Not Allowed");
  expect(auditOf("<html>", "info").why).toContain("JSON");
  expect(auditOf("{}", "info").why).toBe("npm audit gave no report");
});
