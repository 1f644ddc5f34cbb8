/** What every driver of a mount gives back. */
export interface FuseMount {
  /** The real path of the mount point. */
  readonly mountpoint: string;
  /**
   * Unmounts and resolves when every open file is released. Kind `busy` while a program uses the file system; with
   * `force` it is detached and its open files fail.
   */
  unmount(options?: { readonly force?: boolean }): Promise<void>;
  /** Resolves when the mount has ended, whoever ended it; rejects when it broke. */
  readonly closed: Promise<void>;
}
