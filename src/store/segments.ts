/** The journal of a run as it lies on the disk: its segments, byte for byte, for whoever wants to verify them elsewhere. */
import { join } from "node:path";

import { namesIn, readOwn } from "./private-files.ts";
import { segmentName, segmentNumber } from "./rows.ts";

export interface SegmentFile {
  readonly number: number;
  readonly bytes: Buffer;
}

/** `folder` is the store's; the run is one that the store knows. Each segment is read once, while its writer may go on. */
export function readSegments(folder: string, run: string): readonly SegmentFile[] {
  const place = join(folder, "runs", run);
  const uid = process.getuid?.();
  return namesIn(place)
    .flatMap((name) => segmentNumber(name) ?? [])
    .sort((a, b) => a - b)
    .flatMap((number) => {
      const bytes = readOwn(join(place, segmentName(number)), uid);
      return bytes === undefined ? [] : [{ number, bytes }];
    });
}
