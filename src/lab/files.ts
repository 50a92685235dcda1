/**
 * The file system of one node: what a shell script sees. It survives reboots, but for /run and /tmp. A mounted
 * mirror shows the files of its volume's content under the mount point.
 */

export type Entry =
  | { readonly kind: "file"; readonly bytes: string; readonly mode: number; readonly mtime: number }
  | { readonly kind: "dir"; readonly mode: number; readonly mtime: number }
  | { readonly kind: "link"; readonly target: string; readonly mtime: number }
  | { readonly kind: "dev"; readonly device: "block" | "null" | "char"; readonly mtime: number };

/** A file system that hangs under a mount point; its files are those of a volume's content. */
export interface Mount {
  readonly point: string;
  readonly device: string;
  readonly type: string;
  /** As /proc/mounts has them; "rw,relatime" if not said. */
  readonly options?: string;
  read(): { readonly [path: string]: string };
  write(path: string, text: string | undefined): void;
}

export class FileError extends Error {
  readonly code:
    "ENOENT" | "EEXIST" | "ENOTDIR" | "EISDIR" | "ENOTEMPTY" | "ELOOP" | "ENOSPC" | "EBUSY" | "EROFS";
  constructor(code: FileError["code"]) {
    super(messages[code]);
    this.name = "FileError";
    this.code = code;
  }
}

const messages = {
  ENOENT: "No such file or directory",
  EEXIST: "File exists",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  ENOTEMPTY: "Directory not empty",
  ELOOP: "Too many levels of symbolic links",
  ENOSPC: "No space left on device",
  EBUSY: "Device or resource busy",
  EROFS: "Read-only file system",
} as const;

export type FileChange =
  "file-written" | "file-removed" | "folder-made" | "folder-removed" | "link-made" | "mode-set";

/** Counts its changes, so that what was made of a file need not be made again while nothing changed. */
class Entries extends Map<string, Entry> {
  changes = 0;

  override set(path: string, entry: Entry): this {
    this.changes += 1;
    return super.set(path, entry);
  }

  override delete(path: string): boolean {
    this.changes += 1;
    return super.delete(path);
  }
}

export class Files {
  readonly #entries = new Entries();
  readonly #computed = new Map<string, () => string>();
  readonly #now: () => number;
  readonly #changed: (change: FileChange, path: string) => void;
  readonly mounts: Mount[] = [];
  /** A full disk: writes of anything but nothing fail with ENOSPC (a fault of the lab). */
  full = false;

  constructor(now: () => number, changed: (change: FileChange, path: string) => void) {
    this.#now = now;
    this.#changed = changed;
    for (const path of [
      "/",
      "/run",
      "/tmp",
      "/dev",
      "/proc",
      "/etc",
      "/var/lib",
      "/var/log",
      "/root",
      "/mnt",
    ])
      this.plant(path, undefined);
    for (const device of ["null", "zero", "tty"])
      this.#entries.set(`/dev/${device}`, { kind: "dev", device: "null", mtime: 0 });
  }

  /** Grows with every change but those below a mount point. */
  get changes(): number {
    return this.#entries.changes;
  }

  /** Puts a file (or a folder, without bytes) with the folders above it, without anybody being told: set-up only. */
  plant(path: string, bytes: string | undefined, mode?: number): void {
    const mtime = this.#now();
    for (const folder of foldersAbove(path))
      if (!this.#entries.has(folder)) this.#entries.set(folder, { kind: "dir", mode: 0o755, mtime });
    this.#entries.set(
      path,
      bytes === undefined
        ? { kind: "dir", mode: mode ?? 0o755, mtime }
        : { kind: "file", bytes, mode: mode ?? 0o644, mtime },
    );
  }

  /** A file whose text is made when it is read, as under /proc. */
  plantComputed(path: string, text: () => string): void {
    this.plant(path, "");
    this.#computed.set(path, text);
  }

  plantLink(path: string, target: string): void {
    this.plant(path, "");
    this.#entries.set(path, { kind: "link", target, mtime: this.#now() });
  }

  plantDevice(path: string): void {
    this.plant(path, "");
    this.#entries.set(path, { kind: "dev", device: "block", mtime: this.#now() });
  }

  /** Takes away everything below a folder, unseen: device nodes at a boot. */
  uproot(folder: string, keep: (path: string) => boolean = () => false): void {
    for (const path of [...this.#entries.keys()])
      if (path.startsWith(`${folder}/`) && !keep(path)) this.#entries.delete(path);
  }

  /** What a boot does not keep. */
  forgetVolatile(): void {
    this.uproot("/run");
    this.uproot("/tmp");
    this.mounts.length = 0;
  }

  /** The path behind all links. The last part may be missing; a missing folder above it is ENOENT. */
  resolve(path: string, followLast = true, depth = 0): string {
    if (depth > 20) throw new FileError("ELOOP");
    const parts = normalise(path).split("/").filter(Boolean);
    let here = "/";
    for (const [index, part] of parts.entries()) {
      const next = here === "/" ? `/${part}` : `${here}/${part}`;
      const entry = this.#at(next);
      const last = index === parts.length - 1;
      if (entry?.kind === "link" && (!last || followLast)) {
        const target = entry.target.startsWith("/") ? entry.target : `${here}/${entry.target}`;
        return this.resolve([target, ...parts.slice(index + 1)].join("/"), followLast, depth + 1);
      }
      if (!last) {
        if (!entry) throw new FileError("ENOENT");
        if (entry.kind !== "dir") throw new FileError("ENOTDIR");
      }
      here = next;
    }
    return here;
  }

  find(path: string, follow = true): Entry | undefined {
    try {
      return this.#at(this.resolve(path, follow));
    } catch (error) {
      if (error instanceof FileError) return undefined;
      throw error;
    }
  }

  read(path: string): string {
    const real = this.resolve(path);
    const entry = this.#at(real);
    if (!entry) throw new FileError("ENOENT");
    if (entry.kind === "dir") throw new FileError("EISDIR");
    if (entry.kind !== "file") return "";
    return this.#computed.get(real)?.() ?? entry.bytes;
  }

  /** `quiet`: a later write through a file that is already open; the change was told at its opening. */
  write(
    path: string,
    bytes: string,
    options: { append?: boolean; mode?: number; quiet?: boolean } = {},
  ): void {
    const real = this.resolve(path);
    const old = this.#at(real);
    if (old?.kind === "dir") throw new FileError("EISDIR");
    if (old?.kind === "dev") return;
    this.#needFolder(real);
    if (this.full && bytes !== "") throw new FileError("ENOSPC");
    const text = options.append && old?.kind === "file" ? old.bytes + bytes : bytes;
    const mount = this.#mountOf(real);
    if (mount) mount.write(inMount(mount, real), text);
    else {
      const mode = old?.kind === "file" ? old.mode : (options.mode ?? 0o644);
      this.#entries.set(real, { kind: "file", bytes: text, mode, mtime: this.#now() });
    }
    if (!options.quiet) this.#changed("file-written", real);
  }

  mkdir(path: string, mode = 0o755): void {
    const real = this.resolve(path);
    if (this.#at(real)) throw new FileError("EEXIST");
    this.#needFolder(real);
    if (this.full) throw new FileError("ENOSPC");
    const mount = this.#mountOf(real);
    if (mount) mount.write(`${inMount(mount, real)}/`, "");
    else this.#entries.set(real, { kind: "dir", mode, mtime: this.#now() });
    this.#changed("folder-made", real);
  }

  rmdir(path: string): void {
    const real = this.resolve(path, false);
    const entry = this.#at(real);
    if (!entry) throw new FileError("ENOENT");
    if (entry.kind !== "dir") throw new FileError("ENOTDIR");
    if (this.list(real).length > 0) throw new FileError("ENOTEMPTY");
    if (this.mounts.some(({ point }) => point === real)) throw new FileError("EBUSY");
    const mount = this.#mountOf(real);
    if (mount) mount.write(`${inMount(mount, real)}/`, undefined);
    else this.#entries.delete(real);
    this.#changed("folder-removed", real);
  }

  unlink(path: string): void {
    const real = this.resolve(path, false);
    const entry = this.#at(real);
    if (!entry) throw new FileError("ENOENT");
    if (entry.kind === "dir") throw new FileError("EISDIR");
    const mount = this.#mountOf(real);
    if (mount) mount.write(inMount(mount, real), undefined);
    else this.#entries.delete(real);
    this.#changed("file-removed", real);
  }

  /** A folder with all that is below it. */
  removeTree(path: string): void {
    const real = this.resolve(path, false);
    if (this.#at(real)?.kind !== "dir") {
      this.unlink(path);
      return;
    }
    for (const name of this.list(real)) this.removeTree(`${real}/${name}`);
    this.rmdir(real);
  }

  rename(from: string, to: string): void {
    const source = this.resolve(from, false);
    let target = this.resolve(to, false);
    const entry = this.#at(source);
    if (!entry) throw new FileError("ENOENT");
    if (this.#at(target)?.kind === "dir" && entry.kind !== "dir")
      target = `${target}/${source.slice(source.lastIndexOf("/") + 1)}`;
    this.#needFolder(target);
    if (entry.kind === "file") {
      const bytes = this.read(source);
      const before = this.#mountOf(source);
      if (before) before.write(inMount(before, source), undefined);
      else this.#entries.delete(source);
      const after = this.#mountOf(target);
      if (after) after.write(inMount(after, target), bytes);
      else this.#entries.set(target, { ...entry, bytes });
    } else {
      if (this.#at(target)?.kind === "dir" && this.list(target).length > 0) throw new FileError("ENOTEMPTY");
      for (const [path, found] of [...this.#entries])
        if (path === source || path.startsWith(`${source}/`)) {
          this.#entries.delete(path);
          this.#entries.set(target + path.slice(source.length), found);
        }
    }
    this.#changed("file-removed", source);
    this.#changed("file-written", target);
  }

  symlink(target: string, path: string): void {
    const real = this.resolve(path, false);
    if (this.#at(real)) throw new FileError("EEXIST");
    this.#needFolder(real);
    this.#entries.set(real, { kind: "link", target, mtime: this.#now() });
    this.#changed("link-made", real);
  }

  chmod(path: string, mode: number): void {
    const real = this.resolve(path);
    const entry = this.#at(real);
    if (!entry) throw new FileError("ENOENT");
    if (entry.kind !== "file" && entry.kind !== "dir") return;
    if (entry.mode === mode || this.#mountOf(real)) return;
    this.#entries.set(real, { ...entry, mode });
    this.#changed("mode-set", real);
  }

  touch(path: string): void {
    const real = this.resolve(path);
    const entry = this.#at(real);
    if (entry && !this.#mountOf(real)) this.#entries.set(real, { ...entry, mtime: this.#now() });
    else if (!entry) this.write(path, "");
  }

  /** Names in a folder, in order. */
  list(path: string): readonly string[] {
    const real = this.resolve(path);
    const entry = this.#at(real);
    if (!entry) throw new FileError("ENOENT");
    if (entry.kind !== "dir") throw new FileError("ENOTDIR");
    const prefix = real === "/" ? "/" : `${real}/`;
    const names = new Set<string>();
    const mount = this.mounts.find(({ point }) => point === real) ?? this.#mountOf(real);
    const paths = mount
      ? Object.keys(mount.read()).map((file) => `${mount.point}/${file}`)
      : this.#entries.keys();
    for (const each of paths) {
      const name = each.startsWith(prefix) ? each.slice(prefix.length).split("/")[0] : undefined;
      if (name) names.add(name);
    }
    return [...names].sort();
  }

  /** All files below a folder with their bytes, for comparing worlds. */
  tree(folder: string): { readonly [path: string]: string } {
    const found: { [path: string]: string } = {};
    for (const [path, entry] of [...this.#entries].sort(([a], [b]) => (a < b ? -1 : 1)))
      if (path.startsWith(`${folder}/`))
        found[path] =
          entry.kind === "file"
            ? entry.bytes
            : entry.kind === "link"
              ? `-> ${entry.target}`
              : `(${entry.kind})`;
    return found;
  }

  #at(real: string): Entry | undefined {
    const mount = this.#mountOf(real);
    if (!mount) return this.#entries.get(real);
    const inside = inMount(mount, real);
    const data = mount.read();
    const bytes = data[inside];
    if (bytes !== undefined) return { kind: "file", bytes, mode: 0o644, mtime: this.#now() };
    const isFolder = Object.keys(data).some((path) => path.startsWith(`${inside}/`));
    return isFolder ? { kind: "dir", mode: 0o755, mtime: this.#now() } : undefined;
  }

  #mountOf(real: string): Mount | undefined {
    return this.mounts.find(({ point }) => real.startsWith(`${point}/`));
  }

  #needFolder(path: string): void {
    const folder = this.#at(path.slice(0, Math.max(1, path.lastIndexOf("/"))));
    if (!folder) throw new FileError("ENOENT");
    if (folder.kind !== "dir") throw new FileError("ENOTDIR");
  }
}

const inMount = (mount: Mount, path: string): string => path.slice(mount.point.length + 1);

function foldersAbove(path: string): string[] {
  const parts = path.split("/").filter(Boolean);
  return ["/", ...parts.slice(0, -1).map((_, index) => `/${parts.slice(0, index + 1).join("/")}`)];
}

/** Without "." and "..", doubled slashes and a slash at the end. */
export function normalise(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}
