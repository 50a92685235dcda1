/**
 * What every Cloud keeps. A driver is opened over a peer with one running instance; the suite changes the world only
 * through the driver, and looks only through it. Whoever opens it lets the world's time pass.
 */
import { describe, expect, test } from "vitest";
import { Failure } from "../../src/errors.ts";
import type { CloudDriver, Tags } from "../../src/ports/cloud.ts";
import { cloudContract } from "../../src/ports/cloud.ts";
import type { Request } from "../../src/ports/driver.ts";

export interface CloudUnderTest {
  readonly driver: CloudDriver;
  /** Running, and it goes down within `settle` when it is asked to. All rights for a backup of it are granted. */
  readonly instance: string;
  /** Its data volumes, all of them: two at least, and its root is not among them. */
  readonly volumes: readonly string[];
  /** Well-formed ids of what does not exist. */
  readonly unknown: { readonly instance: string; readonly volume: string; readonly snapshot: string };
  /** Lets time pass until nothing changes any more, all lists have caught up, and a further set may be cut. */
  settle(): Promise<void>;
  close(): Promise<void>;
  /** Takes the right to a write (as "createSnapshotSet") away; without it the tests about rights are left out. */
  deny?(write: "startInstance" | "createSnapshotSet" | "setTags"): void;
  /** The next write acts, and its answer is lost on the way; without it the tests about that are left out. */
  loseNextAnswer?(): void;
  /** How many writes the peer has received, refused and lost ones included, dry runs not. */
  countWrites?(): number;
}

export function cloudSuite(name: string, open: () => Promise<CloudUnderTest>): void {
  /** Plays one test on a world of its own. */
  const on = (play: (cloud: Played, context: { skip: (why: string) => never }) => Promise<void>) => {
    return async (context: { skip: (why: string) => never }) => {
      const opened = await open();
      try {
        await play(played(opened), context);
      } finally {
        await opened.close();
      }
    };
  };

  describe(`cloud: ${name}`, () => {
    describe("reads", () => {
      test(
        "an instance is told with its state, its root and what is attached to it",
        on(async ({ driver, instance, volumes }) => {
          const found = await driver.reads.getInstance(instance);
          expect(found).toMatchObject({ id: instance, state: "running", stoppedBy: undefined });
          expect(found.attachments.every((attachment) => attachment.instance === instance)).toBe(true);
          const attached = found.attachments.map(({ volume }) => volume);
          expect(new Set(attached)).toEqual(new Set([...volumes, ...rootsOf(found)]));
          expect(rootsOf(found)).toHaveLength(1);
          for (const volume of volumes) expect(rootsOf(found)).not.toContain(volume);
        }),
      );

      test(
        "volumes come in the order asked, and agree with the instance about where they are",
        on(async ({ driver, instance, volumes }) => {
          const backwards = [...volumes].reverse();
          const found = await driver.reads.getVolumes(backwards);
          expect(found.map(({ id }) => id)).toEqual(backwards);
          const { attachments, zone } = await driver.reads.getInstance(instance);
          for (const volume of found) {
            expect(volume).toMatchObject({ state: "in-use", zone });
            expect(volume.sizeGiB).toBeGreaterThan(0);
            expect(attachments).toEqual(expect.arrayContaining([...volume.attachments]));
          }
        }),
      );

      test(
        "no ids find nothing, and not everything",
        on(async ({ driver }) => {
          expect(await driver.reads.getVolumes([])).toEqual([]);
          expect(await driver.reads.getSnapshots([])).toEqual([]);
        }),
      );

      test(
        "a get of an unknown id throws not-found and names it",
        on(async ({ driver, volumes, unknown }) => {
          const known = volumes[0] ?? "";
          const cases: readonly (readonly [Promise<unknown>, string])[] = [
            [driver.reads.getInstance(unknown.instance), unknown.instance],
            [driver.reads.getVolumes([known, unknown.volume]), unknown.volume],
            [driver.reads.getSnapshots([unknown.snapshot]), unknown.snapshot],
          ];
          for (const [read, id] of cases) {
            const failure = await failureOf(read);
            expect(failure).toMatchObject({ kind: "not-found", happened: "no" });
            expect(failure.message).toContain(id);
          }
        }),
      );

      test(
        "a search that finds nothing is an empty list",
        on(async ({ driver }) => {
          expect(await driver.reads.findSnapshots({ "conformance-operation": "never sent" })).toEqual([]);
        }),
      );
    });

    describe("requests", () => {
      test(
        "are pure: the same arguments make the same plain value, and nothing is sent",
        on(async ({ driver, all, snapshots, countWrites }) => {
          const made = all(driver);
          expect(all(driver)).toEqual(made);
          expect(JSON.parse(JSON.stringify(made))).toEqual(made);
          for (const request of made)
            expect(request).toMatchObject({ to: "cloud", verb: expect.stringMatching(/^cloud\./) as string });
          expect(countWrites?.() ?? 0).toBe(0);
          expect(await snapshots()).toEqual([]);
        }),
      );

      test(
        "of another port or with an operation of no request are refused as a bug, and not sent",
        on(async ({ driver, countWrites }) => {
          const foreign: readonly Request[] = [
            { to: "node", verb: "shell.run", node: "server1", argv: ["true"] },
            { to: "cloud", verb: "cloud.startInstance", operation: "NoSuchOperation", params: {} },
          ];
          for (const request of foreign) {
            const failure = await failureOf(driver.send(request, { limitMs: 60_000 }));
            expect(failure).toMatchObject({ kind: "bug", happened: "no" });
          }
          expect(countWrites?.() ?? 0).toBe(0);
        }),
      );

      test(
        "whose signal has fired already are not sent",
        on(async ({ driver, instance, settle, countWrites }) => {
          const request = driver.requests.stopInstance({ instance });
          const failure = await failureOf(
            driver.send(request, { limitMs: 60_000, signal: AbortSignal.abort() }),
          );
          expect(failure).toMatchObject({ kind: "aborted", happened: "no" });
          await settle();
          expect((await driver.reads.getInstance(instance)).state).toBe("running");
          expect(countWrites?.() ?? 0).toBe(0);
        }),
      );
    });

    describe("power", () => {
      test(
        "a stop by the API is told as one, keeps the volumes attached, and a second stop changes nothing",
        on(async ({ driver, instance, volumes, settle, send }) => {
          for (let time = 0; time < 2; time += 1) {
            await send(driver.requests.stopInstance({ instance }));
            await settle();
            const found = await driver.reads.getInstance(instance);
            expect(found).toMatchObject({ state: "stopped", stoppedBy: "api" });
            expect(found.attachments.map(({ volume }) => volume)).toEqual(
              expect.arrayContaining([...volumes]),
            );
          }
        }),
      );

      test(
        "a start brings it back, and a second start changes nothing",
        on(async ({ driver, instance, settle, send }) => {
          await send(driver.requests.stopInstance({ instance }));
          await settle();
          for (let time = 0; time < 2; time += 1) {
            await send(driver.requests.startInstance({ instance }));
            await settle();
            expect(await driver.reads.getInstance(instance)).toMatchObject({
              state: "running",
              stoppedBy: undefined,
            });
          }
        }),
      );

      test(
        "an unknown instance cannot be started, and nothing happened",
        on(async ({ driver, unknown, send }) => {
          const failure = await failureOf(
            send(driver.requests.startInstance({ instance: unknown.instance })),
          );
          expect(failure).toMatchObject({ kind: "not-found", happened: "no" });
        }),
      );
    });

    describe("snapshots", () => {
      test(
        "a set is one snapshot of each volume asked for, at one instant, found by its tags and completed in time",
        on(async ({ driver, volumes, settle, cut, snapshots }) => {
          await cut(volumes);
          await settle();
          const found = await snapshots();
          expect(found.map(({ volume }) => volume).sort()).toEqual([...volumes].sort());
          expect(new Set(found.map(({ startedAt }) => startedAt)).size).toBe(1);
          for (const snapshot of found) {
            expect(snapshot).toMatchObject({ state: "completed", progressPercent: 100, reason: undefined });
            expect(snapshot.tags).toMatchObject(mark);
            expect(new Date(snapshot.startedAt).toISOString()).toBe(snapshot.startedAt);
          }
          const backwards = found.map(({ id }) => id).reverse();
          expect((await driver.reads.getSnapshots(backwards)).map(({ id }) => id)).toEqual(backwards);
        }),
      );

      test(
        "a set of some volumes leaves the others out",
        on(async ({ volumes, settle, cut, snapshots }) => {
          const some = volumes.slice(1);
          await cut(some);
          await settle();
          expect((await snapshots()).map(({ volume }) => volume).sort()).toEqual([...some].sort());
        }),
      );

      test(
        "an instance that is stopped can be cut as well",
        on(async ({ driver, instance, volumes, settle, send, cut, snapshots }) => {
          await send(driver.requests.stopInstance({ instance }));
          await settle();
          await cut(volumes);
          await settle();
          expect(await snapshots()).toHaveLength(volumes.length);
        }),
      );

      test(
        "only snapshots with all the tags are found, the oldest first; two calls make two sets",
        on(async ({ driver, volumes, settle, cut }) => {
          await cut(volumes, { ...mark, part: "first" });
          await settle();
          await cut(volumes, { ...mark, part: "second" });
          await settle();
          const found = await driver.reads.findSnapshots(mark);
          expect(found).toHaveLength(2 * volumes.length);
          expect(found.map(({ startedAt }) => startedAt)).toEqual(
            found.map(({ startedAt }) => startedAt).sort(),
          );
          const parts = found.map(({ tags }) => tags["part"]);
          expect(parts).toEqual([...volumes.map(() => "first"), ...volumes.map(() => "second")]);
          expect(await driver.reads.findSnapshots({ ...mark, part: "second" })).toHaveLength(volumes.length);
          expect(await driver.reads.findSnapshots({ ...mark, part: "third" })).toEqual([]);
          expect(await driver.reads.findSnapshots({ ...mark, part: "sec*" })).toEqual([]);
        }),
      );

      test(
        "a set whose answer was lost may have happened, is not sent again by the driver, and is found by its tags",
        on(async ({ volumes, settle, cut, snapshots, loseNextAnswer, countWrites }, { skip }) => {
          if (!loseNextAnswer) return skip("the peer cannot lose answers");
          loseNextAnswer();
          const failure = await failureOf(cut(volumes));
          expect(failure.happened).toBe("maybe");
          expect(["unavailable", "timeout"]).toContain(failure.kind);
          await settle();
          expect(await snapshots()).toHaveLength(volumes.length);
          if (countWrites) expect(countWrites()).toBe(1);
        }),
      );
    });

    describe("tags", () => {
      test(
        "are set on snapshots, volumes and instances, overwrite the same keys and keep the others",
        on(async ({ driver, instance, volumes, settle, send, cut, snapshots }) => {
          await cut(volumes);
          await settle();
          const ids = (await snapshots()).map(({ id }) => id);
          const resources = [instance, ...volumes, ...ids];
          await send(
            driver.requests.setTags({ resources, tags: { kept: "1", changed: "before", empty: "" } }),
          );
          await send(driver.requests.setTags({ resources, tags: { changed: "after & <ä> 世" } }));
          await settle();
          const wanted = { kept: "1", changed: "after & <ä> 世", empty: "" };
          expect((await driver.reads.getInstance(instance)).tags).toMatchObject(wanted);
          for (const { tags } of await driver.reads.getVolumes(volumes)) expect(tags).toMatchObject(wanted);
          for (const { tags } of await driver.reads.getSnapshots(ids))
            expect(tags).toMatchObject({ ...wanted, ...mark });
        }),
      );

      test(
        "of an unknown resource are refused, and nothing happened",
        on(async ({ driver, unknown, send }) => {
          const request = driver.requests.setTags({ resources: [unknown.snapshot], tags: { a: "b" } });
          expect(await failureOf(send(request))).toMatchObject({ kind: "not-found", happened: "no" });
        }),
      );
    });

    describe("rights", () => {
      test(
        "are all there when all are granted, and asking changes nothing",
        on(async ({ driver, instance, volumes, settle, snapshots, countWrites }) => {
          expect(await driver.reads.findMissingRights({ instance, volumes, tags: mark })).toEqual([]);
          expect(await driver.reads.findMissingRights({ instance, volumes: volumes.slice(0, 1) })).toEqual(
            [],
          );
          expect(await driver.reads.findMissingRights({ instance, volumes: [] })).toEqual([]);
          await settle();
          expect((await driver.reads.getInstance(instance)).state).toBe("running");
          expect(await snapshots()).toEqual([]);
          expect(countWrites?.() ?? 0).toBe(0);
        }),
      );

      for (const write of ["startInstance", "createSnapshotSet", "setTags"] as const) {
        test(
          `a missing right to ${write} is found without trying it, and trying it is denied`,
          on(async ({ driver, instance, volumes, settle, send, cut, snapshots, deny }, { skip }) => {
            if (!deny) return skip("the peer cannot deny");
            deny(write);
            const missing = await driver.reads.findMissingRights({ instance, volumes });
            expect(missing.length).toBeGreaterThan(0);
            for (const sentence of missing) expect(sentence).toMatch(/\S \S/);
            const tried = {
              startInstance: () => send(driver.requests.startInstance({ instance })),
              createSnapshotSet: () => cut(volumes),
              setTags: () => send(driver.requests.setTags({ resources: volumes, tags: { a: "b" } })),
            };
            expect(await failureOf(tried[write]())).toMatchObject({ kind: "denied", happened: "no" });
            await settle();
            expect(await snapshots()).toEqual([]);
          }),
        );
      }

      test(
        "of an unknown instance cannot be asked for",
        on(async ({ driver, unknown, volumes }) => {
          const asked = driver.reads.findMissingRights({ instance: unknown.instance, volumes });
          expect(await failureOf(asked)).toMatchObject({ kind: "not-found", happened: "no" });
        }),
      );
    });

    test(
      "it says where it speaks to",
      on(async ({ driver }) => {
        expect(driver.name).not.toBe("");
        expect(await driver.endpoint()).toMatch(/\S+ .*\(.+\)/);
      }),
    );
  });
}

/** The tags of the sets that the suite cuts. */
const mark: Tags = { "conformance-operation": "8f3a/snapshot-volumes" };

interface Played extends CloudUnderTest {
  send(request: Request): Promise<unknown>;
  /** A set of these volumes of the instance. */
  cut(volumes: readonly string[], tags?: Tags): Promise<unknown>;
  snapshots(): ReturnType<CloudDriver["reads"]["findSnapshots"]>;
  /** One request of each write. */
  all(driver: CloudDriver): readonly Request[];
}

function played(opened: CloudUnderTest): Played {
  const { driver, instance, volumes } = opened;
  const setOf = (some: readonly string[], tags: Tags = mark) => ({
    instance,
    volumes: some,
    otherVolumes: volumes.filter((volume) => !some.includes(volume)),
    description: "conformance",
    tags,
  });
  const send = (request: Request) => {
    const write = request.verb.replace("cloud.", "") as keyof CloudDriver["requests"];
    const contract = cloudContract[write];
    return driver.send(request, { limitMs: contract.kind === "write" ? contract.limitMs : 60_000 });
  };
  return {
    ...opened,
    send,
    cut: (some, tags) => send(driver.requests.createSnapshotSet(setOf(some, tags))),
    snapshots: () => driver.reads.findSnapshots(mark),
    all: ({ requests }) => [
      requests.startInstance({ instance }),
      requests.stopInstance({ instance }),
      requests.createSnapshotSet(setOf(volumes)),
      requests.createSnapshotSet(setOf(volumes.slice(0, 1))),
      requests.setTags({ resources: volumes, tags: mark }),
    ],
  };
}

function rootsOf(found: Awaited<ReturnType<CloudDriver["reads"]["getInstance"]>>): readonly string[] {
  return found.attachments.filter(({ device }) => device === found.rootDevice).map(({ volume }) => volume);
}

async function failureOf(act: Promise<unknown>): Promise<Failure> {
  const thrown: unknown = await act.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(Failure);
  return thrown as Failure;
}
