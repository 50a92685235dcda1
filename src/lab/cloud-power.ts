/**
 * Power: how instances start, stop and end. Power is one thing and the state that the API shows is another: a guest
 * that went off by itself has no power while the instance is still `stopping`, and `pending` has none yet.
 */
import {
  CloudError,
  volumesOf,
  type CloudState,
  type InstanceRecord,
  type InstanceState,
  type StateReason,
} from "./cloud-model.ts";
import { deleteNow, detachNow, letGoOf } from "./cloud-volumes.ts";

export interface StopOptions {
  /** Cuts power sooner under a guest that does not go; it is asked first all the same (reference aws-ebs 2). */
  readonly force?: boolean;
  /** Cuts power without asking the guest. */
  readonly skipOsShutdown?: boolean;
}

type Change = { readonly before: InstanceState; readonly after: InstanceState };

// Codes and texts of StateReason (reference aws-ebs 2): they are what tells who stopped an instance.
const byApi: StateReason = {
  code: "Client.UserInitiatedShutdown",
  message: "Client.UserInitiatedShutdown: User initiated shutdown",
};
const byGuest: StateReason = {
  code: "Client.InstanceInitiatedShutdown",
  message: "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
};
const byHost: StateReason = {
  code: "Server.ScheduledStop",
  message: "Server.ScheduledStop: Stopped due to scheduled retirement",
};

export function start(state: CloudState, instance: InstanceRecord): Change {
  const before = instance.state.now.state;
  if (before === "running" || before === "pending") return { before, after: before };
  checkCanStart(state, instance);
  move(state, instance, "pending", undefined);
  instance.launchedAt = state.heart.clock.now();
  state.heart.effect(`instance ${instance.id} starting`, {
    kind: "instance-starting",
    instance: instance.id,
  });
  later(state, instance, state.settings.powerOnSeconds, () => {
    move(state, instance, "running", undefined);
    instance.power = true;
    state.heart.effect(`instance ${instance.id} has power`, {
      kind: "instance-running",
      instance: instance.id,
    });
    for (const listener of state.listeners) listener.poweredOn(instance.id);
  });
  return { before, after: "pending" };
}

/** Throws what StartInstances would answer; a running or pending one may be started again. */
export function checkCanStart(state: CloudState, instance: InstanceRecord): void {
  const now = instance.state.now.state;
  if (now === "running" || now === "pending") return;
  if (now !== "stopped")
    throw new CloudError(
      "IncorrectInstanceState",
      `The instance '${instance.id}' is not in a state from which it can be started.`,
    );
  if (volumesOf(state, instance)[0]?.attachment.now?.device !== instance.rootDevice)
    throw new CloudError(
      "InvalidParameterValue",
      `Invalid value '${instance.id}' for instanceId. Instance does not have a volume attached at root (${instance.rootDevice})`,
    );
}

export function stop(state: CloudState, instance: InstanceRecord, options: StopOptions = {}): Change {
  const before = instance.state.now.state;
  if (before === "stopped") return { before, after: before };
  checkCanStop(instance);
  if (before === "running") {
    move(state, instance, "stopping", byApi);
    state.heart.effect(`instance ${instance.id} stopping, asked by the API`, {
      kind: "instance-stopping",
      instance: instance.id,
      by: "api",
    });
  }
  // A guest that is already off only settles; that timer must not be replaced by a longer one.
  if (!instance.power) return { before, after: "stopping" };
  const patience = options.skipOsShutdown
    ? 0
    : options.force
      ? forcedSeconds
      : state.settings.forcedOffSeconds;
  if (before === "running" || options.force || options.skipOsShutdown)
    later(state, instance, patience, () => {
      losePower(state, instance);
      stopped(state, instance);
    });
  if (before === "running" && !options.skipOsShutdown)
    for (const listener of state.listeners) listener.shutdownAsked(instance.id);
  return { before, after: "stopping" };
}

// How long Force waits for the guest is documented nowhere; half a minute is our guess.
const forcedSeconds = 30;

export function checkCanStop(instance: InstanceRecord): void {
  const now = instance.state.now.state;
  if (now === "running" || now === "stopping" || now === "stopped") return;
  throw new CloudError(
    "IncorrectInstanceState",
    `The instance '${instance.id}' is not in a state from which it can be stopped.`,
  );
}

/** The guest switched itself off, asked or not. */
export function guestOff(state: CloudState, instance: InstanceRecord): void {
  if (!instance.power) return;
  instance.power = false;
  letGoOf(state, instance);
  const asked = instance.state.now.state === "stopping";
  if (!asked && instance.onGuestShutdown === "terminate") {
    move(state, instance, "shutting-down", byGuest);
    state.heart.effect(`instance ${instance.id} ends, its guest shut down`, {
      kind: "instance-terminating",
      instance: instance.id,
      by: "guest",
    });
    later(state, instance, state.settings.settleSeconds, () => terminated(state, instance));
    return;
  }
  if (!asked) {
    move(state, instance, "stopping", byGuest);
    state.heart.effect(`instance ${instance.id} stopping, its guest shut down`, {
      kind: "instance-stopping",
      instance: instance.id,
      by: "guest",
    });
  }
  later(state, instance, state.settings.settleSeconds, () => stopped(state, instance));
}

export function retire(state: CloudState, instance: InstanceRecord): void {
  if (!instance.power) return;
  move(state, instance, "stopping", byHost);
  state.heart.effect(`instance ${instance.id} lost its host`, {
    kind: "instance-stopping",
    instance: instance.id,
    by: "host",
  });
  losePower(state, instance);
  later(state, instance, state.settings.settleSeconds, () => stopped(state, instance));
}

export function terminate(state: CloudState, instance: InstanceRecord): void {
  const before = instance.state.now.state;
  if (before === "terminated" || before === "shutting-down") return;
  move(state, instance, "shutting-down", byApi);
  state.heart.effect(`instance ${instance.id} ends, asked by the API`, {
    kind: "instance-terminating",
    instance: instance.id,
    by: "api",
  });
  losePower(state, instance);
  later(state, instance, state.settings.settleSeconds, () => terminated(state, instance));
}

function losePower(state: CloudState, instance: InstanceRecord): void {
  if (!instance.power) return;
  instance.power = false;
  state.heart.effect(`instance ${instance.id} lost power`, {
    kind: "instance-power-lost",
    instance: instance.id,
  });
  for (const listener of state.listeners) listener.powerLost(instance.id);
  letGoOf(state, instance);
}

function stopped(state: CloudState, instance: InstanceRecord): void {
  move(state, instance, "stopped", instance.state.now.reason);
  state.heart.effect(`instance ${instance.id} stopped`, { kind: "instance-stopped", instance: instance.id });
}

function terminated(state: CloudState, instance: InstanceRecord): void {
  move(state, instance, "terminated", instance.state.now.reason);
  state.heart.effect(`instance ${instance.id} terminated`, {
    kind: "instance-terminated",
    instance: instance.id,
  });
  for (const volume of volumesOf(state, instance)) {
    const goes = volume.attachment.now?.deleteOnTermination === true;
    detachNow(state, volume);
    if (goes) deleteNow(state, volume);
  }
}

function move(
  state: CloudState,
  instance: InstanceRecord,
  to: InstanceState,
  reason: StateReason | undefined,
): void {
  const now = state.heart.clock.now();
  instance.state.set({ state: to, reason }, now);
  instance.since = now;
}

/** One change at a time lies ahead of an instance: a new one takes the place of the old. */
function later(state: CloudState, instance: InstanceRecord, seconds: number, act: () => void): void {
  instance.timer?.cancel();
  instance.timer = state.heart.after(seconds * 1000, act);
}
