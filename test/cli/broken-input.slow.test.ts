/**
 * Broken input, class by class, as a person meets it: the built command line, real SSH and HTTP, inventories and files as
 * people write them. Each case is answered by one message that says what was found and what to do, with the right exit
 * code and with nothing touched; the golden file is the list of those answers.
 */
import { chownSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { openStage, inTurns, masked, type Played, type PlayOptions, type Stage } from "./play.ts";
import { hashOf, type Plan } from "../../src/runbook/plan.ts";
import { openStore } from "../../src/store/store.ts";
import { golden } from "../support/golden.ts";

type Words = { readonly args: readonly string[]; readonly options?: PlayOptions };
type Arrange = (stage: Stage) => Words | Promise<Words>;
interface Case {
  readonly class: string;
  readonly name: string;
  readonly code: number;
  readonly arrange: Arrange;
}

const cases: Case[] = [];
const broken = (of: string, code: number, entries: { readonly [name: string]: Arrange }) => {
  for (const [name, arrange] of Object.entries(entries)) cases.push({ class: of, name, code, arrange });
};

const plan = (...more: readonly string[]): Words => ({ args: ["plan", "backup-standby", ...more] });
const bad = (change: (text: string) => string) => (stage: Stage) => {
  stage.inventory(change);
  return plan();
};
const inLab =
  (...args: readonly string[]): Arrange =>
  () => ({ args: [...args, "--lab"] });

broken("inventory", 2, {
  "there is none": () => plan(),
  "its YAML cannot be read": bad((text) => text.replace("clusters:", "clusters: [")),
  "a value of the wrong type": bad((text) => text.replace(/port: \d+/, "port: ssh")),
  "an unknown key": bad((text) => text.replace("user: root", "usr: root")),
  "three nodes": bad((text) =>
    text.replace(
      "      server2:\n",
      "      server3:\n        address: 10.0.1.13\n        instance: i-0123456789abcdef0\n      server2:\n",
    ),
  ),
  "one instance for both nodes": bad((text) => {
    const [first = "", second = ""] = text.match(/instance: \S+/g) ?? [];
    return text.replace(second, first);
  }),
  "a secret in it": bad((text) => text.replace("region:", "secretAccessKey: hunter2hunter2, region:")),
  "an alias bomb": bad((text) => {
    const bomb = Array.from({ length: 9 }, (_, i) =>
      i === 0
        ? `x0: &x0 [${Array(9).fill("a").join(", ")}]`
        : `x${i}: &x${i} [${Array(9)
            .fill(`*x${i - 1}`)
            .join(", ")}]`,
    );
    return `${bomb.join("\n")}\n${text}`;
  }),
  "an option in place of an address": bad((text) =>
    text.replace(/address: \S+/, "address: -oProxyCommand=reboot"),
  ),
  "a default that is no cluster": bad((text) => text.replace("default: prod", "default: pord")),
  "an empty file": bad(() => ""),
  "the named file is not there": () => plan("--inventory", "clusters.yaml"),
});

broken("arguments", 2, {
  "an unknown command": () => ({ args: ["pln", "backup-standby"] }),
  "an unknown option": () => ({ args: ["plan", "backup-standby", "--laab"] }),
  "a missing argument": () => ({ args: ["run"] }),
  "an argument too many": () => ({ args: ["graph", "backup-standby", "prod"] }),
  "an option without its value": () => ({ args: ["plan", "backup-standby", "--out"] }),
  "a policy that is none": () => ({ args: ["run", "backup-standby", "--on-failure", "pray"] }),
  "a parameter without a value": inLab("plan", "backup-standby", "--param", "service"),
  "an unknown parameter": inLab("plan", "backup-standby", "--param", "servce=late"),
  "a parameter with a wrong value": inLab("plan", "backup-standby", "--param", "service=never"),
  "a parameter twice": inLab("plan", "backup-standby", "--param", "service=late", "--param", "service=early"),
  "an unknown runbook": inLab("plan", "backup-stanby"),
  "a pace that is no number": inLab("plan", "backup-standby", "--pace", "abc"),
  "a pace without the lab": () => plan("--pace", "60"),
  "a plan file and a parameter": (stage) => {
    stage.put("plan.json", planText);
    return { args: ["run", "plan.json", "--param", "service=late", "--lab"] };
  },
  "a folder that is not there for the plan": inLab("plan", "backup-standby", "--out", "nowhere/plan.json"),
});

const planFile =
  (change: (plan: Plan) => unknown, ...more: readonly string[]): Arrange =>
  (stage) => {
    const changed = change(JSON.parse(planText) as Plan);
    stage.put("plan.json", typeof changed === "string" ? changed : JSON.stringify(changed));
    return { args: ["run", "plan.json", ...more, "--lab"] };
  };
const signedAnew = (plan: Plan): Plan => ({ ...plan, hash: hashOf(plan) });

broken("plan file", 2, {
  "it is not there": inLab("run", "plan.json"),
  "it is not JSON": planFile(() => planText.slice(0, 400)),
  "it is something else": planFile(() => ({ name: "runbook", version: "1.0.0" })),
  "it is empty JSON": planFile(() => "null"),
  "it has another format": planFile((plan) => ({ ...plan, format: 7 })),
  "it was edited": planFile((plan) => ({ ...plan, cluster: "staging" })),
  "its runbook was edited": planFile((plan) =>
    signedAnew({
      ...plan,
      source: { ...plan.source, text: plan.source.text.replace("armTimer,", "") },
    }),
  ),
  "a file that its runbook imports was edited": planFile((plan) => {
    const service = plan.source.parts["steps/service.ts"] ?? "";
    const parts = { ...plan.source.parts, "steps/service.ts": service.replace("stopGroup", "startGroup") };
    return signedAnew({ ...plan, source: { ...plan.source, parts } });
  }),
  "it is for another cluster than the one named": planFile((plan) => plan, "staging"),
  "its cluster is not in the inventory": planFile((plan) => signedAnew({ ...plan, cluster: "gone" })),
});
broken("plan file", 4, {
  "it has expired": planFile((plan) =>
    signedAnew({ ...plan, madeAt: plan.madeAt - 9e8, expiresAt: plan.expiresAt - 9e8 }),
  ),
});

/** The journal of a run that was killed while its first write was under way, with something done to it. */
const journal =
  (breakIt: (folder: string, stage: Stage) => unknown, ...words: readonly string[]): Arrange =>
  async (stage) => {
    cpSync(interrupted.folder, stage.state, { recursive: true });
    await breakIt(join(stage.state, "runs", interrupted.run), stage);
    return { args: [...(words.length === 0 ? ["resume", interrupted.run] : words), "--lab"] };
  };
const rewrite = (change: (lines: string[]) => readonly string[]) => (folder: string) => {
  const file = join(folder, "0001.jsonl");
  writeFileSync(file, change(readFileSync(file, "utf8").split("\n")).join("\n"));
};
const swapped = (lines: string[]) => [lines[0], lines[2], lines[1], ...lines.slice(3)].map(String);

broken("journal", 6, {
  "its last row is torn: it is left out, and nothing is done without a word": journal(
    rewrite((lines) => [...lines.slice(0, -2), (lines.at(-2) ?? "").slice(0, 60)]),
  ),
});
broken("journal", 2, {
  "a row was altered": journal(rewrite((lines) => lines.map((line) => line.replace("server1", "server9")))),
  "two rows changed places": journal(rewrite(swapped)),
  "a row was taken out": journal(rewrite((lines) => lines.toSpliced(2, 1))),
  "an altered row, looked at": journal(
    rewrite((lines) => lines.map((line) => line.replace("server1", "server9"))),
    "show",
    "RUN",
  ),
  "an id that is a path": journal(() => undefined, "resume", "../../etc"),
  "there is no such run": journal(() => undefined, "resume", "zzzzzzz9"),
  "its folder is empty": journal((folder) => rmSync(join(folder, "0001.jsonl"))),
});
broken("journal", 4, {
  "it was written by another engine": journal(async (folder, stage) => {
    const store = openStore(stage.state);
    const first = (await store.read(interrupted.run)).rows[0];
    rmSync(folder, { recursive: true });
    const body = { ...first?.body, format: 99 };
    const writer = await store.create({ kind: "start", body }, first?.at ?? 0, interrupted.run);
    await writer.close();
  }),
  ...(process.getuid?.() === 0 && {
    "it belongs to somebody else": journal((folder) => chownSync(folder, 12345, 12345)),
  }),
});

broken("unknown cluster", 2, {
  "no such name": inLab("plan", "backup-standby", "qa"),
  "almost a name": inLab("plan", "backup-standby", "pord"),
  "a name with a steering sign": inLab("plan", "backup-standby", "prod\u001b[2J"),
  "several, and no default": bad((text) => text.replace("default: prod\n", "")),
});

broken("unreachable node", 4, {
  "its power is off": (stage) => {
    stage.inventory();
    stage.lab.killPower("server2");
    return plan();
  },
  "its port is closed": bad((text) => text.replace(/port: \d+/, "port: 1")),
  "it does not answer": (stage) => {
    stage.lab.cutOperator("server1");
    return plan("--lab");
  },
  "its name is not known": bad((text) => text.replace(/address: \S+/, "address: server1.invalid")),
  "the cloud's endpoint is closed": bad((text) => text.replace(/"http:[^"]*"/, '"http://127.0.0.1:1"')),
});

const knownHosts = (change: (text: string, stage: Stage) => string) => (stage: Stage) => {
  const theirs = readFileSync(join(stage.home, "lab", "known_hosts"), "utf8");
  const file = stage.put("known_hosts", change(theirs, stage));
  stage.inventory((text) => text.replaceAll(/knownHosts: \S+/g, `knownHosts: ${file}`));
  return plan();
};
broken("wrong host key", 4, {
  "it has changed": knownHosts((text) => {
    const [first = "", second = "", ...more] = text.split("\n");
    return [[...first.split(" ").slice(0, 2), second.split(" ")[2]].join(" "), second, ...more].join("\n");
  }),
  "it is not known": knownHosts((text) => text.split("\n").slice(1).join("\n")),
  "it is revoked": knownHosts((text) => `@revoked ${text}`),
  "there is no such file": (stage) => {
    stage.inventory((text) => text.replaceAll(/knownHosts: \S+/g, "knownHosts: ./nowhere"));
    return plan();
  },
});

const identity = (change: (stage: Stage) => string) => (stage: Stage) => {
  const file = change(stage);
  stage.inventory((text) => text.replace(/identity: \S+/, `identity: ${file}`));
  return plan();
};
broken("wrong key", 4, {
  "its file is not there": identity(() => "./nowhere"),
  "its file holds no key": identity((stage) => stage.put("key", "this is no key\n")),
  "its file is a folder": identity((stage) => stage.cwd),
  "the node does not accept it": identity((stage) => join(stage.home, "lab", "keys", "host-server1")),
});

const fault = (match: string, action: "deny" | "nonsense" | "throttle") => (stage: Stage) => {
  stage.inventory();
  stage.lab.heart.addFault({ match, action, times: Infinity });
  return plan();
};
const withKeys = (env: PlayOptions["env"]) => (stage: Stage) => {
  stage.inventory();
  return { ...plan(), options: { env: env ?? {} } };
};
const withoutKeys: Words = {
  ...plan(),
  options: { env: { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined } },
};
broken("denied API", 4, {
  "looking at instances": fault("DescribeInstances", "deny"),
  "looking at volumes": fault("DescribeVolumes", "deny"),
  "cutting snapshots, found by a dry run": fault("CreateSnapshot", "deny"),
  "tags, found by a dry run": fault("CreateTags", "deny"),
  "an access key that is not known": withKeys({ AWS_ACCESS_KEY_ID: "AKIAXXXXXXXXXXXXXXXX" }),
  "no credentials at all": (stage) => {
    stage.inventory();
    return withoutKeys;
  },
  "a profile that is not there": (stage) => {
    stage.inventory((text) => text.replaceAll("driver: aws,", "driver: aws, profile: nobody,"));
    return withoutKeys;
  },
});

broken("unknown output", 4, {
  // Both are asked at once: were both answers broken, which of them is named would depend on which came first.
  "clpstat, the summary": fault("/clpstat$/", "nonsense"),
  "clpstat, the monitors": fault("/clpstat -m$/", "nonsense"),
  clpmdstat: fault("clpmdstat", "nonsense"),
  lsblk: fault("lsblk", "nonsense"),
  "systemctl, asked for the timer": fault("systemctl", "nonsense"),
  "clp.conf": fault("clp.conf", "nonsense"),
  "the boot id": fault("boot_id", "nonsense"),
  "the answer of the cloud": fault("DescribeVolumes", "nonsense"),
});

const ownRunbook =
  (text: string): Arrange =>
  (stage) => {
    stage.put("runbooks/mine.ts", text);
    return { args: ["plan", "mine", "--lab"] };
  };
const head = 'import { check, minutes, runbook, step } from "runbook";\n';
broken("runbook file", 2, {
  "its text cannot be read": ownRunbook(`${head}export default runbook({ title: "Mine", steps: () => ({ `),
  "it imports something else": ownRunbook(
    `import { readFileSync } from "node:fs";\n${head}readFileSync("x");`,
  ),
  "it imports a file that is not there": ownRunbook(
    `import { shared } from "./steps/shared.ts";\n${head}export default runbook({ title: shared, steps: () => ({}) });\n`,
  ),
  "it imports a file from outside of its folder": ownRunbook(
    `import { shared } from "../shared.ts";\n${head}export default runbook({ title: shared, steps: () => ({}) });\n`,
  ),
  "it exports nothing": ownRunbook(`${head}runbook({ title: "Mine", steps: () => ({}) });\n`),
  "a step's name with a blank": ownRunbook(
    `${head}export default runbook({ title: "Mine", steps: () => ({ "a b": check("It holds", async () => true) }) });\n`,
  ),
  "it throws": ownRunbook(`${head}throw new Error("no such luck");\n`),
});

/** A plan that was made, then a hand in between. */
const meanwhile =
  (hand: (stage: Stage) => unknown): Arrange =>
  async (stage) => {
    const made = await stage.play(["plan", "backup-standby", "--out", "plan.json", "--lab"]);
    expect(made.code, made.err).toBe(0);
    await hand(stage);
    return { args: ["run", "plan.json", "--lab"] };
  };
const typed = async (stage: Stage, node: string, line: string) => {
  const ended = await stage.lab.node(node).exec(line, { stdout: () => undefined, stderr: () => undefined });
  expect(ended.code).toBe(0);
};
broken("facts that changed since the plan", 4, {
  "the group has moved": meanwhile((stage) => stage.lab.failover()),
  "a monitor was suspended": meanwhile((stage) =>
    typed(stage, "server2", "clpmonctrl -s -h server2 -m mdw1"),
  ),
  "the standby went off": meanwhile((stage) => stage.lab.killPower("server2")),
});

const takesMarker = "runbook-takeMarker";

/** Another run on the same cluster; it stands still before its first write. */
const beside =
  (then: (first: ReturnType<Stage["start"]>, stage: Stage) => Promise<Words>): Arrange =>
  async (stage) => {
    stage.lab.heart.addFault({ match: takesMarker, action: "hang", times: Infinity });
    const first = stage.start(["run", "backup-standby", "--lab", "--json"]);
    await first.until('"kind":"sent"');
    // It lives, and its call is never answered: what the second one meets does not depend on how fast either is.
    first.child.kill("SIGSTOP");
    return then(first, stage);
  };
broken("another run", 5, {
  "it is at work": beside(async () => ({ args: ["run", "backup-standby", "--lab"] })),
  "it died": beside(async (first) => {
    first.child.kill("SIGKILL");
    await first.ended;
    return { args: ["run", "backup-standby", "--lab"] };
  }),
  "it is at work, and is to be resumed": beside(async (_first, stage) => {
    const runs = await stage.play(["runs", "--json", "--lab"]);
    const [{ run } = { run: "" }] = JSON.parse(runs.out) as { run: string }[];
    return { args: ["resume", run, "--lab"] };
  }),
  "its marker is on the nodes, and its journal elsewhere": async (stage) => {
    stage.inventory();
    const first = stage.start(["run", "backup-standby", "--lab", "--json"]);
    await first.until('"unit":"armTimer"');
    first.child.kill("SIGKILL");
    await first.ended;
    return { args: ["run", "backup-standby"], options: { env: { RUNBOOK_HOME: join(stage.cwd, "mine") } } };
  },
});

broken("the place where runs are kept", 4, {
  "it is a file": (stage) => ({
    args: ["runs"],
    options: { env: { RUNBOOK_HOME: stage.put("home", "") } },
  }),
  ...(process.getuid?.() === 0 && {
    "it belongs to somebody else": (stage: Stage) => {
      const home = join(stage.cwd, "theirs");
      mkdirSync(home);
      chownSync(home, 12345, 12345);
      return { args: ["runs"], options: { env: { RUNBOOK_HOME: home } } };
    },
  }),
});

const interrupted = { folder: "", run: "" };
let planText = "";

beforeAll(async () => {
  const stage = await openStage({ pace: 20 });
  try {
    const made = await stage.play(["plan", "backup-standby", "--out", "plan.json", "--lab"]);
    expect(made.code, made.err).toBe(0);
    planText = readFileSync(join(stage.cwd, "plan.json"), "utf8");
    stage.lab.heart.addFault({ match: takesMarker, action: "hang", times: Infinity });
    const playing = stage.start(["run", "plan.json", "--lab", "--json"]);
    await playing.until('"kind":"sent"');
    // It is on disk before it leaves.
    while (!stage.received().some((row) => row.argv?.includes(takesMarker)))
      await new Promise((resolve) => setTimeout(resolve, 10));
    playing.child.kill("SIGKILL");
    await playing.ended;
    const runs = await stage.play(["runs", "--json", "--lab"]);
    interrupted.run = (JSON.parse(runs.out) as { run: string }[])[0]?.run ?? "";
    interrupted.folder = join(tmpdir(), `runbook-interrupted-${process.pid}`);
    cpSync(stage.state, interrupted.folder, { recursive: true });
  } finally {
    await stage.end();
  }
});
afterAll(() => rmSync(interrupted.folder, { recursive: true, force: true }));

test("broken input is answered by one clear message and the right exit code, and nothing is touched", async () => {
  const told = await inTurns(cases, 4, async (one) => {
    const stage = await openStage({ pace: 20, leadSeconds: 600 });
    try {
      const { args, options } = await one.arrange(stage);
      const words = args.map((word) => (word === "RUN" ? interrupted.run : word));
      const before = stage.touched().length;
      const played = await stage.play(words, options);
      return {
        one,
        played,
        touched: stage.touched().slice(before),
        text: masked(
          stage,
          `$ runbook ${words.map((word) => JSON.stringify(word).slice(1, -1)).join(" ")}\n${played.out}${played.err}exit ${played.code}`,
        ),
      };
    } finally {
      await stage.end();
    }
  });
  const sections = [...new Set(cases.map((one) => one.class))].map((name) => {
    const inIt = told.filter(({ one }) => one.class === name);
    expect(inIt.length, `cases of class "${name}"`).toBeGreaterThanOrEqual(2);
    return `## ${name}\n\n${inIt.map(({ one, text }) => `# ${one.name}\n${text}\n`).join("\n")}`;
  });
  golden("broken-input.txt", sections.join("\n"));
  const wrong = told.flatMap(({ one, played, touched }) =>
    [
      ...(played.code === one.code ? [] : [`exit code ${played.code}; wanted ${one.code}`]),
      ...touched.map((what) => `touched ${what}`),
      ...faultsOf(played),
    ].map((what) => `${one.class}: ${one.name}: ${what}`),
  );
  expect(wrong).toEqual([]);
}, 300_000);

/** What no answer may be: silent, a stack trace, a confession, without a word on what to do. */
function faultsOf({ out, err, code }: Played): readonly string[] {
  const said = `${out}${err}`;
  const complaints = err.split("\n").filter((line) => line.startsWith("runbook: ")).length;
  return [
    ...(/^\s+at .*[:(]/m.test(said) ? ["a stack trace"] : []),
    ...(/mistake of runbook's own|undefined|\[object|TypeError/.test(said) ? ["a confession"] : []),
    // A run that began says in its own lines how it ended.
    ...(complaints + (/^run \w+ was refused/m.test(out) ? 1 : 0) === 1 || code === 6
      ? []
      : [`${complaints} messages`]),
    ...(/\n {2}\S/.test(said) ? [] : ["nothing on what to do"]),
  ];
}
