/** What the control API asks of the node that runs it. Implemented in src/node. */

import type { ServerStatus } from '../grid/grid.js';
import type { Encoding } from '../immutable/immutable.js';
import type { FileKind, InodeNumber, SyncState, VfsStatus } from '../vfs/vfs.js';

export interface NodeControl {
  status(): NodeStatus;
  introducers(): readonly IntroducerState[];
  /** Mounts a directory. Kinds `busy` (mounted already), `not-empty`, `not-a-directory`, `unsupported` (no FUSE here). */
  mount(request: MountRequest): Promise<MountStatus>;
  /** The root of the mount that holds this absolute path, and the names below it. Kind `not-found`. */
  locate(path: string): { readonly root: InodeNumber; readonly path: readonly string[] };
  /** Asks the node to end; what is pending stays in the journal. Returns at once. */
  stop(): void;
  /** Takes the mount away. Kinds `not-found` (this node has no such mount), `busy` (files are open there). */
  unmount(mountpoint: string): Promise<void>;
}

export interface MountRequest {
  /** A directory's capability. */
  readonly cap: string;
  /** Below it, empty for itself. */
  readonly path: readonly string[];
  /** Absolute. */
  readonly mountpoint: string;
  /** As after `-o`, one each: `ro`, `fsync=journal`, ... */
  readonly options: readonly string[];
}

export interface MountStatus {
  readonly mountpoint: string;
  readonly options: readonly string[];
}

export interface NodeStatus {
  readonly nickname: string;
  readonly directory: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly encoding: Encoding;
  readonly pending: VfsStatus;
  /** Set while something has waited for longer than it should: what, and why. */
  readonly alarm: string | undefined;
  /** What somebody should look at once: journals that were damaged and set aside. */
  readonly notices: readonly string[];
  readonly mounts: readonly MountStatus[];
  readonly servers: readonly ServerStatus[];
  readonly introducers: readonly IntroducerState[];
  readonly sftp: SftpStatus | undefined;
}

/** What `GET /private/state` says of one path: the same as the extended attribute `user.tahoe.state`. */
export interface PathState {
  readonly path: string;
  readonly kind: FileKind;
  readonly sizeBytes: number;
  readonly state: SyncState['state'];
  readonly reason?: string;
}

/** Whoever tells this node of storage servers. */
export interface IntroducerState {
  readonly petname: string;
  readonly state: 'connecting' | 'connected' | 'failed';
  /** Why it is not connected, or was not before. */
  readonly reason: string | undefined;
  /** Wall time of the last change of `state`. */
  readonly sinceMs: number;
  /** `HOST:PORT` of the connection. */
  readonly address: string | undefined;
  /** Servers that it has announced. */
  readonly announcements: number;
}

export interface SftpStatus {
  /** `HOST:PORT` */
  readonly address: string;
  /** `SHA256:...`, as ssh-keygen prints it. */
  readonly hostKeyFingerprint: string;
  /** A command line that mounts this node with sshfs; the mount point is to be put at its end. */
  readonly sshfs: string;
  /** The same for `sftp`. */
  readonly sftp: string;
}
