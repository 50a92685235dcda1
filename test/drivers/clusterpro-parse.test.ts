import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/drivers/clusterpro/parse-conf.ts";
import { parseMirror } from "../../src/drivers/clusterpro/parse-mirror.ts";
import {
  nameGroups,
  nameMonitors,
  nameNodes,
  parseMonitors,
  parseSummary,
} from "../../src/drivers/clusterpro/parse-stat.ts";
import { readXml } from "../../src/drivers/clusterpro/xml.ts";

const bytes = (name: string) => readFileSync(new URL(`../../fixtures/clusterpro/${name}`, import.meta.url));
const fixture = (name: string) => bytes(name).toString("utf8");
const conf = () => bytes("clp.invented.conf");
// The bytes as they are, one character each, so that a change leaves the encoding alone.
const changed = (change: (text: string) => string) =>
  Buffer.from(change(conf().toString("latin1")), "latin1");
// The third mirror of the fixture mounts on a path with Japanese letters.
const config = () => parseConfig(conf(), "clp.conf");

describe("the configuration", () => {
  test("is read in its own encoding, with nodes by priority and names from the file", () => {
    expect(config()).toMatchObject({
      name: "sales",
      uuid: "00000000-1111-2222-3333-444444444444",
      nodes: ["server1", "server2"],
      savedBy: "5.3.1-1",
      hybridDisks: [],
      monitors: ["fipw1", "mdnw1", "mdw1", "watch-reports", "userw"],
    });
    expect(config().mirrors[2]?.mountPoint).toBe("/mnt/倉庫");
  });

  test("tells the addresses of each node, the heartbeat's first, and leaves out what is none", () => {
    expect(config().addresses).toEqual({
      server1: ["192.0.2.11", "192.0.2.21"],
      server2: ["192.0.2.12", "192.0.2.22"],
    });
    const odd = changed((text) =>
      text
        .replace("<info>192.0.2.12</info>", "<info>-oProxyCommand=x</info>")
        .replace("<info>192.0.2.21</info>", "<info>192.0.2.11</info>"),
    );
    expect(parseConfig(odd, "clp.conf").addresses).toEqual({
      server1: ["192.0.2.11"],
      server2: ["192.0.2.22"],
    });
  });

  test("what its resources take in the network is told by its looks, whatever kind they are of", () => {
    const odd = changed((text) =>
      text.replace(
        /<resource>/,
        `<resource>
          <fip name="fip9"><parameters><ip>192.0.2.9%bond0</ip><mask>255.255.255.0</mask></parameters>
            <server name="server1"><parameters><ip>2001:DB8:0::9/64</ip></parameters></server></fip>
          <awsdns name="d"><parameters><hostedzone>Z0123456789ABCDEF</hostedzone><record>DB.example.com.</record>
            <timeout>300</timeout><cmd>/usr/bin/aws</cmd></parameters></awsdns>
          <unheardof name="u"><parameters><table>rtb-0123456789abcdef0, rtb-0fedcba9876543210</table></parameters></unheardof>
          <exec name="e"><parameters><act><path>start.sh</path></act></parameters></exec>`,
      ),
    );
    const before = config().claims;
    const found = parseConfig(odd, "clp.conf").claims.filter(
      ({ value }) => !before.some((each) => each.value === value),
    );
    expect(found).toEqual([
      { resource: "fip@fip9", value: "192.0.2.9" },
      { resource: "fip@fip9", value: "2001:db8::9" },
      { resource: "awsdns@d", value: "Z0123456789ABCDEF" },
      { resource: "awsdns@d", value: "db.example.com" },
      { resource: "unheardof@u", value: "rtb-0123456789abcdef0" },
      { resource: "unheardof@u", value: "rtb-0fedcba9876543210" },
    ]);
    expect(before.every(({ resource }) => !/^(md|exec)@/.test(resource))).toBe(true);
  });

  test("takes what is absent for the default, and what a node says itself before what is said for all", () => {
    expect(config().mirrors[0]).toEqual({
      name: "md1",
      group: "failover1",
      monitor: "mdw1",
      device: "/dev/NMP1",
      mountPoint: "/mnt/md1",
      fileSystem: "xfs",
      dataPartition: { server1: "/dev/nvme1n1p2", server2: "/dev/nvme2n1p2" },
      clusterPartition: { server1: "/dev/nvme1n1p1", server2: "/dev/nvme1n1p1" },
      ownPartitions: ["server2"],
      fullCopy: true,
      initialMkfs: false,
      synchronous: true,
    });
    expect(config().mirrors[1]).toMatchObject({
      fullCopy: false,
      initialMkfs: true,
      synchronous: false,
      monitor: "watch-reports",
    });
    expect(config().mirrors[2]).toMatchObject({
      fullCopy: true,
      initialMkfs: false,
      synchronous: true,
      monitor: undefined,
    });
    expect(config().groups.map((each) => [each.startsByItself, each.failsOverByItself])).toEqual([
      [true, true],
      [false, false],
      [true, true],
      [true, true],
    ]);
  });

  test("counts a flag as on for all that is on for one node alone", () => {
    const own = (path: string, value: string) =>
      parseConfig(
        changed((text) =>
          text.replace(
            /(<md name="md2">)/,
            `$1<server name="server2"><parameters><${path}>${value}</${path}></parameters></server>`,
          ),
        ),
        "clp.conf",
      ).mirrors[1];
    expect(config().mirrors[1]).toMatchObject({ fullCopy: false, ownPartitions: [] });
    expect(own("fullcopy", "1")).toMatchObject({ fullCopy: true, ownPartitions: [] });
    expect(own("fullcopy", "0")).toMatchObject({ fullCopy: false });
    expect(() => own("mkfs", "yes")).toThrow(/mkfs is "yes", expected 0 or 1/);
  });

  test.each<[string, (text: string) => string, RegExp]>([
    [
      "no nodes",
      (text) => text.replace(/<server name="server\d">\r\n\t\t<p[\s\S]*?\t<\/server>/g, ""),
      /no <server>/,
    ],
    ["no name", (text) => text.replace("<name>sales</name>", ""), /cluster\/name is absent/],
    [
      "another system",
      (text) => text.replace("<serveros>linux", "<serveros>windows"),
      /serveros is "windows"/,
    ],
    ["no system", (text) => text.replace("<serveros>linux</serveros>", ""), /serveros is absent/],
    [
      "a mirror without its partition",
      (text) => text.replace("<dppath>/dev/vg1/data</dppath>", ""),
      /md2: diskdev\/dppath .* is absent/,
    ],
    [
      "a mirror without its device",
      (text) => text.replace("<nmppath>/dev/NMP1</nmppath>", ""),
      /md1: nmppath is absent/,
    ],
    [
      "a setting that is no flag",
      (text) => text.replace("<fullcopy>0", "<fullcopy>maybe"),
      /fullcopy is "maybe", expected 0 or 1/,
    ],
    ["a name that is an option", (text) => text.replaceAll("reports", "-f"), /the name "-f"/],
    [
      "a group called like a node",
      (text) => text.replace('<group name="reports">', '<group name="server2">'),
      /has the name of a node/,
    ],
    ["an unknown encoding", (text) => text.replace("EUC-JP", "UTF-7"), /encoding is "UTF-7"/],
    [
      "a document type",
      (text) => text.replace("<root>", "<!DOCTYPE root [<!ENTITY a 'b'>]><root>"),
      /document type/,
    ],
    [
      "an entity of its own",
      (text) => text.replace("<name>sales<", "<name>&a;<"),
      /entity &a; is not accepted/,
    ],
    ["half of it", (text) => text.slice(0, text.length / 2), /clp.conf line \d+|never closed/],
    ["nothing", () => "", /empty/],
  ])("with %s is refused, naming the file", (_, change, why) => {
    expect(() => parseConfig(changed(change), "clp.conf")).toThrow(
      expect.objectContaining({ kind: "invalid", message: expect.stringMatching(why) }),
    );
    expect(() => parseConfig(changed(change), "clp.conf")).toThrow(/^clp\.conf/);
  });

  test("tells hybrid disks, so that procedures can refuse them", () => {
    expect(
      parseConfig(
        changed((text) => text.replace("<resource>\r\n", '<resource><hd name="hd1"/>\r\n')),
        "clp.conf",
      ).hybridDisks,
    ).toEqual(["hd1"]);
  });
});

describe("XML", () => {
  test("may hold comments, CDATA and the five entities", () => {
    const root = readXml(
      `<?xml version="1.0"?><a b='&lt;"'><!-- no --><c>x &amp; y</c><![CDATA[<&>]]> &#65;</a>`,
      "f",
    );
    expect(root).toMatchObject({
      name: "a",
      attributes: { b: '<"' },
      text: "<&> A",
      children: [{ name: "c", text: "x & y" }],
    });
  });

  test.each([
    "<a>",
    "<a></b>",
    "<a/><b/>",
    "x<a/>",
    "<a b='1' b='2'/>",
    "<a b=1/>",
    "<a><!-- -- --></a>",
    "<a>&amp</a>",
    " <?xml version='1.0'?><a/>",
    "",
    "<a".repeat(40),
  ])("that is not well-formed is refused: %s", (text) =>
    expect(() => readXml(text, "f")).toThrow(expect.objectContaining({ kind: "invalid" })),
  );

  test("too deep is refused", () => {
    expect(() => readXml("<a>".repeat(100) + "</a>".repeat(100), "f")).toThrow(/too deep/);
  });
});

describe("a mirror's state", () => {
  const nodes = ["server1", "server2"];

  test("is read from the output that the vendor published", () => {
    expect(parseMirror(fixture("clpmdstat-normal.txt"), "md1", nodes)).toEqual({
      mirror: "md1",
      status: "Normal",
      sides: {
        server1: { colour: "GREEN", lastUpdate: undefined, breakTime: undefined },
        server2: { colour: "GREEN", lastUpdate: undefined, breakTime: undefined },
      },
      recovery: undefined,
    });
  });

  test("has times where they are printed, and none for --", () => {
    expect(parseMirror(fixture("clpmdstat-abnormal.invented.txt"), "md1", nodes)).toMatchObject({
      status: "Abnormal",
      sides: {
        server1: { colour: "GREEN", lastUpdate: "2018/03/04 08:10:46", breakTime: "2018/03/04 08:05:51" },
        server2: { colour: "RED", lastUpdate: undefined, breakTime: undefined },
      },
    });
  });

  test("has the progress of a copy", () => {
    expect(parseMirror(fixture("clpmdstat-recovering.invented.txt"), "md1", nodes)).toMatchObject({
      status: "Recovering",
      recovery: { from: "server1", to: "server2", percent: 7 },
    });
  });

  test.each([
    ["Recovery Direction    db-1 -> db-2", "db-1", "db-2"],
    ["Direction: db-2 --> db-1", "db-2", "db-1"],
    ["Recovery Direction db-1=>db-2", "db-1", "db-2"],
    ["Recovery Source db-1", undefined, undefined],
  ])("has the direction of a copy wherever it is told: %s", (row, from, to) => {
    const output = `Mirror Status: Recovering\nmd1 db-1 db-2\n----------\nMirror Color YELLOW YELLOW\n${row}\n`;
    expect(parseMirror(output, "md1", ["db-1", "db-2"]).recovery).toMatchObject({ from, to });
  });

  test("follows the header's order, which is not the order of the configuration", () => {
    const output = "Mirror Status: Abnormal\nmd1 server2 server1\n----------\nMirror Color RED GREEN\n";
    expect(parseMirror(output, "md1", nodes).sides).toMatchObject({
      server1: { colour: "GREEN" },
      server2: { colour: "RED" },
    });
  });

  test("tolerates rows that are missing or unknown, and a colour that is not told", () => {
    const output = "Mirror Status: Uncertain\nmd1 server1 server2\n----------\nNew Row a b\n";
    expect(parseMirror(output, "md1", nodes).sides).toMatchObject({
      server1: { colour: "UNKNOWN" },
      server2: { colour: "UNKNOWN" },
    });
    const half =
      "Mirror Status: Abnormal\nmd1 server1 server2\n----------\nMirror Color GREEN --\nBreak Time 2018/03/04 08:05:51\n";
    expect(parseMirror(half, "md1", nodes).sides["server1"]).toEqual({
      colour: "GREEN",
      lastUpdate: undefined,
      breakTime: undefined,
    });
  });

  test.each([
    [
      "an unknown status",
      "Mirror Status: Splendid\nmd1 server1 server2\nMirror Color GREEN GREEN\n",
      /does not know the status "Splendid"/,
    ],
    [
      "an unknown colour",
      "Mirror Status: Normal\nmd1 server1 server2\nMirror Color GREEN MAUVE\n",
      /does not know the colour "MAUVE" of server2/,
    ],
    ["no status", "md1 server1 server2\nMirror Color GREEN GREEN\n", /no line "Mirror Status:"/],
    [
      "another mirror",
      "Mirror Status: Normal\nmd2 server1 server2\nMirror Color GREEN GREEN\n",
      /no line "md1 NODE NODE"/,
    ],
    ["one colour", "Mirror Status: Normal\nmd1 server1 server2\nMirror Color GREEN\n", /one colour for each/],
    ["nonsense", "lorem ipsum\n", /Mirror Status/],
  ])("with %s is refused", (_, output, why) => {
    expect(() => parseMirror(output, "md1", nodes)).toThrow(
      expect.objectContaining({ kind: "invalid", message: expect.stringMatching(why) }),
    );
  });
});

describe("the cluster's state", () => {
  const nobody = () => Promise.reject(new Error("nobody should be asked"));

  test("is read from the output that was published", () => {
    const summary = parseSummary(fixture("clpstat.txt"));
    expect(summary).toEqual({
      askedOn: "server1",
      nodes: [
        { name: "server1", status: "online" },
        { name: "server2", status: "online" },
      ],
      groups: [
        {
          name: "failover1",
          status: "online",
          current: "server1",
          resources: [
            { name: "fip1", status: "online" },
            { name: "md1", status: "online" },
          ],
        },
      ],
      monitors: ["fipw1", "mdnw1", "mdw1", "userw"].map((name) => ({ name, status: "normal" })),
    });
  });

  test("gives cut names their full ones, and asks where two were cut to the same", async () => {
    const asked: string[] = [];
    const summary = parseSummary(fixture("clpstat-three-mirrors.invented.txt"));
    const groups = await nameGroups(summary, config(), (group) => {
      asked.push(group);
      return Promise.resolve(group === "warehouse-of-the-east" ? "server1" : undefined);
    });
    expect(asked).toEqual(["warehouse-of-the-east", "warehouse-of-the-west"]);
    expect(groups).toEqual({
      failover1: {
        status: "pending",
        node: "server1",
        resources: { fip1: "online", md1: "failed", "exec-with-a-name-of-31-letters": "offline" },
      },
      reports: { status: "offline", node: undefined, resources: { md2: "offline" } },
      "warehouse-of-the-east": {
        status: "online",
        node: "server1",
        resources: { "md-warehouse-of-the-east": "online" },
      },
      "warehouse-of-the-west": {
        status: "offline",
        node: undefined,
        resources: { "exec-archive": "offline" },
      },
    });
    expect(nameNodes(summary, config())).toEqual({
      nodes: { server1: "online", server2: "offline" },
      askedOn: "server1",
    });
  });

  test("leaves unknown what nobody can tell apart", async () => {
    const text = fixture("clpstat-three-mirrors.invented.txt").replace(
      "Online           night load\n      current        : server1",
      "Offline\n      current        : None",
    );
    const groups = await nameGroups(parseSummary(text), config(), () => Promise.resolve(undefined));
    expect(groups["warehouse-of-the-east"]).toMatchObject({
      status: "offline",
      node: undefined,
      resources: { "md-warehouse-of-the-east": "unknown" },
    });
    const lost = await nameGroups(parseSummary(text), config(), () => Promise.resolve("server2"));
    expect(lost["warehouse-of-the-east"]).toMatchObject({ status: "unknown", node: "server2" });
  });

  test("has monitors by node, through the numbers that the table gives to nodes", () => {
    const summary = parseSummary(fixture("clpstat-three-mirrors.invented.txt"));
    expect(nameMonitors(summary, parseMonitors(fixture("clpstat-m.invented.txt")), config())).toEqual({
      fipw1: { server1: "caution" },
      mdnw1: { server1: "normal", server2: "offline" },
      mdw1: { server1: "suspended", server2: "failed" },
      // Nothing is known of it by node, and nothing is made up.
      "watch-reports": { server1: "unknown", server2: "unknown" },
      userw: { server1: "normal", server2: "offline" },
    });
  });

  test.each<[string, (text: string) => string, RegExp]>([
    [
      "an unknown word for a node",
      (text) => text.replace("server2 .........: Online", "server2 .........: Splendid"),
      /status "Splendid" of node server2/,
    ],
    [
      "an unknown word for a group",
      (text) => text.replace("failover1 .......: Online", "failover1 .......: Normal"),
      /status "Normal" of group failover1/,
    ],
    [
      "an unknown word for a resource",
      (text) => text.replace("fip1           : Online", "fip1           : Fine"),
      /status "Fine" of resource fip1/,
    ],
    [
      "an unknown word for a monitor",
      (text) => text.replace("userw            : Normal", "userw            : Sleeping"),
      /status "Sleeping" of monitor userw/,
    ],
    ["its end missing", (text) => text.split("\n").slice(0, 9).join("\n"), /not complete/],
    ["nonsense", () => "lorem ipsum\n", /not complete/],
  ])("with %s is refused", (_, change, why) => {
    expect(() => parseSummary(change(fixture("clpstat.txt")))).toThrow(
      expect.objectContaining({ kind: "invalid", message: expect.stringMatching(why) }),
    );
  });

  test("naming what the configuration does not have is refused", async () => {
    const summary = parseSummary(fixture("clpstat.txt").replaceAll("failover1 ", "failover9 "));
    await expect(nameGroups(summary, config(), nobody)).rejects.toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("failover9"),
    });
    const other = parseSummary(fixture("clpstat.txt").replaceAll("server2", "server3"));
    expect(() => nameNodes(other, config())).toThrow(/server3/);
  });

  test("tells a stopped group, which runs nowhere", async () => {
    const text = fixture("clpstat.txt")
      .replace("failover1 .......: Online", "failover1 .......: Offline")
      .replace("current        : server1", "current        : None");
    expect((await nameGroups(parseSummary(text), config(), nobody))["failover1"]).toMatchObject({
      status: "offline",
      node: undefined,
    });
  });
});
