// A reporter of vitest's that says how the tests ended: the skipped ones with their reasons, and a plain last line. It is
// written to the file that $VERDICT names, so that it can be shown last of all.
import { writeFileSync } from "node:fs";

export default class Verdict {
  /** What test files say when they leave out all of their tests. */
  #leftOut = new Set();

  onUserConsoleLog({ content }) {
    for (const [line] of content.matchAll(/^left out: .+$/gm)) this.#leftOut.add(line);
  }

  onTestRunEnd(modules, errors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const ended = (state) => tests.filter((test) => test.result().state === state);
    const lines = [];
    const skipped = ended("skipped");
    if (skipped.length > 0) lines.push(`skipped: ${skipped.length}`);
    for (const test of skipped)
      lines.push(`  ${test.fullName} (${test.result().note ?? "left out with its file"})`);
    lines.push(...this.#leftOut);

    // A file that could not be loaded has no tests of its own, and an error outside of a test belongs to none.
    const broken = modules.filter((module) => module.state() === "failed" && module.errors().length > 0);
    for (const { relativeModuleId } of broken) lines.push(`could not be played: ${relativeModuleId}`);
    for (const { message } of errors) lines.push(`error outside of a test: ${message}`);
    const failed = ended("failed").length + broken.length + errors.length;
    // What was cut off before it ended has neither passed nor failed by itself.
    const pending = ended("pending").length;
    if (pending > 0) lines.push(`not ended: ${pending}`);
    lines.push(`${ended("passed").length} passed, ${failed + pending} failed`);
    writeFileSync(process.env.VERDICT ?? "/dev/stdout", `${lines.join("\n")}\n`);
  }
}
