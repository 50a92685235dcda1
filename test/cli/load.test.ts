import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { loadRunbook } from "../../src/cli/load.ts";
import { digestOf, type Source } from "../../src/cli/source.ts";

let root: string;
let cache: string;
let umask: number;
beforeEach(() => {
  umask = process.umask(0);
  root = mkdtempSync(join(tmpdir(), "runbook-load-"));
  cache = join(root, "state", "cache");
});
afterEach(() => {
  process.umask(umask);
  rmSync(root, { recursive: true, force: true });
});

function sourceOf(title: string, file = "nightly.ts"): Source {
  return withText(
    `
import { runbook, step, minutes } from "runbook";
const nothing: ReturnType<typeof step> = step({
  title: "Nothing",
  done: async () => ({}),
  within: minutes(1),
});
export default runbook({ title: ${JSON.stringify(title)}, steps: () => ({ nothing }) });
`,
    file,
  );
}

function withText(text: string, file = "nightly.ts", parts: Source["parts"] = {}): Source {
  return { file, text, parts, sha256: digestOf({ text, parts }) };
}

const kept = () => readdirSync(cache).sort();
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

/** What stands in the cache says another title than the text: whoever runs it is found out. */
function forge(title: string): string {
  const [name] = kept();
  const path = join(cache, name ?? "");
  writeFileSync(path, readFileSync(path, "utf8").replace('"as written"', JSON.stringify(title)));
  return path;
}

describe("loading a runbook with a folder for what is made of it", () => {
  it("makes JavaScript once: the second load uses what is kept", async () => {
    const source = sourceOf("as written");
    expect((await loadRunbook(source, cache)).title).toBe("as written");
    expect(kept()).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.cjs$/)]);
    forge("as kept");
    expect((await loadRunbook(source, cache)).title).toBe("as kept");
    expect(kept()).toHaveLength(1);
  });

  it("reads a changed text anew, and the same text under another name too", async () => {
    await loadRunbook(sourceOf("as written"), cache);
    forge("as kept");
    expect((await loadRunbook(sourceOf("changed"), cache)).title).toBe("changed");
    expect((await loadRunbook(sourceOf("as written", "weekly.ts"), cache)).title).toBe("as written");
    expect(kept()).toHaveLength(3);
    // Whoever changes it back is not asked to wait again.
    expect((await loadRunbook(sourceOf("as written"), cache)).title).toBe("as kept");
  });

  it("keeps each of its files, and reads only a changed one anew", async () => {
    const text = `import { runbook } from "runbook";
import { title } from "./steps/title.ts";
export default runbook({ title: title("as written"), steps: () => ({}) });
`;
    const part = (mark: string) => ({
      "steps/title.ts": `export const title = (text: string): string => text + ${JSON.stringify(mark)};\n`,
    });
    expect((await loadRunbook(withText(text, "nightly.ts", part("!")), cache)).title).toBe("as written!");
    expect(kept()).toHaveLength(2);
    for (const name of kept()) {
      const path = join(cache, name);
      writeFileSync(path, readFileSync(path, "utf8").replace('"as written"', '"as kept"'));
    }
    expect((await loadRunbook(withText(text, "nightly.ts", part("?")), cache)).title).toBe("as kept?");
    expect(kept()).toHaveLength(3);
  });

  it("keeps it for us alone, whatever the umask allows", async () => {
    await loadRunbook(sourceOf("as written"), cache);
    expect(modeOf(cache)).toBe("700");
    expect(kept().map((name) => modeOf(join(cache, name)))).toEqual(["600"]);
  });

  it("writes nothing where it is given no folder", async () => {
    expect((await loadRunbook(sourceOf("as written"))).title).toBe("as written");
    expect(readdirSync(root)).toEqual([]);
  });

  it("keeps nothing of a text that cannot be read, and says each time what is wrong in it", async () => {
    const text = 'import { runbook } from "runbook";\nexport default runbook({ title: ;\n';
    const source = withText(text);
    for (let time = 0; time < 2; time += 1) {
      await expect(loadRunbook(source, cache)).rejects.toMatchObject({
        kind: "invalid",
        message: expect.stringMatching(/^nightly\.ts:2:\d+: the runbook cannot be read/) as string,
      });
    }
    expect(existsSync(cache) ? kept() : []).toEqual([]);
  });

  it("allows a text that is kept no more than a new one: it imports nothing but runbook", async () => {
    const text = 'import { readFileSync } from "node:fs";\nexport default readFileSync;\n';
    const source = withText(text);
    for (let time = 0; time < 2; time += 1) {
      await expect(loadRunbook(source, cache)).rejects.toMatchObject({
        kind: "invalid",
        message: 'nightly.ts imports "node:fs"; a runbook imports only "runbook"',
      });
    }
  });
});

describe("a folder or file that cannot be trusted or used is not used, and nothing fails:", () => {
  const title = async () => (await loadRunbook(sourceOf("as written"), cache)).title;

  it("a file in the folder's place", async () => {
    mkdirSync(join(root, "state"));
    writeFileSync(cache, "not a folder");
    expect(await title()).toBe("as written");
    expect(readFileSync(cache, "utf8")).toBe("not a folder");
  });

  it("a file in the place of a folder above it", async () => {
    writeFileSync(join(root, "state"), "not a folder");
    expect(await title()).toBe("as written");
    expect(readFileSync(join(root, "state"), "utf8")).toBe("not a folder");
  });

  it("a link in the folder's place, though it leads to a folder of ours", async () => {
    const elsewhere = join(root, "elsewhere");
    mkdirSync(elsewhere, { mode: 0o700 });
    mkdirSync(join(root, "state"));
    symlinkSync(elsewhere, cache);
    expect(await title()).toBe("as written");
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  it("a link in the file's place", async () => {
    await title();
    const path = forge("as kept");
    const elsewhere = join(root, "elsewhere.cjs");
    writeFileSync(elsewhere, readFileSync(path));
    rmSync(path);
    symlinkSync(elsewhere, path);
    expect(await title()).toBe("as written");
  });

  it("a folder in the file's place", async () => {
    await title();
    const path = forge("as kept");
    rmSync(path);
    mkdirSync(path);
    expect(await title()).toBe("as written");
    expect(statSync(path).isDirectory()).toBe(true);
  });

  const root0 = process.getuid?.() === 0;
  const whatOnlyRootCan = "only root can give a file to somebody else";

  it("a file that belongs to somebody else", async (context) => {
    if (!root0) context.skip(whatOnlyRootCan);
    await title();
    const path = forge("of a stranger");
    chownSync(path, 65_534, 65_534);
    expect(await title()).toBe("as written");
    expect(readFileSync(path, "utf8")).toContain("of a stranger");
  });

  it("a folder that belongs to somebody else, though what is in it is ours", async (context) => {
    if (!root0) context.skip(whatOnlyRootCan);
    await title();
    const path = forge("as kept");
    chownSync(cache, 65_534, 65_534);
    expect(await title()).toBe("as written");
    expect(readdirSync(cache)).toEqual([path.slice(cache.length + 1)]);
  });

  // Root may write everywhere.
  if (!root0)
    it("a folder that we may not write to", async () => {
      mkdirSync(cache, { recursive: true, mode: 0o700 });
      chmodSync(cache, 0o500);
      expect(await title()).toBe("as written");
      expect(kept()).toEqual([]);
      chmodSync(cache, 0o700);
    });
});
