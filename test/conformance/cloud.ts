/**
 * What every Cloud keeps. A driver is opened over a peer with one running instance; the suite changes the world only
 * through the driver, and looks only through it. Whoever opens it lets the world's time pass.
 */
import { describe, expect, test } from "vitest";
import { Failure } from "../../src/errors.ts";
import type { CloudDriver, CloudWrites, Snapshot, Tags } from "../../src/ports/cloud.ts";
import { cloudContract } from "../../src/ports/cloud.ts";
import type { Request } from "../../src/ports/driver.ts";

export interface CloudUnderTest {
  readonly driver: CloudDriver;
  /** Running, and it goes down within `settle` when it is asked to. All rights for a backup of it are granted. */
  readonly instance: string;
  /** A private address that it has, and nothing else. */
  readonly address: string;
  /** Its data volumes, all of them: two at least, and its root is not among them. */
  readonly volumes: readonly string[];
  /** Attach name that nothing has. */
  readonly freeDevice: string;
  /** A zone beside that of the instance. */
  readonly otherZone: string;
  /** Well-formed ids of what does not exist. */
  readonly unknown: { readonly instance: string; readonly volume: string; readonly snapshot: string };
  /** Lets time pass until nothing changes any more, all lists have caught up, and a further set may be cut. */
  settle(): Promise<void>;
  close(): Promise<void>;
  /** Takes the right to a write (as "createSnapshotSet") away; without it the tests about rights are left out. */
  deny?(write: keyof CloudWrites): void;
  /** Locks a snapshot for some days, so that it cannot be deleted; without it the tests about that are left out. */
  lock?(snapshot: string): void;
  /** Shares a snapshot with another account; without it the test about that is left out. */
  share?(snapshot: string, account: string): void;
  /** Makes a machine image that holds a snapshot, and can take it away; without it the tests about that are left out. */
  makeImage?(snapshot: string): { readonly image: string; readonly drop: () => void };
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
        await play(await played(opened), context);
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
          expect(await driver.reads.getPower(instance)).toEqual({
            id: instance,
            state: "running",
            stoppedBy: undefined,
          });
          expect(found.attachments.every((attachment) => attachment.instance === instance)).toBe(true);
          const attached = found.attachments.map(({ volume }) => volume);
          expect(new Set(attached)).toEqual(new Set([...volumes, ...rootsOf(found)]));
          expect(rootsOf(found)).toHaveLength(1);
          for (const volume of volumes) expect(rootsOf(found)).not.toContain(volume);
        }),
      );

      test(
        "an instance is found by its private address, running or stopped, once, and no other is",
        on(async ({ driver, instance, address, settle, send }) => {
          const found = await driver.reads.findInstances(["192.0.2.254", address, address]);
          expect(found.map(({ id }) => id)).toEqual([instance]);
          expect(found[0]).toMatchObject({ state: "running" });
          expect(found[0]?.addresses).toContain(address);
          await send(driver.requests.stopInstance({ instance }));
          await settle();
          expect(await driver.reads.findInstances([address])).toMatchObject([
            { id: instance, state: "stopped" },
          ]);
          expect(await driver.reads.findInstances(["192.0.2.254"])).toEqual([]);
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
          expect(await driver.reads.getReferences([])).toEqual([]);
          expect(await driver.reads.findInstances([])).toEqual([]);
        }),
      );

      test(
        "a get of an unknown id throws not-found and names it",
        on(async ({ driver, volumes, unknown }) => {
          const known = volumes[0] ?? "";
          const cases: readonly (readonly [Promise<unknown>, string])[] = [
            [driver.reads.getInstance(unknown.instance), unknown.instance],
            [driver.reads.getPower(unknown.instance), unknown.instance],
            [driver.reads.getVolumes([known, unknown.volume]), unknown.volume],
            [driver.reads.getSnapshots([unknown.snapshot]), unknown.snapshot],
            [driver.reads.getInitialization(unknown.volume), unknown.volume],
            [driver.reads.findLock(unknown.snapshot), unknown.snapshot],
            [driver.reads.getReferences([unknown.snapshot]), unknown.snapshot],
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
          expect(await driver.reads.findVolumes({ "conformance-operation": "never sent" })).toEqual([]);
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
            const power = await driver.reads.getPower(instance);
            expect(power).toEqual({ id: instance, state: "stopped", stoppedBy: "api" });
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
            expect(snapshot).toMatchObject({ encrypted: false, key: undefined, tier: "standard" });
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
          expect(await driver.reads.findSnapshots({ ...mark, part: "*" })).toHaveLength(2 * volumes.length);
          expect(await driver.reads.findSnapshots({ ...mark, absent: "*" })).toEqual([]);
          for (const part of ["sec*", "secon?", "**", "s\\econd"])
            expect(await driver.reads.findSnapshots({ ...mark, part })).toEqual([]);
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

    describe("volumes", () => {
      test(
        "are made from a snapshot as asked for, tagged at creation, and found by their tags",
        on(async ({ driver, zone, cutOne, newVolume, settle, send }) => {
          const snapshot = await cutOne();
          const asked = {
            ...newVolume(snapshot),
            sizeGiB: snapshot.sizeGiB + 1,
            iops: 4000,
            throughputMiBps: 200,
          };
          await send(driver.requests.createVolume(asked));
          await settle();
          const found = await driver.reads.findVolumes(asked.tags);
          expect(found).toMatchObject([
            {
              state: "available",
              snapshot: snapshot.id,
              zone,
              sizeGiB: snapshot.sizeGiB + 1,
              type: "gp3",
              iops: 4000,
              throughputMiBps: 200,
              encrypted: false,
              fastRestored: false,
              attachments: [],
              tags: asked.tags,
            },
          ]);
          for (const { createdAt } of found) expect(new Date(createdAt).toISOString()).toBe(createdAt);
        }),
      );

      test(
        "of one token are one volume, and other arguments with it are refused",
        on(async ({ driver, cutOne, newVolume, settle, send, otherZone }) => {
          const asked = newVolume(await cutOne());
          await send(driver.requests.createVolume(asked));
          await send(driver.requests.createVolume(asked));
          const failure = await failureOf(send(driver.requests.createVolume({ ...asked, zone: otherZone })));
          expect(failure).toMatchObject({ kind: "conflict", happened: "no" });
          expect(failure.hint).toBeTruthy();
          await settle();
          expect(await driver.reads.findVolumes(asked.tags)).toHaveLength(1);
        }),
      );

      test(
        "of an answer that was lost may have been made, and are found by their tags",
        on(async ({ driver, cutOne, newVolume, settle, send, loseNextAnswer }, { skip }) => {
          if (!loseNextAnswer) return skip("the peer cannot lose answers");
          const asked = newVolume(await cutOne());
          loseNextAnswer();
          expect((await failureOf(send(driver.requests.createVolume(asked)))).happened).toBe("maybe");
          await settle();
          expect(await driver.reads.findVolumes(asked.tags)).toHaveLength(1);
        }),
      );

      test(
        "are found with all the tags only, the oldest first; * alone stands for any value",
        on(async ({ driver, volumes, cutOne, newVolume, settle, send }) => {
          const snapshot = await cutOne();
          for (const part of ["first", "second", "with * and ?"]) {
            await send(driver.requests.createVolume(newVolume(snapshot, { part })));
            await settle();
          }
          const any = await driver.reads.findVolumes({ ...volumeMark, part: "*" });
          expect(any.map(({ tags }) => tags["part"])).toEqual(["first", "second", "with * and ?"]);
          expect(any.map(({ createdAt }) => createdAt)).toEqual(any.map(({ createdAt }) => createdAt).sort());
          const parts = async (part: string) =>
            (await driver.reads.findVolumes({ ...volumeMark, part })).map(({ tags }) => tags["part"]);
          expect(await parts("second")).toEqual(["second"]);
          expect(await parts("with * and ?")).toEqual(["with * and ?"]);
          for (const part of ["with*", "with ? and *", "secon?", "s*d", "\\second"])
            expect(await parts(part)).toEqual([]);
          for (const { id } of any) expect(volumes).not.toContain(id);
        }),
      );

      test(
        "of a type without IOPS of its own are made without what was told of the old one",
        on(async ({ driver, cutOne, newVolume, settle, send }) => {
          const asked = newVolume(await cutOne());
          await send(
            driver.requests.createVolume({ ...asked, type: "gp2", iops: 100, throughputMiBps: 128 }),
          );
          await settle();
          expect(await driver.reads.findVolumes(asked.tags)).toMatchObject([
            { type: "gp2", state: "available" },
          ]);
        }),
      );

      test(
        "are not made from a snapshot that is pending, and nothing happened",
        on(async ({ driver, volumes, cut, newVolume, snapshots, until, settle, send }) => {
          await cut(volumes.slice(0, 1));
          const [pending] = await until(snapshots);
          if (pending?.state !== "pending") throw new Error("the peer completes snapshots at once");
          const asked = newVolume(pending);
          const failure = await failureOf(send(driver.requests.createVolume(asked)));
          expect(failure).toMatchObject({ kind: "precondition", happened: "no" });
          await settle();
          expect(await driver.reads.findVolumes(asked.tags)).toEqual([]);
        }),
      );

      test(
        "are detached and attached again under a stopped instance, and the instance and the volume agree",
        on(async ({ driver, instance, volumes, freeDevice, settle, send }) => {
          const volume = volumes[0] ?? "";
          await send(driver.requests.stopInstance({ instance }));
          await settle();
          await send(driver.requests.detachVolume({ volume, instance }));
          await settle();
          expect(await driver.reads.getVolumes([volume])).toMatchObject([
            { state: "available", attachments: [] },
          ]);
          expect(
            (await driver.reads.getInstance(instance)).attachments.map((held) => held.volume),
          ).not.toContain(volume);
          await send(driver.requests.attachVolume({ volume, instance, device: freeDevice }));
          await settle();
          const held = {
            volume,
            instance,
            device: freeDevice,
            state: "attached",
            deleteOnTermination: false,
          };
          expect(await driver.reads.getVolumes([volume])).toMatchObject([
            { state: "in-use", attachments: [held] },
          ]);
          expect((await driver.reads.getInstance(instance)).attachments).toContainEqual(held);
        }),
      );

      test(
        "that are attached or detached already are refused, with a hint, and nothing happened",
        on(async ({ driver, instance, volumes, unknown, freeDevice, settle, send }) => {
          const [volume = "", other = ""] = volumes;
          await send(driver.requests.stopInstance({ instance }));
          await settle();
          const device = (await driver.reads.getVolumes([other]))[0]?.attachments[0]?.device ?? "";
          const refused = async (request: Request) => {
            const failure = await failureOf(send(request));
            expect(failure.happened).toBe("no");
            expect(failure.hint).toBeTruthy();
            return failure.kind;
          };
          const { attachVolume, detachVolume } = driver.requests;
          expect(await refused(attachVolume({ volume, instance, device: freeDevice }))).toBe("conflict");
          await send(detachVolume({ volume, instance }));
          await settle();
          expect(await refused(detachVolume({ volume, instance }))).toBe("precondition");
          expect(await refused(attachVolume({ volume, instance, device }))).toBe("conflict");
          expect(await refused(attachVolume({ volume: unknown.volume, instance, device: freeDevice }))).toBe(
            "not-found",
          );
        }),
      );

      test(
        "of another zone cannot be attached",
        on(async ({ driver, instance, freeDevice, otherZone, cutOne, newVolume, settle, send }) => {
          const asked = { ...newVolume(await cutOne()), zone: otherZone };
          await send(driver.requests.createVolume(asked));
          await settle();
          const [far] = await driver.reads.findVolumes(asked.tags);
          const attach = driver.requests.attachVolume({
            volume: far?.id ?? "",
            instance,
            device: freeDevice,
          });
          expect(await failureOf(send(attach))).toMatchObject({ kind: "invalid", happened: "no" });
        }),
      );

      test(
        "go with their instance or not, as set, once and again",
        on(async ({ driver, instance, volumes, freeDevice, settle, send }) => {
          const volume = volumes[0] ?? "";
          const held = async () => (await driver.reads.getVolumes([volume]))[0]?.attachments[0];
          const device = (await held())?.device ?? "";
          for (const on of [true, true, false]) {
            await send(driver.requests.setDeleteOnTermination({ instance, device, on }));
            await settle();
            expect(await held()).toMatchObject({ device, deleteOnTermination: on, state: "attached" });
          }
          const absent = driver.requests.setDeleteOnTermination({ instance, device: freeDevice, on: true });
          expect((await failureOf(send(absent))).happened).toBe("no");
        }),
      );

      test(
        "that are attached are not deleted; others are, and to delete one that is gone is no failure",
        on(async ({ driver, volumes, cutOne, newVolume, settle, send }) => {
          const refused = failureOf(send(driver.requests.deleteVolume({ volume: volumes[0] ?? "" })));
          expect(await refused).toMatchObject({ kind: "conflict", happened: "no" });
          const asked = newVolume(await cutOne());
          await send(driver.requests.createVolume(asked));
          await settle();
          const [made] = await driver.reads.findVolumes(asked.tags);
          const remove = driver.requests.deleteVolume({ volume: made?.id ?? "" });
          await send(remove);
          await send(remove);
          await settle();
          await send(remove);
          expect(await driver.reads.findVolumes(asked.tags)).toEqual([]);
          expect(await failureOf(driver.reads.getVolumes([made?.id ?? ""]))).toMatchObject({
            kind: "not-found",
          });
        }),
      );

      test(
        "from snapshots tell how far they have come over, with an end where a rate was paid for",
        on(async ({ driver, volumes, cutOne, newVolume, until, settle, send }) => {
          expect(await driver.reads.getInitialization(volumes[0] ?? "")).toBeUndefined();
          const snapshot = await cutOne();
          const slow = newVolume(snapshot, { part: "slow" });
          const paid = { ...newVolume(snapshot, { part: "paid" }), initializationMiBps: 300 };
          for (const asked of [slow, paid]) {
            await send(driver.requests.createVolume(asked));
            const [made] = await until(() => driver.reads.findVolumes(asked.tags));
            const id = made?.id ?? "";
            const begun = await driver.reads.getInitialization(id);
            expect(begun?.percent).toBeGreaterThanOrEqual(0);
            expect(begun?.percent).toBeLessThanOrEqual(100);
            if (asked === paid) expect(begun?.etaSeconds).toBeGreaterThanOrEqual(0);
            else expect(begun?.etaSeconds).toBeUndefined();
            await settle();
            expect(await driver.reads.getInitialization(id)).toMatchObject({ percent: 100 });
          }
        }),
      );
    });

    describe("fast restore", () => {
      test(
        "comes on in time, is listed while it is on, and is off again when it is switched off, once or twice",
        on(async ({ driver, zone, otherZone, cutOne, settle, send }) => {
          const { id: snapshot } = await cutOne();
          const state = async (of: string) =>
            (await driver.reads.getFastRestore({ snapshot, zone: of })).state;
          expect(await driver.reads.getFastRestore({ snapshot, zone })).toEqual({
            state: "off",
            reason: undefined,
          });
          expect(await driver.reads.listFastRestores()).toEqual([]);
          const both = { snapshot, zones: [zone, otherZone] };
          await send(driver.requests.enableFastRestore(both));
          await send(driver.requests.enableFastRestore(both));
          await settle();
          expect([await state(zone), await state(otherZone)]).toEqual(["enabled", "enabled"]);
          const listed = await driver.reads.listFastRestores();
          expect(listed).toHaveLength(2);
          for (const one of [zone, otherZone])
            expect(listed).toContainEqual({ snapshot, zone: one, state: "enabled" });
          await send(driver.requests.disableFastRestore({ snapshot, zones: [zone] }));
          await settle();
          expect([await state(zone), await state(otherZone)]).toEqual(["off", "enabled"]);
          await send(driver.requests.disableFastRestore(both));
          await send(driver.requests.disableFastRestore(both));
          await settle();
          expect([await state(zone), await state(otherZone)]).toEqual(["off", "off"]);
          expect(await driver.reads.listFastRestores()).toEqual([]);
        }),
      );

      test(
        "makes a volume fast that is made when it is on, and the volume tells",
        on(async ({ driver, zone, cutOne, newVolume, settle, send }) => {
          const snapshot = await cutOne();
          await send(driver.requests.enableFastRestore({ snapshot: snapshot.id, zones: [zone] }));
          await settle();
          const asked = newVolume(snapshot);
          await send(driver.requests.createVolume(asked));
          await send(driver.requests.disableFastRestore({ snapshot: snapshot.id, zones: [zone] }));
          await settle();
          expect(await driver.reads.findVolumes(asked.tags)).toMatchObject([{ fastRestored: true }]);
        }),
      );

      test(
        "of a snapshot that does not exist is off, and cannot be switched on",
        on(async ({ driver, unknown, zone, send }) => {
          const pair = { snapshot: unknown.snapshot, zone };
          expect((await driver.reads.getFastRestore(pair)).state).toBe("off");
          const enable = driver.requests.enableFastRestore({ snapshot: unknown.snapshot, zones: [zone] });
          expect((await failureOf(send(enable))).kind).toBe("not-found");
        }),
      );
    });

    describe("the deletion of a snapshot", () => {
      test(
        "takes it from all lists, and to delete one that is gone is no failure",
        on(async ({ driver, cutOne, settle, send, snapshots }) => {
          const { id: snapshot } = await cutOne();
          const remove = driver.requests.deleteSnapshot({ snapshot });
          await send(remove);
          await settle();
          await send(remove);
          expect(await snapshots()).toEqual([]);
          expect((await failureOf(driver.reads.getSnapshots([snapshot]))).kind).toBe("not-found");
        }),
      );

      test(
        "is refused while fast restore of it is on, and nothing happened",
        on(async ({ driver, zone, cutOne, settle, send, snapshots }) => {
          const { id: snapshot } = await cutOne();
          await send(driver.requests.enableFastRestore({ snapshot, zones: [zone] }));
          await settle();
          const remove = driver.requests.deleteSnapshot({ snapshot });
          expect(await failureOf(send(remove))).toMatchObject({ kind: "conflict", happened: "no" });
          expect(await snapshots()).toHaveLength(1);
          await send(driver.requests.disableFastRestore({ snapshot, zones: [zone] }));
          await settle();
          await send(remove);
          expect(await snapshots()).toEqual([]);
        }),
      );

      test(
        "is refused while it is locked, and the lock tells until when",
        on(async ({ driver, cutOne, lock, settle, send, snapshots }, { skip }) => {
          if (!lock) return skip("the peer cannot lock");
          const { id: snapshot } = await cutOne();
          expect(await driver.reads.findLock(snapshot)).toBeUndefined();
          lock(snapshot);
          await settle();
          const found = await driver.reads.findLock(snapshot);
          expect(found?.state).toMatch(/\S/);
          expect(found?.holds).toBe(true);
          expect(new Date(found?.until ?? "").toISOString()).toBe(found?.until);
          expect(await driver.reads.listLocks()).toEqual([{ snapshot, ...found }]);
          const refused = await failureOf(send(driver.requests.deleteSnapshot({ snapshot })));
          expect(refused).toMatchObject({ kind: "denied", happened: "no" });
          expect(await snapshots()).toHaveLength(1);
        }),
      );
    });

    describe("who else uses a snapshot", () => {
      const nobody = { volumes: [], images: [], sharedWith: [] };

      test(
        "is told for each one asked for, in that order: volumes that were made from it",
        on(async ({ driver, cut, volumes, snapshots, newVolume, settle, send }) => {
          await cut(volumes.slice(0, 2));
          await settle();
          const [first, second] = await snapshots();
          if (!first || !second) throw new Error("the set that was cut is not found");
          expect(await driver.reads.getReferences([second.id, first.id])).toEqual([
            { snapshot: second.id, ...nobody },
            { snapshot: first.id, ...nobody },
          ]);
          await send(driver.requests.createVolume(newVolume(first)));
          await settle();
          const made = await driver.reads.findVolumes(newVolume(first).tags);
          expect(made).toHaveLength(1);
          expect(await driver.reads.getReferences([first.id, second.id])).toEqual([
            { snapshot: first.id, ...nobody, volumes: made },
            { snapshot: second.id, ...nobody },
          ]);
        }),
      );

      test(
        "tells accounts that it is shared with",
        on(async ({ driver, cutOne, share }, { skip }) => {
          if (!share) return skip("the peer cannot share");
          const { id: snapshot } = await cutOne();
          share(snapshot, "111122223333");
          expect(await driver.reads.getReferences([snapshot])).toEqual([
            { snapshot, ...nobody, sharedWith: ["111122223333"] },
          ]);
        }),
      );

      test(
        "tells images that hold it, disabled ones too, which keep it from being deleted until they are gone",
        on(async ({ driver, cutOne, makeImage, settle, send, snapshots }, { skip }) => {
          if (!makeImage) return skip("the peer cannot make images");
          const { id: snapshot } = await cutOne();
          const { image, drop } = makeImage(snapshot);
          await settle();
          expect(await driver.reads.getReferences([snapshot])).toEqual([
            { snapshot, ...nobody, images: [image] },
          ]);
          const remove = driver.requests.deleteSnapshot({ snapshot });
          expect(await failureOf(send(remove))).toMatchObject({ kind: "conflict", happened: "no" });
          expect(await snapshots()).toHaveLength(1);
          drop();
          await send(remove);
          expect(await snapshots()).toEqual([]);
        }),
      );
    });

    describe("a single snapshot", () => {
      test(
        "is cut of a volume that is attached, and of one that is not, and is found by its tags",
        on(async ({ driver, volumes, cutOne, newVolume, settle, send }) => {
          const asked = newVolume(await cutOne());
          await send(driver.requests.createVolume(asked));
          await settle();
          const [loose] = await driver.reads.findVolumes(asked.tags);
          const tags = { "conformance-operation": "8f3a/final" };
          for (const volume of [volumes[0] ?? "", loose?.id ?? ""]) {
            await send(driver.requests.createSnapshot({ volume, description: "final", tags }));
            await settle();
          }
          const found = await driver.reads.findSnapshots(tags);
          expect(found.map(({ volume }) => volume)).toEqual([volumes[0], loose?.id]);
          for (const each of found) expect(each).toMatchObject({ state: "completed", tags });
        }),
      );

      test(
        "of an unknown volume is not cut",
        on(async ({ driver, unknown, send }) => {
          const cut = driver.requests.createSnapshot({ volume: unknown.volume, description: "", tags: mark });
          expect(await failureOf(send(cut))).toMatchObject({ kind: "not-found", happened: "no" });
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
        "for a restore are all there when all are granted, and asking changes nothing",
        on(async ({ driver, instance, volumes, cutOne, restoreOf, settle, countWrites }) => {
          const asked = restoreOf(await cutOne());
          const before = countWrites?.() ?? 0;
          expect(await driver.reads.findMissingRestoreRights(asked)).toEqual([]);
          expect(await driver.reads.findMissingRestoreRights({ ...asked, volumes: [] })).toEqual([]);
          await settle();
          expect(await driver.reads.findVolumes(volumeMark)).toEqual([]);
          expect(await driver.reads.listFastRestores()).toEqual([]);
          const { attachments } = await driver.reads.getInstance(instance);
          expect(attachments.map(({ volume }) => volume)).toEqual(expect.arrayContaining([...volumes]));
          expect(countWrites?.() ?? 0).toBe(before);
        }),
      );

      test(
        "for a restore are asked about a new volume as well",
        on(async ({ driver, cutOne, newVolume, restoreOf, freeDevice, settle, send }) => {
          const snapshot = await cutOne();
          const made = newVolume(snapshot);
          await send(driver.requests.createVolume(made));
          await settle();
          const [volume] = await driver.reads.findVolumes(made.tags);
          const asked = { ...restoreOf(snapshot), volumes: [volume?.id ?? ""], device: freeDevice };
          expect(await driver.reads.findMissingRestoreRights(asked)).toEqual([]);
        }),
      );

      for (const write of [
        "createVolume",
        "setTags",
        "detachVolume",
        "attachVolume",
        "startInstance",
        "enableFastRestore",
        "disableFastRestore",
      ] as const) {
        test(
          `for a restore that lack ${write} are told without trying it`,
          on(async ({ driver, cutOne, restoreOf, deny }, { skip }) => {
            if (!deny) return skip("the peer cannot deny");
            const asked = restoreOf(await cutOne());
            deny(write);
            const missing = await driver.reads.findMissingRestoreRights(asked);
            expect(missing.length).toBeGreaterThan(0);
            for (const sentence of missing) expect(sentence).toMatch(/not allowed/);
            const { fastRestore: _fast, ...without } = asked;
            if (write.endsWith("FastRestore"))
              expect(await driver.reads.findMissingRestoreRights(without)).toEqual([]);
          }),
        );
      }

      test(
        "for a prune are all there when all are granted, and asking changes nothing",
        on(async ({ driver, volumes, cutOne, newVolume, settle, send, snapshots, countWrites }) => {
          const snapshot = await cutOne();
          const asked = newVolume(snapshot);
          await send(driver.requests.createVolume(asked));
          await settle();
          const [made] = await driver.reads.findVolumes(asked.tags);
          const before = countWrites?.() ?? 0;
          const rights = {
            snapshots: [snapshot.id],
            finalOf: volumes,
            volumes: [made?.id ?? ""],
            tags: mark,
          };
          expect(await driver.reads.findMissingPruneRights(rights)).toEqual([]);
          expect(
            await driver.reads.findMissingPruneRights({ snapshots: [], finalOf: [], volumes: [] }),
          ).toEqual([]);
          await settle();
          expect(await snapshots()).toEqual([snapshot]);
          expect(await driver.reads.findVolumes(asked.tags)).toHaveLength(1);
          expect(countWrites?.() ?? 0).toBe(before);
        }),
      );

      for (const write of [
        "setTags",
        "removeTags",
        "deleteSnapshot",
        "createSnapshot",
        "deleteVolume",
      ] as const) {
        test(
          `for a prune that lack ${write} are told without trying it`,
          on(async ({ driver, volumes, cutOne, newVolume, settle, send, deny }, { skip }) => {
            if (!deny) return skip("the peer cannot deny");
            const snapshot = await cutOne();
            const asked = newVolume(snapshot);
            await send(driver.requests.createVolume(asked));
            await settle();
            const [made] = await driver.reads.findVolumes(asked.tags);
            deny(write);
            const rights = {
              snapshots: [snapshot.id],
              finalOf: volumes.slice(0, 1),
              volumes: [made?.id ?? ""],
            };
            const missing = await driver.reads.findMissingPruneRights(rights);
            expect(missing.length).toBeGreaterThan(0);
            for (const sentence of missing) expect(sentence).toMatch(/not allowed/);
          }),
        );
      }

      test(
        "of an unknown instance cannot be asked for",
        on(async ({ driver, unknown, volumes, cutOne, restoreOf }) => {
          const asked = driver.reads.findMissingRights({ instance: unknown.instance, volumes });
          expect(await failureOf(asked)).toMatchObject({ kind: "not-found", happened: "no" });
          const restore = restoreOf(await cutOne());
          for (const wrong of [{ instance: unknown.instance }, { snapshot: unknown.snapshot }])
            expect(
              await failureOf(driver.reads.findMissingRestoreRights({ ...restore, ...wrong })),
            ).toMatchObject({ kind: "not-found", happened: "no" });
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

/** The tags of the volumes that the suite makes. */
const volumeMark: Tags = { "conformance-operation": "8f3a/make-volumes" };

type NewVolume = CloudWrites["createVolume"];
type RestoreRights = Parameters<CloudDriver["reads"]["findMissingRestoreRights"]>[0];

interface Played extends CloudUnderTest {
  /** That of the instance. */
  readonly zone: string;
  send(request: Request): Promise<unknown>;
  /** A set of these volumes of the instance. */
  cut(volumes: readonly string[], tags?: Tags): Promise<unknown>;
  /** A completed snapshot of one volume. */
  cutOne(): Promise<Snapshot>;
  snapshots(): ReturnType<CloudDriver["reads"]["findSnapshots"]>;
  /** The arguments of a volume like its old one; a token of its own for each `more`. */
  newVolume(snapshot: Snapshot, more?: Tags): NewVolume;
  restoreOf(snapshot: Snapshot): RestoreRights;
  /** Looks until something is found: reads take the time of the world they ask. */
  until<T>(look: () => Promise<readonly T[]>): Promise<readonly T[]>;
  /** One request of each write. */
  all(driver: CloudDriver): readonly Request[];
}

async function played(opened: CloudUnderTest): Promise<Played> {
  const { driver, instance, volumes, settle } = opened;
  const { zone, attachments } = await driver.reads.getInstance(instance);
  const device = attachments.find(({ volume }) => volume === volumes[0])?.device ?? "";
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
  const volumeOf = (snapshot: { readonly id: string; readonly sizeGiB: number }, more: Tags = {}) => ({
    snapshot: snapshot.id,
    zone,
    sizeGiB: snapshot.sizeGiB,
    type: "gp3",
    encrypted: false,
    token: `conformance ${Object.values(more).join(" ")}`,
    tags: { ...volumeMark, ...more },
  });
  const cut: Played["cut"] = (some, tags) => send(driver.requests.createSnapshotSet(setOf(some, tags)));
  const snapshots = () => driver.reads.findSnapshots(mark);
  return {
    ...opened,
    zone,
    send,
    cut,
    snapshots,
    async cutOne() {
      await cut(volumes.slice(0, 1));
      await settle();
      const [snapshot] = await snapshots();
      if (snapshot === undefined) throw new Error("the snapshot that was cut is not found");
      return snapshot;
    },
    newVolume: volumeOf,
    restoreOf: ({ id: snapshot }) => ({
      instance,
      volumes,
      snapshot,
      zone,
      device,
      tags: volumeMark,
      fastRestore: true,
    }),
    async until(look) {
      for (let tries = 0; tries < 10_000; tries += 1) {
        const found = await look();
        if (found.length > 0) return found;
      }
      throw new Error("nothing was found");
    },
    all: ({ requests }) => [
      requests.startInstance({ instance }),
      requests.stopInstance({ instance }),
      requests.createSnapshotSet(setOf(volumes)),
      requests.createSnapshotSet(setOf(volumes.slice(0, 1))),
      requests.createSnapshot({ volume: opened.unknown.volume, description: "final", tags: mark }),
      requests.setTags({ resources: volumes, tags: mark }),
      requests.removeTags({ resources: volumes, keys: Object.keys(mark) }),
      requests.createVolume(volumeOf({ id: opened.unknown.snapshot, sizeGiB: 1 })),
      requests.attachVolume({ volume: opened.unknown.volume, instance, device: opened.freeDevice }),
      requests.detachVolume({ volume: opened.unknown.volume, instance }),
      requests.setDeleteOnTermination({ instance, device, on: false }),
      requests.deleteVolume({ volume: opened.unknown.volume }),
      requests.deleteSnapshot({ snapshot: opened.unknown.snapshot }),
      requests.enableFastRestore({ snapshot: opened.unknown.snapshot, zones: [zone] }),
      requests.disableFastRestore({ snapshot: opened.unknown.snapshot, zones: [zone] }),
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
