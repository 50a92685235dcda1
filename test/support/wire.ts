/** A lab on the wire in the test's own process, in a folder that goes with it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pacedClock } from "../../src/drivers/clock/paced.ts";
import { openSsh } from "../../src/drivers/ssh/driver.ts";
import { labClient, type LabClient } from "../../src/lab/client.ts";
import { serveLab, type ServedLab, type ServeOptions } from "../../src/lab/serve.ts";
import type { Clock } from "../../src/ports/clock.ts";
import { text, type Shell } from "../../src/ports/shell.ts";

export interface WiredLab extends ServedLab {
  readonly folder: string;
  readonly clock: Clock;
  readonly client: LabClient;
  readonly shell: Shell;
  /** Runs a command line over SSH. */
  ssh(node: string, line: string): Promise<{ code: number | undefined; out: string; err: string }>;
  /** Ends everything and removes the folder. */
  end(): Promise<void>;
}

export async function wiredLab(
  more: Partial<ServeOptions> & { readonly rate?: number } = {},
): Promise<WiredLab> {
  const { rate = 600, ...options } = more;
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "runbook-wire-"));
  const now = Date.now();
  const pace = { pace: rate, originReal: now, originWorld: now };
  const clock = pacedClock(pace);
  const served = await serveLab({ folder, clock, pace, ...options });
  const shell = openSsh({
    nodes: Object.assign({}, ...Object.values(served.info.clusters).map(({ nodes }) => nodes)) as never,
    clock: pacedClock({ ...pace, pace: 1 }),
    useSshConfig: false,
    keepaliveMs: 300,
    connectTimeoutMs: 1500,
  });
  return {
    ...served,
    folder,
    clock,
    client: labClient(served.info),
    shell,
    ssh: async (node, line) => {
      const out = await shell.run(node, ["sh", "-c", line], { timeoutMs: 15_000 });
      return { code: out.code, out: text(out.stdout), err: text(out.stderr) };
    },
    end: async () => {
      await shell.close();
      await served.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
