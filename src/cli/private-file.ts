/** What holds the words of nodes and of the cluster is for its owner's eyes: plans, reports. */
import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, openSync, writeFileSync } from "node:fs";

/** Writes a file that is ours alone (0600), also over one that others may read. With "new", only where there is none. */
export function writePrivate(file: string, text: string, how: "new" | "over"): void {
  const fd = openSync(
    file,
    constants.O_WRONLY | constants.O_CREAT | (how === "new" ? constants.O_EXCL : 0),
    0o600,
  );
  try {
    // A pipe or a terminal keeps its rights. A file that is not ours is refused here, before it has lost its content.
    if (fstatSync(fd).isFile()) {
      fchmodSync(fd, 0o600);
      ftruncateSync(fd);
    }
    writeFileSync(fd, text);
  } finally {
    closeSync(fd);
  }
}
