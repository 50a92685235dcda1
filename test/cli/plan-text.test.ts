import { execFileSync } from "node:child_process";

import { describe, expect, it } from "vitest";

import { commandsFor } from "../../src/cli/by-hand.ts";
import { planJson, planText } from "../../src/cli/plan-text.ts";
import { showText } from "../../src/cli/show-text.ts";
import { later } from "../../src/runbook/later.ts";
import type { Plan } from "../../src/runbook/plan.ts";
import { golden } from "../support/golden.ts";
import {
  breakFailed,
  copying,
  givenBack,
  inCloud,
  onNode,
  plan,
  rowsAt,
  stuck,
  succeeded,
  upToStop,
  withPlan,
} from "./short-run.ts";

const options = { color: false, width: 100, zone: "UTC" };

describe("a plan for a reviewer", () => {
  it("shows checks, requests, undo, exposures and totals", () => golden("plan.txt", planText(plan, options)));
  it("shows scripts whole when asked to, and what history knows", () => {
    golden("plan-full.txt", planText(plan, { ...options, full: true, forecast: () => 12_000 }));
  });
  it("folds its sentences, and never its requests, to a narrow width", () =>
    golden("plan-narrow.txt", planText(plan, { ...options, width: 50 })));
  it("says of volumes that it makes what they are, and that the old ones go on costing", () => {
    const make = inCloud("CreateVolume", "cloud.createVolume", { Size: 100, VolumeType: "gp3" });
    const [first, ...rest] = plan.units;
    if (!first) throw new Error("the plan has no unit");
    const text = planText(
      { ...plan, units: [{ ...first, sends: [{ request: make }, { request: make }] }, ...rest] },
      { ...options, width: 200 },
    );
    expect(text).toContain(
      "EBS storage for 2 new volumes (100 GiB gp3, 100 GiB gp3), beside the old ones, which are kept",
    );
  });
  it("is itself when asked for as JSON", () => expect(planJson(plan)).toEqual(plan));
  it("shows what would steer a terminal instead of sending it", () => {
    const nasty = "\u001b[2J\u009b1m";
    const evil: Plan = {
      ...plan,
      title: nasty,
      facts: { roles: { [nasty]: nasty } },
      units: plan.units.map((unit) => ({
        ...unit,
        title: nasty,
        sends: [{ request: onNode(nasty, "x.y", nasty) }],
      })),
    };
    expect(planText(evil, { ...options, full: true })).not.toMatch(/[^\P{Cc}\n]/u);
  });
});

describe("a run again from its journal", () => {
  it("shows a success with its totals", () =>
    golden("show-succeeded.txt", showText(succeeded, { ...options, forecast: () => 9_000 })));
  it("shows a failure that was given back", () =>
    golden("show-given-back.txt", showText(givenBack, options)));
  it("shows what is left of a stuck run, with commands", () =>
    golden("show-stuck.txt", showText(stuck, options)));
  it("shows a run that has no end yet", () =>
    expect(showText(breakFailed, options)).toContain("it has no end yet"));
});

describe("commands by hand", () => {
  const undoing = (...requests: Plan["units"][number]["sends"][number]["request"][]): Plan => ({
    ...plan,
    units: [
      ...plan.units.slice(0, -1),
      {
        ...plan.units.at(-1),
        key: "last",
        undo: [{ title: "Back", sends: requests.map((request) => ({ request })) }],
      } as Plan["units"][number],
    ],
  });

  it("fills what the run knows by now, and asks a person for the rest", () => {
    expect(commandsFor(plan, "suspendMonitors@server2", stuck)).toEqual([
      "ssh server2 'clpmonctrl -r -h server2 -m mdw1'",
    ]);
    expect(commandsFor(plan, "holdNodes", stuck)[0]).toMatch(/runbook-releaseMarker 8f3a'$/);
    expect(commandsFor(plan, "holdNodes")[0]).toBe("# put in first: «this run»");
  });
  it("names the node that is to serve only once the run itself has found it", () => {
    const found = onNode("server1", "cluster.startGroup", "clpgrp", "-s", "failover1");
    const sent = rowsAt([61, "sent", { n: 4, unit: "stopGroups", direction: "back", request: found }]);
    expect(commandsFor(plan, "stopGroups", breakFailed)).toEqual([
      "# on the node whose mirrors are GREEN:",
      "clpgrp -s failover1",
    ]);
    expect(commandsFor(plan, "stopGroups", [...breakFailed, ...sent])).toEqual([
      "ssh server1 'clpgrp -s failover1'",
    ]);
  });
  it("writes cloud requests for the vendor's own tool", () => {
    const changed = undoing(
      inCloud("StartInstances", "cloud.startInstance", { InstanceIds: ["i-0b"] }),
      inCloud("CreateTags", "cloud.setTags", {
        Resources: [later("snapshot of vol-1")],
        Tags: [{ Key: "who", Value: "it's me" }],
      }),
      inCloud("CreateSnapshots", "cloud.createSnapshotSet", { Description: "x" }),
    );
    expect(commandsFor(changed, "last", withPlan(copying, changed), { region: "ap-northeast-1" })).toEqual([
      "aws ec2 start-instances --region ap-northeast-1 --instance-ids i-0b",
      `aws ec2 create-tags --region ap-northeast-1 --resources snap-1 --tags '[{"Key":"who","Value":"it'\\''s me"}]'`,
      `aws ec2 create-snapshots --region ap-northeast-1 --cli-input-json '{"Description":"x"}'`,
    ]);
  });
  it("works when pasted: a shell takes it apart into the argv that the plan lists", () => {
    const argv = ["printf", "%s|", "a b", "it's", '"$HOME"', "!x", "line\nbreak", "*", ""];
    const changed = undoing(onNode("server1", "x.y", ...argv));
    const [command = ""] = commandsFor(changed, "last", withPlan(upToStop, changed));
    // As ssh does it: the local shell makes one word of the command, the far one takes it apart again.
    const out = execFileSync("sh", ["-c", `ssh() { sh -c "$2"; }\n${command}`], { encoding: "utf8" });
    expect(out).toBe(
      argv
        .slice(2)
        .map((word) => `${word}|`)
        .join(""),
    );
  });
});
