import { describe, expect, it } from "vitest";

import { Failure } from "../../src/errors.ts";
import { lookAround, whereIsPlayed, type Said, type Seen } from "../../src/cli/policy-facts.ts";
import { leastRights } from "../../src/cli/policy-make.ts";
import { policyJson, policyText, type Printed } from "../../src/cli/policy-text.ts";
import { uses } from "../../src/cli/policy-uses.ts";
import type { Drivers } from "../../src/layers/connect.ts";

const said: Said = {
  cluster: "prod",
  region: "eu-west-1",
  nodes: { server1: "i-1", server2: "i-2" },
  owner: "ops@console",
  leaseMinutes: 15,
  deadManMinutes: 15,
  checks: [],
  drill: { node: "scratch1", instance: "i-3", checks: [] },
  staging: undefined,
};
const seen: Seen = { config: undefined, production: undefined, volumes: ["vol-1"], keys: [], notes: [] };
const ordinary = {
  onScratch: false,
  onStaging: false,
  cloudOnly: false,
  usesScratch: () => false,
  params: {},
};
const known = { cloud: "aws", manager: "clusterpro" };

async function printed(
  runbook: string,
  more: Partial<Said> = {},
  found: Partial<Seen> = {},
): Promise<Printed> {
  const played = whereIsPlayed(runbook, ordinary, { ...said, ...more }, { ...seen, ...found });
  const rights = await leastRights(played ? [played] : [], known);
  return {
    cluster: "prod",
    runbooks: [runbook],
    rights,
    logins: { server1: { user: "ops", sudo: true }, server2: { user: "ops", sudo: true } },
    notes: found.notes ?? [],
  };
}

describe("least rights", () => {
  it.each(Object.keys(uses))(
    "of %s fit into a managed policy, with a name for each statement",
    async (runbook) => {
      const { iam } = (await printed(runbook)).rights;
      expect(JSON.stringify(iam).length).toBeLessThanOrEqual(6144);
      const names = iam.Statement.map(({ Sid }) => Sid);
      expect(new Set(names).size).toBe(names.length);
      for (const { Action, Resource, Condition } of iam.Statement) {
        expect(Action).not.toEqual([]);
        // Whatever is not a node's own is known by its tags, or can only be listed.
        if (Resource.some((resource) => resource.endsWith("*"))) expect(Condition).toBeDefined();
      }
    },
  );

  it("name the partition of the region, and the account of nobody", async () => {
    const { iam } = (await printed("backup-standby", { region: "cn-north-1" })).rights;
    const resources = iam.Statement.flatMap(({ Resource }) => Resource);
    expect(resources).toContain("arn:aws-cn:ec2:cn-north-1:*:instance/i-1");
    expect(resources).toContain("arn:aws-cn:ec2:cn-north-1::snapshot/*");
  });

  it("have what keys of the customer's own need", async () => {
    const { iam } = (await printed("restore", {}, { keys: ["arn:aws:kms:eu-west-1:1:key/k"] })).rights;
    expect(iam.Statement.find(({ Sid }) => Sid === "GrantKeys")?.Condition).toMatchObject({
      Bool: { "kms:GrantIsForAWSResource": "true" },
    });
  });

  it("can be asked for by who may read nothing yet: first what reading takes", async () => {
    const denied = () => Promise.reject(new Failure("denied", "no right"));
    const drivers = { cluster: { reads: { getConfig: denied } }, cloud: { reads: { getInstance: denied } } };
    const found = await lookAround(said, drivers as unknown as Pick<Drivers, "cluster" | "cloud">);
    expect(found.notes).toHaveLength(2);
    const text = policyText(await printed("backup-standby", {}, found));
    expect(text).toContain("runbook-download /opt/nec/clusterpro/etc/clp.conf");
    expect(text).toContain("ec2:DescribeVolumes");
    expect(text).not.toContain('"Held"');
    expect(text).not.toContain("clpgrp");
    expect(text).toContain("could not be read (no right)");
  });

  it("are the same as JSON, for a program", async () => {
    const all = await printed("resync");
    const { iam, sudoers } = JSON.parse(policyJson(all)) as {
      iam: unknown;
      sudoers: { [node: string]: string };
    };
    expect(iam).toEqual(all.rights.iam);
    expect(sudoers["server1"]).toMatch(/^# cluster\.\w+\nops ALL=\(root\) NOPASSWD: \//);
    expect(policyText(all)).toContain(sudoers["server1"]);
  });

  it("of a runbook of somebody's own are not known", async () => {
    const own = whereIsPlayed("mine", ordinary, said, seen);
    await expect(leastRights(own ? [own] : [], known)).rejects.toMatchObject({ kind: "invalid" });
  });
});
