/** Ports for commands that only look: a write through them is a mistake of ours, and is not sent. */
import { Failure } from "../errors.ts";
import type { Ports } from "../ports/calls.ts";
import type { Context } from "./context.ts";

export function lookingPorts(context: Context): Ports {
  return context.connect({
    onRead: async () => undefined,
    beforeWrite: () => Promise.reject(new Failure("bug", "a look would have written")),
    afterWrite: async () => undefined,
    fence: () => undefined,
  });
}
