/** The rules that are printed, held against sudo itself: what it reads in them, and which command lines it lets through. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

import { readSudoers } from "../../src/lab/sudoers.ts";
import { leaveOut, noSudo } from "../support/sshd.ts";
import { ownFolder } from "../support/folder.ts";
import { playUnder, sudoersText } from "../support/least-rights.ts";
import { scenes } from "../support/rights-scenes.ts";

/** A list of one's own in the place of the machine's is seen by nobody else in a mount namespace of its own. */
const noNamespace =
  noSudo ?? (spawnSync("unshare", ["-m", "true"]).status === 0 ? undefined : "unshare -m is not permitted");
const user = "nobody";

describe.skipIf(leaveOut(noNamespace))("sudo itself", () => {
  it("lets through what a restore sends, and nothing that differs by a word, as the lab does", async () => {
    const sent: (readonly string[])[] = [];
    const scene = scenes.find(({ runbook }) => runbook === "restore");
    if (!scene) throw new Error("there is no scene of a restore");
    const { end, refused, rights } = await playUnder(scene, {}, { heard: (argv) => sent.push(argv) });
    expect([end, refused]).toEqual(["succeeded", []]);
    const rules = [...rights.sudo.values()].flat().flatMap((command) => command.rules);
    const text = sudoersText([...new Set(rules)]).replaceAll(/^ops /gm, `${user} `);
    const file = join(ownFolder(), "sudoers");
    writeFileSync(file, `Defaults !fqdn\n${text}`);
    chmodSync(file, 0o440);
    expect(spawnSync("visudo", ["-c", "-f", file]).status).toBe(0);

    const kinds = [...new Map(sent.map((argv) => [argv.join(" ").replaceAll(/\d+/g, "9"), argv])).values()];
    const others = kinds.flatMap((argv) => [
      [...argv, "more"],
      [...argv.slice(0, -1), `${argv.at(-1) ?? ""}x`],
      [...argv.slice(0, -1), `${argv.at(-1) ?? ""};id`],
    ]);
    const asked = [...kinds, ...others, ["sh", "-c", "id"], ["id"], ["env", "id"]];
    const list = readSudoers(text, user);
    const answers = letThrough(file, asked);
    expect(answers).toEqual(asked.map((argv) => list.find(argv) !== undefined));
    expect(answers.map((yes, i) => (yes === i < kinds.length ? undefined : asked[i]))).toEqual(
      asked.map(() => undefined),
    );
    expect(kinds.length).toBeGreaterThan(20);
  });
});

/** `sudo -l` says of each whether this user may run it. */
function letThrough(file: string, lines: readonly (readonly string[])[]): readonly boolean[] {
  const script = `mount --bind "$1" /etc/sudoers && shift && exec "$@"`;
  const each = `while IFS= read -r -d "" count; do
    words=(); for ((i = 0; i < count; i++)); do IFS= read -r -d "" word; words+=("$word"); done
    if sudo -l -U ${user} -- "\${words[@]}" > /dev/null 2>&1; then echo yes; else echo no; fi
  done`;
  const input = lines
    .map((words) => [String(words.length), ...words].map((word) => `${word}\0`).join(""))
    .join("");
  const said = execFileSync("unshare", ["-m", "sh", "-c", script, "sh", file, "bash", "-c", each], { input });
  return said
    .toString()
    .trim()
    .split("\n")
    .map((word) => word === "yes");
}
