/** Machine images, as far as they keep snapshots from being deleted (reference aws-ebs 2, DeleteSnapshot). */
import { CloudError, getSnapshot, type CloudState, type ImageRecord } from "./cloud-model.ts";

export class Images {
  readonly #state: CloudState;

  constructor(state: CloudState) {
    this.#state = state;
  }

  list(): readonly ImageRecord[] {
    return [...this.#state.images.values()];
  }

  /** Another person's hand: an image of these snapshots, by attach name. */
  register(name: string, snapshots: { readonly [device: string]: string }): ImageRecord {
    for (const snapshot of Object.values(snapshots)) getSnapshot(this.#state, snapshot);
    const { heart } = this.#state;
    const image = { id: heart.newId("ami"), name, createdAt: heart.clock.now(), snapshots, disabled: false };
    this.#state.images.set(image.id, image);
    heart.effect(`image ${image.id} registered`, { kind: "image-registered", image: image.id });
    return image;
  }

  /** Its snapshots stay, and can be deleted from then on. */
  deregister(image: string): void {
    if (!this.#state.images.delete(image))
      throw new CloudError("InvalidAMIID.NotFound", `The image id '[${image}]' does not exist`);
    this.#state.heart.effect(`image ${image} deregistered`, { kind: "image-deregistered", image });
  }

  /** Throws what DeleteSnapshot answers while an image holds it, disabled or not; the text is from memory. */
  checkUnused(snapshot: string): void {
    const holder = this.list().find((image) => Object.values(image.snapshots).includes(snapshot));
    if (holder !== undefined)
      throw new CloudError(
        "InvalidSnapshot.InUse",
        `The snapshot ${snapshot} is currently in use by ${holder.id}`,
      );
  }
}
