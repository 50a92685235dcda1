/** A browser for the tests of one file, and a folder for the pages that it opens; both are gone when they are over. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";

import { noChromium, openBrowser, type Browser } from "./browser.ts";
import { leaveOut } from "./sshd.ts";

export interface Pages {
  /** Only while a test is played. */
  readonly browser: Browser;
  /** Writes a page; answers with its file. */
  put(name: string, text: string): string;
}

export function describeInBrowser(tests: (pages: Pages) => void): void {
  describe.skipIf(leaveOut(noChromium))("in a browser", () => {
    let folder = "";
    let browser: Browser | undefined;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "runbook-pages-"));
      browser = await openBrowser();
    });
    afterAll(async () => {
      await browser?.close();
      rmSync(folder, { recursive: true, force: true });
    });
    tests({
      get browser() {
        if (browser === undefined) throw new Error("the browser is asked for outside of a test");
        return browser;
      },
      put: (name, text) => {
        const file = join(folder, name);
        writeFileSync(file, text);
        return file;
      },
    });
  });
}
