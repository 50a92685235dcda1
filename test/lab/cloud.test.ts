import { describe, expect, it } from "vitest";
import { CloudError } from "../../src/lab/cloud.ts";
import { content, makeWorld, zone } from "./ec2-world.ts";

const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof CloudError) return error.code;
    throw error;
  }
  return "nothing was thrown";
};

const kinds = (world: ReturnType<typeof makeWorld>) =>
  world.heart.effects.map((effect) => effect.detail.kind);

describe("power", () => {
  it("comes on some seconds after the start, and the guest is told then", async () => {
    const world = makeWorld();
    const { cloud, clock, events } = world;
    cloud.guestOff("i-server1");
    await clock.advance(2000);
    expect(cloud.start("i-server1")).toEqual({ before: "stopped", after: "pending" });
    expect(cloud.hasPower("i-server1")).toBe(false);
    await clock.advance(4000);
    expect(events).toEqual([]);
    await clock.advance(1000);
    expect(events).toEqual(["on i-server1"]);
    expect(cloud.hasPower("i-server1")).toBe(true);
    expect(cloud.getInstance("i-server1").state.now).toEqual({ state: "running", reason: undefined });
    expect(kinds(world)).toEqual([
      "instance-stopping",
      "instance-stopped",
      "instance-starting",
      "instance-running",
    ]);
  });

  it("goes when the guest switches off, and the API says that the guest did it", async () => {
    const { cloud, clock } = makeWorld();
    cloud.guestOff("i-server1");
    expect(cloud.hasPower("i-server1")).toBe(false);
    expect(cloud.getInstance("i-server1").state.now.state).toBe("stopping");
    await clock.advance(2000);
    const { state, reason } = cloud.getInstance("i-server1").state.now;
    expect([state, reason?.code]).toEqual(["stopped", "Client.InstanceInitiatedShutdown"]);
  });

  it("is cut four minutes after a stop under a guest that does not go", async () => {
    const { cloud, clock, events } = makeWorld();
    cloud.stop("i-server1");
    expect(events).toEqual(["asked i-server1"]);
    await clock.advance(239_000);
    expect(cloud.hasPower("i-server1")).toBe(true);
    // Asking again neither prolongs the wait nor asks the guest again.
    cloud.stop("i-server1");
    await clock.advance(1000);
    expect(events).toEqual(["asked i-server1", "lost i-server1"]);
    const { state, reason } = cloud.getInstance("i-server1").state.now;
    expect([state, reason?.code]).toEqual(["stopped", "Client.UserInitiatedShutdown"]);
  });

  it("is not cut under a guest that went in time", async () => {
    const { cloud, clock, events } = makeWorld();
    cloud.stop("i-server1");
    await clock.advance(30_000);
    cloud.guestOff("i-server1");
    await clock.advance(600_000);
    expect(events).toEqual(["asked i-server1"]);
    expect(cloud.getInstance("i-server1").state.now.reason?.code).toBe("Client.UserInitiatedShutdown");
  });

  it("of a stopped instance stays off at a stop, and of a running one on at a start", async () => {
    const world = makeWorld();
    const { cloud, clock } = world;
    expect(cloud.start("i-server1")).toEqual({ before: "running", after: "running" });
    cloud.guestOff("i-server1");
    await clock.advance(2000);
    const before = kinds(world).length;
    expect(cloud.stop("i-server1")).toEqual({ before: "stopped", after: "stopped" });
    expect(kinds(world).length).toBe(before);
  });

  it("cannot be switched while the instance is on its way", async () => {
    const { cloud, clock } = makeWorld();
    cloud.stop("i-server1");
    expect(codeOf(() => cloud.start("i-server1"))).toBe("IncorrectInstanceState");
    cloud.guestOff("i-server1");
    await clock.advance(2000);
    cloud.start("i-server1");
    expect(codeOf(() => cloud.stop("i-server1"))).toBe("IncorrectInstanceState");
  });

  it("lost with the host is nobody's stop", async () => {
    const { cloud, clock, events } = makeWorld();
    cloud.retire("i-server1");
    expect(events).toEqual(["lost i-server1"]);
    await clock.advance(2000);
    expect(cloud.getInstance("i-server1").state.now.reason?.code).toBe("Server.ScheduledStop");
  });
});

describe("termination", () => {
  it("takes the volumes marked so along, and leaves the others", async () => {
    const { cloud, clock } = makeWorld();
    cloud.terminate("i-server1");
    await clock.advance(2000);
    expect(cloud.getInstance("i-server1").state.now.state).toBe("terminated");
    expect(codeOf(() => cloud.getVolume("vol-server1-root"))).toBe("InvalidVolume.NotFound");
    expect(cloud.getVolume("vol-server1-data").state).toBe("available");
    await clock.advance(3_600_001);
    expect(codeOf(() => cloud.getInstance("i-server1"))).toBe("InvalidInstanceID.NotFound");
  });

  it("comes from a guest's shutdown where the instance is set so", async () => {
    const { cloud, clock } = makeWorld();
    cloud.getInstance("i-server1").onGuestShutdown = "terminate";
    cloud.guestOff("i-server1");
    await clock.advance(2000);
    expect(cloud.getInstance("i-server1").state.now.state).toBe("terminated");
  });
});

describe("content", () => {
  it("of a volume can be written only with power", async () => {
    const { cloud, clock } = makeWorld();
    cloud.write("vol-server1-data", content("new"));
    expect(cloud.content("vol-server1-data")).toEqual(content("new"));
    cloud.guestOff("i-server1");
    await clock.advance(2000);
    expect(() => cloud.write("vol-server1-data", content("late"))).toThrow("nothing with power");
  });

  it("of a snapshot is that of the instant of the cut", async () => {
    const { cloud, clock } = makeWorld();
    const snapshot = cloud.createSnapshot("vol-server1-data", "", {});
    cloud.write("vol-server1-data", content("later"));
    await clock.advance(200_000);
    expect(cloud.getSnapshot(snapshot.id).content).toEqual(content("server1 data"));
    expect(cloud.getSnapshot(snapshot.id).state).toBe("completed");
  });

  it("is judged at the cut by who knows the guest", () => {
    const { cloud, heart } = makeWorld();
    expect(cloud.createSnapshot("vol-server1-data", "", {}).truth).toEqual({
      powerOff: false,
      isolated: false,
      clean: true,
    });
    cloud.describeCut((volume) => ({
      powerOff: true,
      isolated: volume === "vol-server2-data",
      clean: false,
    }));
    cloud.createSnapshot("vol-server2-data", "", {});
    expect(heart.effects.at(-1)?.detail).toMatchObject({
      kind: "snapshot-cut",
      volume: "vol-server2-data",
      instance: "i-server2",
      powerOff: true,
      isolated: true,
      clean: false,
    });
  });
});

describe("a snapshot", () => {
  it("completes after its time, and shows how far it is", async () => {
    const { cloud, clock } = makeWorld({ snapshotSeconds: 12 * 3600 });
    const snapshot = cloud.createSnapshot("vol-server1-data", "", {});
    expect(cloud.progress(snapshot)).toBe(0);
    await clock.advance(6 * 3_600_000);
    expect(cloud.progress(snapshot)).toBe(50);
    await clock.advance(6 * 3_600_000);
    expect([snapshot.state, cloud.progress(snapshot)]).toEqual(["completed", 100]);
  });

  it("may be cut once in 15 seconds from one volume", async () => {
    const { cloud, clock } = makeWorld();
    cloud.createSnapshot("vol-server1-data", "", {});
    await clock.advance(14_999);
    expect(codeOf(() => cloud.createSnapshot("vol-server1-data", "", {}))).toBe(
      "SnapshotCreationPerVolumeRateExceeded",
    );
    // One volume of a set that may not be cut keeps all from being cut.
    expect(codeOf(() => cloud.createSnapshots("i-server1", { tags: {} }))).toBe(
      "SnapshotCreationPerVolumeRateExceeded",
    );
    expect(cloud.listSnapshots()).toHaveLength(1);
    await clock.advance(1);
    cloud.createSnapshots("i-server1", { tags: {} });
    expect(cloud.listSnapshots()).toHaveLength(4);
  });

  it("is refused while five of its volume are not completed, those deleted meanwhile included", async () => {
    const { cloud, clock } = makeWorld({ snapshotSeconds: 3600 });
    for (let n = 0; n < 5; n += 1) {
      cloud.createSnapshot("vol-server1-data", "", {});
      await clock.advance(15_000);
    }
    cloud.deleteSnapshot(cloud.listSnapshots()[0]?.id ?? "");
    expect(cloud.listSnapshots()).toHaveLength(4);
    expect(codeOf(() => cloud.createSnapshot("vol-server1-data", "", {}))).toBe(
      "ConcurrentSnapshotLimitExceeded",
    );
    await clock.advance(3_600_000);
    expect(cloud.createSnapshot("vol-server1-data", "", {}).state).toBe("pending");
  });

  it("that fails takes its whole set along", async () => {
    const { cloud, clock } = makeWorld();
    const set = cloud.createSnapshots("i-server1", { tags: {}, excludeBoot: true });
    const other = cloud.createSnapshots("i-server2", { tags: {} });
    cloud.failSnapshot(set[0]?.id ?? "", "the key is gone");
    await clock.advance(200_000);
    expect(set.map(({ state, reason }) => [state, reason])).toEqual([
      ["error", "the key is gone"],
      ["error", "the key is gone"],
    ]);
    expect(other.map(({ state }) => state)).toEqual(["completed", "completed", "completed"]);
  });
});

describe("tags", () => {
  it("overwrite the same key, and are 50 at most, all or nothing", () => {
    const { cloud } = makeWorld();
    cloud.setTags(["vol-server1-data"], { Name: "new", more: "1" });
    expect(cloud.getVolume("vol-server1-data").tags).toEqual({ Name: "new", more: "1" });
    const many = Object.fromEntries(Array.from({ length: 49 }, (_, n) => [`k${n}`, "v"]));
    expect(codeOf(() => cloud.setTags(["vol-server2-data", "vol-server1-data"], many))).toBe(
      "TagLimitExceeded",
    );
    expect(cloud.getVolume("vol-server2-data").tags).toEqual({ Name: "server2 data" });
  });
});

describe("volumes", () => {
  it("are made from completed snapshots only, and hold their content", async () => {
    const { cloud, clock } = makeWorld();
    const snapshot = cloud.createSnapshot("vol-server1-more", "", {});
    const spec = { zone, snapshot: snapshot.id, type: "gp3", tags: {} };
    expect(codeOf(() => cloud.createVolume(spec))).toBe("IncorrectState");
    await clock.advance(120_000);
    const volume = cloud.createVolume(spec);
    await clock.advance(3000);
    expect(volume).toMatchObject({ state: "available", sizeGiB: 100, encrypted: true, key: "arn:lab:key/1" });
    expect(cloud.content(volume.id)).toEqual(content("server1 more"));
  });

  it("are swapped under a stopped instance by detach and attach", async () => {
    const { cloud, clock, heart } = makeWorld();
    const spare = cloud.addVolume({ sizeGiB: 100, type: "gp3", zone, content: content("spare") });
    expect(codeOf(() => cloud.attachVolume(spare, "i-server1", "/dev/sdf"))).toBe("InvalidParameterValue");
    expect(codeOf(() => cloud.detachVolume("vol-server1-root"))).toBe("IncorrectState");
    cloud.guestOff("i-server1");
    await clock.advance(2000);
    cloud.detachVolume("vol-server1-data", "i-server1");
    await clock.advance(2000);
    expect(codeOf(() => cloud.detachVolume("vol-server1-data", "i-server1"))).toBe("IncorrectState");
    cloud.attachVolume(spare, "i-server1", "/dev/sdf");
    expect(codeOf(() => cloud.attachVolume(spare, "i-server1", "/dev/sdf"))).toBe("VolumeInUse");
    await clock.advance(2000);
    expect(cloud.attached("i-server1").map(({ device, volume }) => [device, volume])).toEqual([
      ["/dev/xvda", "vol-server1-root"],
      ["/dev/sdf", spare],
      ["/dev/sdg", "vol-server1-more"],
    ]);
    expect(heart.effects.at(-1)?.detail).toMatchObject({
      kind: "volume-attached",
      volume: spare,
      device: "/dev/sdf",
    });
    expect(codeOf(() => cloud.deleteVolume(spare))).toBe("VolumeInUse");
    cloud.deleteVolume("vol-server1-data");
    expect(cloud.getVolume("vol-server1-data").state).toBe("deleting");
    await clock.advance(5000);
    expect(codeOf(() => cloud.getVolume("vol-server1-data"))).toBe("InvalidVolume.NotFound");
  });
});
