/** Volumes that a restore took out, back into their empty places; what is known of them stands in their tags. */
import {
  Failure,
  found,
  isOutside,
  minutes,
  notYet,
  step,
  type Displaced,
  type Step,
  type World,
} from "runbook";

import { nodeOf } from "./may-come-in.ts";

/** A node that was booted without its volumes goes off again before they come back: it is outside, and serves nothing. */
export const bareOff = step({
  title: "Power off what is up without its volumes",
  done: async (world) => {
    for (const place of world.outcomeOf(found).displaced)
      if ((await nodeOf(world, place.node)).power !== "stopped" && !(await isBack(world, place)))
        return undefined;
    return { off: true };
  },
  must: async (world) => {
    for (const { node } of world.outcomeOf(found).displaced) {
      const seen = await nodeOf(world, node);
      if (seen.power === "stopping" || seen.power === "pending") return notYet;
      if (seen.power !== "stopped" && !isOutside(seen))
        throw new Failure(
          "precondition",
          `${node} is no longer outside of the cluster: it is not powered off`,
        );
    }
    return undefined;
  },
  do: async (world) => {
    const { displaced, outside } = world.outcomeOf(found);
    for (const { node } of displaced.filter((place) => outside.includes(place.node)))
      await world.unless(
        async () => !isOutside(await nodeOf(world, node)),
        () => world.cloud.stopInstance({ instance: world.instanceOf(node) }),
      );
  },
  within: minutes(20),
});

export const volumesBack = putBack("Put the volumes that were taken out back into their places", () => true);
/** Where no node answered, they come before everything else. */
export const volumesBackFirst = putBack(
  "Where no node answers: put the volumes that were taken out back into their places",
  (world) => world.outcomeOf(found).setUp === null,
);

function putBack(title: string, isTurn: (world: World) => boolean): Step {
  const wanted = (world: World): readonly Displaced[] =>
    isTurn(world) ? world.outcomeOf(found).displaced : [];
  return step({
    title,
    done: async (world) => {
      for (const place of wanted(world)) if (!(await isBack(world, place))) return undefined;
      return { volumes: wanted(world).map(({ volume }) => volume) };
    },
    must: async (world) => {
      for (const { node } of wanted(world)) {
        const { power } = await nodeOf(world, node);
        if (power === "stopping") return notYet;
        if (power !== "stopped")
          throw new Failure(
            "precondition",
            `${node} is ${power}: its volumes change places only while it is off`,
          );
      }
      return undefined;
    },
    do: async (world) => {
      for (const { node, volume, device, deletes, tags } of wanted(world)) {
        const instance = world.instanceOf(node);
        await world.unless(
          async () => (await attachmentOf(world, volume)) !== undefined,
          () => world.cloud.attachVolume({ volume, instance, device }),
        );
        if (deletes)
          await world.unless(
            async () => (await attachmentOf(world, volume))?.deleteOnTermination === true,
            () => world.cloud.setDeleteOnTermination({ instance, device, on: true }),
          );
        await world.unless(
          async () => isBack(world, { node, volume, device, deletes, tags }),
          () => world.cloud.removeTags({ resources: [volume], keys: tags }),
        );
      }
    },
    within: minutes(30),
  });
}

async function isBack(world: World, { node, volume, device, deletes, tags }: Displaced): Promise<boolean> {
  const [now] = await world.cloud.getVolumes([volume]);
  const place = now?.attachments[0];
  return (
    place?.instance === world.instanceOf(node) &&
    place.device === device &&
    place.state === "attached" &&
    (!deletes || place.deleteOnTermination) &&
    tags.every((key) => now?.tags[key] === undefined)
  );
}

async function attachmentOf(world: World, volume: string) {
  return (await world.cloud.getVolumes([volume]))[0]?.attachments[0];
}
