/**
 * What the product's event log says of copies of a mirror (reference clusterpro 3.2). Texts, modules and numbers are those of
 * the vendor's list of messages. Invented: the order of start and mode, and that the mirror's own daemon speaks on the node
 * that the copy comes from, while whoever asked for the copy speaks on his.
 */
import type { Member } from "./cluster-settings.ts";

/** "initial" is the full copy after an initialisation. */
export type CopyKind = "difference" | "full" | "initial";

export interface CopySubject {
  readonly mirror: string;
  readonly device: string;
  readonly kind: CopyKind;
}

function tell(member: Member, event: number, text: string): void {
  // A node that is gone says nothing.
  if (member.node.alive) member.log("mdadmn", event, text);
}

export function tellStart(member: Member, { mirror, device, kind }: CopySubject, bytes: number): void {
  if (kind === "initial") {
    tell(member, 16, `Initial mirror recovery of ${mirror} has started.`);
    return;
  }
  tell(member, 17, `Mirror recovery of ${mirror} has started.(${bytes} bytes)`);
  tell(member, 7, `Mirror recovery mode is ${kind === "full" ? "NORMAL" : "FAST"}.(Device:${device})`);
}

export function tellEnd(member: Member, { mirror, kind }: CopySubject): void {
  if (kind === "initial") tell(member, 18, `Initial mirror recovery of ${mirror} was successful.`);
  // Two blanks, as in the list.
  else tell(member, 6, `Mirror recovery  of ${mirror} was completed successfully.`);
}

export function tellFailure(member: Member, { device, kind }: CopySubject, why: string): void {
  if (kind === "initial")
    tell(member, 19, `Failed to perform initial mirror recovery. ${why}(Device:${device})`);
  else tell(member, 5, `Failed to recover the mirror. ${why}(Device:${device})`);
}

export function tellCanceled(member: Member, { mirror }: CopySubject): void {
  tell(member, 44, `Mirror recovery of ${mirror} was canceled.`);
}

export function tellLeftOut(member: Member, device: string): void {
  tell(
    member,
    20,
    `Initial mirror recovery was not executed following the configuration. (Device:${device})`,
  );
}
