/** What hostile texts and cut outputs once got through with; each by its name, so that it never does again. */
import { expect, test } from "vitest";

import { complain } from "../../src/cli/exit.ts";
import { planText } from "../../src/cli/plan-text.ts";
import { guardOutput } from "../../src/cli/secrets.ts";
import { showText } from "../../src/cli/show-text.ts";
import { parseDeadMan } from "../../src/drivers/clusterpro/dead-man.ts";
import { openClusterpro } from "../../src/drivers/clusterpro/driver.ts";
import { readXml } from "../../src/drivers/clusterpro/xml.ts";
import { parseTried } from "../../src/drivers/linux/drill.ts";
import { parseHook } from "../../src/drivers/linux/hook.ts";
import { parseMarker } from "../../src/drivers/linux/marker.ts";
import { parseDiskWrites } from "../../src/drivers/linux/read-through.ts";
import { Failure } from "../../src/errors.ts";
import { findJob, type Shell } from "../../src/ports/shell.ts";
import { plan, stuck } from "../cli/short-run.ts";
import { refusal } from "../support/folder.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const steering = "\u001b]0;title\u0007";
const shellThatSays = (stdout: string): Shell => ({
  name: "scripted",
  run: async () => ({ code: 0, signal: undefined, stdout: bytes(stdout), stderr: bytes("") }),
  close: async () => undefined,
});

test("the name of a run in a journal of another hand steers no terminal", () => {
  const text = showText(stuck, { color: false, width: 100, zone: "UTC", run: steering });
  expect(text).not.toContain("\u001b");
  expect(text).toContain("`runbook undo ␛]0;title␇`");
});

test("the digests of a plan of another hand steer no terminal", () => {
  const forged = { ...plan, hash: steering, source: { ...plan.source, sha256: steering } };
  expect(planText(forged, { color: false, width: 100, zone: "UTC" })).not.toContain("\u001b");
});

test("a control character of the second set in JSON steers no terminal, and the JSON says the same", () => {
  const said = JSON.stringify({ title: "\u009b2J" });
  expect(guardOutput({})(said)).toBe('{"title":"\\u009b2J"}');
});

test("a message cannot turn the direction of writing, nor jump to a column", () => {
  let said = "";
  complain(new Failure("invalid", "a\tb\u202ec\u2066d"), (text) => (said += text));
  expect(said).toBe("runbook: a b\\u202ec\\u2066d\n");
});

test("a marker of which the last line was cut off is held, and not long expired", () => {
  expect(parseMarker("1764000000\nr1.4\n17")).toMatchObject({ held: true, marker: undefined });
});

test("an exit status of a hook without its line's end may be the half of one", () => {
  expect(() => parseHook(bytes("1"), "server1")).toThrow("cannot be read");
});

test("an output of a check that is shorter than its node says is not compared", () => {
  expect(() => parseTried(bytes("0\n2\n1"), "server1")).toThrow("cannot be read");
});

test("a count of writes is not read from a line that was cut off in it", () => {
  expect(() => parseDiskWrites("91 0 728 12 4 0 32", "server1")).toThrow(/counts the writes/);
});

test("a dead-man timer that is neither ticking nor not, neither fired nor not, is not understood", () => {
  const text = "run r1\nset b1\nnow b1\ndue 1900\nticking yes\nfired no\n";
  expect(parseDeadMan(text, "server1").state).toBe("armed");
  for (const cut of [text.slice(0, -2), text.replace("yes", "ye")])
    expect(() => parseDeadMan(cut, "server1")).toThrow(/is not understood/);
});

test("a word that is none of systemd's tells nothing of a unit", async () => {
  const cluster = (said: string) =>
    openClusterpro({ shell: shellThatSays(said), clock: { now: () => 0 } as never });
  const units = (word: string) => `${word}\n`.repeat(5);
  const good = [1, 2, 3, 4, 5, 6, 7, 8].map((count) => "active\n".repeat(count));
  const answers = await Promise.all(
    good.map((said) =>
      cluster(said)
        .reads.getService("server1")
        .catch(() => undefined),
    ),
  );
  expect(answers.filter(Boolean)).toMatchObject([{ running: true }]);
  for (const word of ["activ", "constructor", ""])
    await refusal(async () => void (await cluster(units(word)).reads.getService("server1")));
});

test("an entity that every object has is none of XML's", () => {
  expect(() => readXml("<root>&constructor;</root>", "clp.conf")).toThrow(/is not accepted/);
});

test("a job without an exit status has not ended well", async () => {
  await refusal(async () => void (await findJob(shellThatSays(""), "server1", "copy")));
});
