/** Tags of any resource: at most 50, same keys overwritten, `aws:` kept for the cloud itself (reference aws-ebs 2). */
import {
  CloudError,
  getInstance,
  getSnapshot,
  getVolume,
  type CloudState,
  type Tags,
} from "./cloud-model.ts";

export type ResourceType = "instance" | "volume" | "snapshot";

export function resourceType(id: string): ResourceType | undefined {
  if (id.startsWith("i-")) return "instance";
  if (id.startsWith("vol-")) return "volume";
  return id.startsWith("snap-") ? "snapshot" : undefined;
}

/** Any resource that can have tags. */
export function getTagged(state: CloudState, id: string): { tags: Tags } {
  switch (resourceType(id)) {
    case "instance":
      return getInstance(state, id);
    case "volume":
      return getVolume(state, id);
    case "snapshot":
      return getSnapshot(state, id);
    case undefined:
      throw new CloudError("InvalidID", `The ID '${id}' is not valid`);
  }
}

/** All or nothing: every resource is checked before the first is changed. */
export function setTags(state: CloudState, resources: readonly string[], tags: Tags): void {
  const found = resources.map((id) => ({ id, resource: getTagged(state, id) }));
  for (const { resource } of found) checkTags(resource.tags, tags);
  for (const { id, resource } of found) {
    resource.tags = { ...resource.tags, ...tags };
    state.heart.effect(`tags ${Object.keys(tags).join(", ")} set on ${id}`, {
      kind: "tags-set",
      resource: id,
      tags: JSON.stringify(tags),
    });
  }
}

/** Without `tags` all of the caller's own tags go; with a value given, only a tag that has that value. */
export function deleteTags(
  state: CloudState,
  resources: readonly string[],
  tags: { readonly [key: string]: string | undefined } | undefined,
): void {
  const found = resources.map((id) => ({ id, resource: getTagged(state, id) }));
  for (const { id, resource } of found) {
    const gone = Object.entries(resource.tags).filter(([key, value]) =>
      tags === undefined
        ? !key.startsWith("aws:")
        : Object.hasOwn(tags, key) && (tags[key] === undefined || tags[key] === value),
    );
    if (gone.length === 0) continue;
    const keys = gone.map(([key]) => key);
    resource.tags = Object.fromEntries(Object.entries(resource.tags).filter(([key]) => !keys.includes(key)));
    state.heart.effect(`tags ${keys.join(", ")} deleted from ${id}`, {
      kind: "tags-deleted",
      resource: id,
      tags: JSON.stringify(Object.fromEntries(gone)),
    });
  }
}

/** Throws if `tags` may not be put beside `old`. */
export function checkTags(old: Tags, tags: Tags): void {
  for (const [key, value] of Object.entries(tags)) {
    if (key.toLowerCase().startsWith("aws:"))
      throw new CloudError(
        "InvalidParameterValue",
        "Tag keys starting with 'aws:' are reserved for internal use",
      );
    if (key.length === 0 || key.length > 127 || value.length > 256)
      throw new CloudError("InvalidParameterValue", `Tag '${key}' is longer than allowed, or has no key`);
  }
  const own = Object.keys({ ...old, ...tags }).filter((key) => !key.startsWith("aws:"));
  if (own.length > 50)
    throw new CloudError(
      "TagLimitExceeded",
      "More than 50 tags specified, or more than 50 tags on a resource",
    );
}
