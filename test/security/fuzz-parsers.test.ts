/**
 * Outputs as they were recorded, then cut, shuffled and changed: each parser answers, or refuses in words. What it answers
 * stands in the text that it was given; where a fact was cut off, no answer claims it.
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { parseConfig } from "../../src/drivers/clusterpro/parse-conf.ts";
import { parseCopies } from "../../src/drivers/clusterpro/copies.ts";
import { parseDeadMan } from "../../src/drivers/clusterpro/dead-man.ts";
import { parseMirror } from "../../src/drivers/clusterpro/parse-mirror.ts";
import {
  nameGroups,
  nameMonitors,
  nameNodes,
  parseMonitors,
  parseSummary,
} from "../../src/drivers/clusterpro/parse-stat.ts";
import { parseBlockDevices } from "../../src/drivers/linux/block-devices.ts";
import { judgeLog, parseMounts, parseTried } from "../../src/drivers/linux/drill.ts";
import { parseHook } from "../../src/drivers/linux/hook.ts";
import { parseDevicesFile, parseLogical, parsePhysical } from "../../src/drivers/linux/lvm.ts";
import { parseMarker } from "../../src/drivers/linux/marker.ts";
import { parseDiskWrites, parseReadings } from "../../src/drivers/linux/read-through.ts";
import { checkHostKey, parseKnownHosts } from "../../src/drivers/ssh/known-hosts.ts";
import { parseSshConfig } from "../../src/drivers/ssh/ssh-config.ts";
import { Failure } from "../../src/errors.ts";
import type { MirrorState } from "../../src/ports/cluster-manager.ts";
import { cases, patience } from "./cases.ts";
import { mutated } from "./mutate.ts";

const recorded = (name: string) => readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), "utf8");
const bytes = (text: string) => new TextEncoder().encode(text);
const nodes = ["server1", "server2"];
const report = (kind: string, rows: readonly object[]) =>
  JSON.stringify({ report: [{ [kind]: rows }] }, null, 2);

interface Parser {
  readonly parse: (text: string) => unknown;
  readonly texts: readonly string[];
  /** Texts in an answer that have to stand in what was parsed. */
  readonly facts: (answer: never) => readonly (string | undefined)[];
  /** Whether an answer to a text that was cut claims no more than the answer to the whole; by default it must be the same. */
  readonly claimsNoMore?: (cut: never, whole: never) => boolean;
  /** Its format has no end by which a cut could be seen: the exit status of the command tells that it is whole. */
  readonly endless?: true;
}

const conf = recorded("clusterpro/clp.invented.conf");
const config = parseConfig(bytes(conf), "clp.conf");
const stats = [recorded("clusterpro/clpstat.txt"), recorded("clusterpro/clpstat-three-mirrors.invented.txt")];

const parsers: { readonly [name: string]: Parser } = {
  "clpmdstat --mirror": {
    parse: (text) => parseMirror(text, "md1", nodes),
    texts: ["normal", "abnormal.invented", "recovering.invented"].map((name) =>
      recorded(`clusterpro/clpmdstat-${name}.txt`),
    ),
    facts: ({ status, sides }: MirrorState) => [
      status,
      ...Object.values(sides).flatMap(({ colour, lastUpdate, breakTime }) => [
        colour === "UNKNOWN" ? undefined : colour,
        lastUpdate,
        breakTime,
      ]),
    ],
    claimsNoMore: (cut: MirrorState, whole: MirrorState) =>
      cut.status === whole.status &&
      Object.entries(cut.sides).every(([node, side]) => {
        const seen = whole.sides[node];
        return (
          (side.colour === "UNKNOWN" || side.colour === seen?.colour) &&
          [undefined, seen?.lastUpdate].includes(side.lastUpdate) &&
          [undefined, seen?.breakTime].includes(side.breakTime)
        );
      }) &&
      (cut.recovery === undefined ||
        (cut.recovery.percent ?? whole.recovery?.percent) === whole.recovery?.percent),
  },
  clpstat: {
    parse: parseSummary,
    texts: stats,
    facts: ({ nodes, groups, monitors }: ReturnType<typeof parseSummary>) => [
      ...[...nodes, ...groups, ...monitors].map(({ name }) => name),
      ...groups.flatMap(({ current, resources }) => [current, ...resources.map(({ name }) => name)]),
    ],
  },
  "clpstat -m": {
    parse: parseMonitors,
    texts: [recorded("clusterpro/clpstat-m.invented.txt")],
    facts: (found: ReturnType<typeof parseMonitors>) =>
      found.flatMap(({ name, byNode }) => [name, ...Object.keys(byNode)]),
  },
  "clp.conf": {
    parse: (text) => parseConfig(bytes(text), "clp.conf"),
    texts: [conf],
    facts: ({ name, nodes, groups, mirrors }: ReturnType<typeof parseConfig>) => [
      name,
      ...nodes,
      ...groups.map((group) => group.name),
      ...mirrors.map((mirror) => mirror.name),
    ],
  },
  "the cluster's event log": {
    parse: (text) => parseCopies(text, { mirror: "md1", device: "/dev/NMP1", sinceUptimeSeconds: 0 }),
    texts: [recorded("clusterpro/journal-copies.invented.jsonl")],
    facts: () => [],
    claimsNoMore: (cut: ReturnType<typeof parseCopies>, whole: ReturnType<typeof parseCopies>) =>
      cut.length <= whole.length &&
      cut.every(
        ({ started, ended }, i) =>
          Number(started) <= Number(whole[i]?.started) && Number(ended) <= Number(whole[i]?.ended),
      ),
  },
  "the dead-man timer's folder": {
    parse: (text) => parseDeadMan(text, "server1"),
    texts: [
      "run 8f3a\nset b1\nnow b1\ndue 1900\nticking yes\nfired no\n",
      "run 8f3a\nset b1\nnow b1\ndue 1900\nticking no\nfired yes\nfailover1: started\n",
    ],
    facts: ({ run, dueUptimeSeconds }: ReturnType<typeof parseDeadMan>) => [
      run,
      dueUptimeSeconds?.toString(),
    ],
    claimsNoMore: (cut: ReturnType<typeof parseDeadMan>, whole: ReturnType<typeof parseDeadMan>) =>
      cut.state === whole.state && cut.dueUptimeSeconds === whole.dueUptimeSeconds && cut.run === whole.run,
  },
  lsblk: {
    parse: (text) => parseBlockDevices(text, "server1"),
    texts: ["tree", "flat", "older"].map((name) => recorded(`linux/lsblk-${name}.invented.json`)),
    facts: (found: ReturnType<typeof parseBlockDevices>) =>
      found.flatMap(({ path, serial, partUuid, mountPoints }) => [
        path.replace("/dev/", ""),
        serial,
        partUuid,
        ...mountPoints,
      ]),
  },
  pvs: {
    parse: (text) => parsePhysical(text, "server1"),
    texts: [
      report("pv", [
        { pv_name: "/dev/sdb1", vg_name: "vg_md1" },
        { pv_name: "/dev/sdc", vg_name: "" },
      ]),
    ],
    facts: (found: ReturnType<typeof parsePhysical>) => found.flatMap(({ device, group }) => [device, group]),
  },
  lvs: {
    parse: (text) => parseLogical(text, "server1"),
    texts: [
      report("lv", [
        { vg_name: "vg_md1", lv_name: "lv1", lv_active: "active", lv_dm_path: "/dev/mapper/vg_md1-lv1" },
        { vg_name: "vg_md1", lv_name: "[hidden]", lv_active: "", lv_dm_path: "/dev/mapper/x" },
      ]),
    ],
    facts: (found: ReturnType<typeof parseLogical>) =>
      found.flatMap(({ name, group, device }) => [name, group, device]),
  },
  "LVM's devices file": {
    parse: parseDevicesFile,
    texts: [
      "# LVM uses devices listed in this file.\nVERSION=1.1.2\nIDTYPE=sys_wwid IDNAME=nvme.1d0f DEVNAME=/dev/nvme1n1 PVID=x\n",
    ],
    facts: (found: readonly string[]) => found,
    endless: true,
  },
  "the marker": {
    parse: parseMarker,
    texts: ["1764000000\n8f3a.4\n1764000900\noperator@console pid 7\n"],
    facts: (found: ReturnType<typeof parseMarker>) =>
      found.held && found.marker ? [found.marker.run, found.marker.owner, String(found.marker.fence)] : [],
    claimsNoMore: (cut: ReturnType<typeof parseMarker>, whole: ReturnType<typeof parseMarker>) =>
      cut.held &&
      whole.held &&
      (cut.marker === undefined ||
        (cut.marker.run === whole.marker?.run && cut.marker.secondsLeft === whole.marker.secondsLeft)),
  },
  "what a check said": {
    parse: (text) => parseTried(bytes(text), "server1"),
    texts: ["0\n9\nversion 1a warning", "1\n0\nno such file\n", "unable\n0\nthere is no user app there\n"],
    facts: ({ stdout, stderr }: ReturnType<typeof parseTried>) => [stdout, stderr],
    claimsNoMore: (cut: ReturnType<typeof parseTried>, whole: ReturnType<typeof parseTried>) =>
      cut.code === whole.code && cut.stdout === whole.stdout && whole.stderr.startsWith(cut.stderr),
  },
  "what a hook said": {
    parse: (text) => parseHook(bytes(text), "server1"),
    texts: ["0\nfrozen\n", "124\nno answer\n", "over\n", "unable\nthere is no user app there\n"],
    facts: ({ code }: ReturnType<typeof parseHook>) => [code?.toString()],
    claimsNoMore: (cut: ReturnType<typeof parseHook>, whole: ReturnType<typeof parseHook>) =>
      cut.how === whole.how && cut.code === whole.code,
  },
  "how far a reading is": {
    parse: (text) => parseReadings(text, "server1"),
    texts: [
      "vol-1 reading 1073741824 5368709 \nvol-2 0 1073741824 - 1073741824 bytes (1.1 GB) copied, 4 s\n",
    ],
    facts: (found: ReturnType<typeof parseReadings>) => found.map(({ name }) => name),
    claimsNoMore: (cut: ReturnType<typeof parseReadings>, whole: ReturnType<typeof parseReadings>) =>
      cut.filter(({ state }) => state === "whole").length <=
      whole.filter(({ state }) => state === "whole").length,
  },
  "writes to a disk": {
    parse: (text) => parseDiskWrites(text, "server1"),
    texts: ["  91 0 728 12 4 0 3200 5 0 8 17 3 0 24 1 2 9\n", "91 0 728 12 4 0 3200 5 0 8 17\n"],
    facts: ({ written }: ReturnType<typeof parseDiskWrites>) => [String(written)],
    claimsNoMore: (cut: ReturnType<typeof parseDiskWrites>, whole: ReturnType<typeof parseDiskWrites>) =>
      cut.written === whole.written,
  },
  "/proc/mounts": {
    parse: parseMounts,
    texts: [
      "/dev/sda1 / xfs rw,relatime 0 0\n/dev/NMP1 /mnt/md\\0401 ext4 rw 0 0\ntmpfs /run tmpfs rw,nosuid 0 0\n",
    ],
    facts: (found: ReturnType<typeof parseMounts>) => found.map(({ type }) => type),
    endless: true,
  },
  xfs_logprint: {
    parse: (text) => judgeLog("xfs", text),
    texts: ["xfs_logprint:\n    data device: 0x801\n    log tail: 2 head: 2 state: <CLEAN>\n"],
    facts: ({ log }: ReturnType<typeof judgeLog>) => [log === "unknown" ? undefined : log.toUpperCase()],
    claimsNoMore: (cut: ReturnType<typeof judgeLog>, whole: ReturnType<typeof judgeLog>) =>
      cut.log === "unknown" || cut.log === whole.log,
  },
  dumpe2fs: {
    parse: (text) => judgeLog("ext4", text),
    texts: ["Filesystem features:      has_journal needs_recovery extent\nFilesystem state:         clean\n"],
    facts: () => [],
    claimsNoMore: (cut: ReturnType<typeof judgeLog>, whole: ReturnType<typeof judgeLog>) =>
      cut.log === "unknown" || cut.log === whole.log,
  },
  known_hosts: {
    parse: (text) =>
      checkHostKey(parseKnownHosts("known_hosts", text), "server1", Buffer.from(hostKey, "base64")).kind,
    texts: [`server1,192.0.2.11 ssh-ed25519 ${hostKeyText()}\n@revoked * ssh-ed25519 ${hostKeyText("B")}\n`],
    facts: (verdict: string) => [verdict === "known" || verdict === "good" ? hostKeyText() : undefined],
    endless: true,
  },
  "ssh -G": {
    parse: (text) => parseSshConfig(text, { home: "/root", accountHome: "/root" }),
    texts: [
      "user root\nhostname 192.0.2.11\nport 22\nidentityfile ~/.ssh/id_ed25519\nproxyjump gate\nuserknownhostsfile ~/.ssh/known_hosts\n",
    ],
    facts: ({ user, address, jump }: ReturnType<typeof parseSshConfig>) => [user, address, jump],
    endless: true,
  },
};

const names = Object.keys(parsers);
const share = 0.25 / names.length;

describe.each(names)("%s", (name) => {
  const { parse, texts, facts } = parsers[name] as Parser;

  test("however it was changed, is answered from what it says, or refused in words", patience, () => {
    fc.assert(
      fc.property(mutated(fc.constantFrom(...texts)), (text) => {
        const answer = answerOf(() => parse(text));
        if (answer === refused) return;
        const plainly = inPlainText(text);
        for (const fact of facts(answer as never))
          expect(plainly, `it claims ${fact}`).toContain(inPlainText(fact ?? ""));
      }),
      cases(share),
    );
  });
});

test.each(names.filter((name) => parsers[name]?.endless !== true))(
  "%s, cut at every byte, claims nothing that was cut off",
  (name) => {
    const { parse, texts, claimsNoMore } = parsers[name] as Parser;
    for (const text of texts) {
      const whole = parse(text);
      const said = JSON.stringify(whole);
      // Of a long text only `npm run fuzz` takes each byte; a step that is no part of a line's length meets every kind of place.
      const step = text.length > 1000 && process.env["FUZZ"] === undefined ? 7 : 1;
      for (let length = 0; length < text.length; length += step) {
        const cut = answerOf(() => parse(text.slice(0, length)));
        if (cut === refused) continue;
        const good = claimsNoMore ? claimsNoMore(cut as never, whole as never) : JSON.stringify(cut) === said;
        expect(good, `after ${length} bytes: ${JSON.stringify(cut)}`).toBe(true);
      }
    }
  },
);

test("no mirror is GREEN on more sides than the text says", patience, () => {
  const { texts } = parsers["clpmdstat --mirror"] as Parser;
  fc.assert(
    fc.property(mutated(fc.constantFrom(...texts)), (text) => {
      const answer = answerOf(() => parseMirror(text, "md1", nodes));
      if (answer === refused) return;
      const green = Object.values((answer as MirrorState).sides).filter(({ colour }) => colour === "GREEN");
      expect(green.length).toBeLessThanOrEqual(text.match(/\bGREEN\b/g)?.length ?? 0);
    }),
    cases(0.02),
  );
});

test(
  "with the names of the configuration, no group is online on a node that the text does not name",
  patience,
  async () => {
    await fc.assert(
      fc.asyncProperty(mutated(fc.constantFrom(...stats)), async (text) => {
        try {
          const summary = parseSummary(text);
          nameNodes(summary, config);
          nameMonitors(summary, [], config);
          const groups = await nameGroups(summary, config, async () => undefined);
          const online = Object.values(groups).filter(({ status }) => status === "online");
          expect(online.length).toBeLessThanOrEqual(text.match(/\bOnline\b/g)?.length ?? 0);
          for (const { node } of online) if (node !== undefined) expect(text).toContain(node.slice(0, 14));
        } catch (thrown) {
          if (!(thrown instanceof Failure)) throw thrown;
          expect(thrown.kind).toBe("invalid");
        }
      }),
      cases(0.03),
    );
  },
);

const refused = Symbol("refused");

function answerOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (thrown) {
    if (!(thrown instanceof Failure)) throw thrown;
    expect(thrown.kind, thrown.message).toBe("invalid");
    return refused;
  }
}

/** As a person reads it: JSON, XML and octal undone, and blanks made one. */
function inPlainText(text: string): string {
  return text
    .replace(/\\u([0-9a-fA-F]{4})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
    .replace(
      /\\([nrtbf"\\/])/g,
      (_, sign: string) => ({ n: "\n", r: "\r", t: "\t", b: "\b", f: "\f" })[sign] ?? sign,
    )
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Math.min(Number(code), 0x10ffff)))
    .replace(
      /&(lt|gt|amp|quot|apos);/g,
      (_, word: string) => ({ lt: "<", gt: ">", amp: "&", quot: '"' })[word] ?? "'",
    )
    .replace(/<!--[\s\S]*?-->|<!\[CDATA\[|\]\]>/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

function hostKeyText(letter = "A"): string {
  const type = Buffer.from("ssh-ed25519");
  const length = Buffer.from([0, 0, 0, type.length]);
  return Buffer.concat([length, type, Buffer.from([0, 0, 0, 32]), Buffer.alloc(32, letter)]).toString(
    "base64",
  );
}
const hostKey = hostKeyText();
