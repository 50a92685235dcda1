/** The lab's own process: `runbook lab serve`, started by lab-home.ts and hidden from the help. */
import { pacedClock } from "../drivers/clock/paced.ts";
import { systemClock } from "../drivers/clock/system.ts";
import { Failure } from "../errors.ts";
import { serveLab } from "../lab/serve.ts";
import { thisMachine } from "../store/machine.ts";
import { defaultPace, findLab, labFolder, labIsUp, type LabStartOptions } from "./lab-home.ts";

export async function serve(home: string, options: LabStartOptions): Promise<void> {
  const other = await findLab(home);
  if (other) throw new Failure("conflict", `a lab is up in ${labFolder(home)} (pid ${other.pid})`);
  const {
    pace = defaultPace,
    mirrors,
    xen,
    lvm,
    snapshotSeconds,
    listLagSeconds,
    copySeconds,
    seed,
  } = options;
  const now = systemClock().now();
  const paced = { pace, originReal: now, originWorld: now };
  // A session that ends takes its processes along by this signal; the lab is meant to stay.
  process.on("SIGHUP", () => undefined);
  const served = await serveLab({
    folder: labFolder(home),
    clock: pacedClock(paced),
    pace: paced,
    startTime: thisMachine().startOf(process.pid) ?? "",
    loseReplies: options.loseReplies ?? 0,
    options: {
      cloud: {
        ...(snapshotSeconds !== undefined && { snapshotSeconds }),
        ...(listLagSeconds !== undefined && { listLagSeconds }),
      },
      ...((mirrors === 1 || mirrors === 3) && { mirrors }),
      ...(xen === true && { nvme: false }),
      ...(lvm === true && { devices: "lvm" as const }),
      ...(copySeconds !== undefined && { copySeconds }),
      ...(seed !== undefined && { seed }),
    },
    onStop: () => end(),
  });
  // A mistake of the lab in one place must not take the whole world away; `runbook lab status` shows it.
  process.on("uncaughtException", (error) => served.report(error));
  process.on("unhandledRejection", (error) => served.report(error));
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, end);
  labIsUp(home);

  function end(): void {
    void served.close().finally(() => process.exit(0));
  }
}
