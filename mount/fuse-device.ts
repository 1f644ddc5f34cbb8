/**
 * The connection to the kernel. Three kinds: the descriptor read by the event loop, read by a blocking worker, or
 * read by another process that forwards the messages.
 */
export interface FuseDevice {
  /**
   * Starts to read. `onMessage` gets whole messages; the bytes stay as they are until it returns or, if it returns a
   * promise, until that is settled.
   */
  start(onMessage: (message: Uint8Array) => Promise<void> | undefined): void;
  /** Sends a reply: `message`, or `message` followed by `data`. A request that is gone meanwhile is no error. */
  reply(message: Uint8Array, data?: Uint8Array): void;
  /** Sends a notification without ever blocking this thread. What the kernel does not know (any more) is no error. */
  notify(message: Uint8Array): Promise<void>;
  /** Resolves when the file system was unmounted or the connection aborted; rejects when reading failed otherwise. */
  readonly closed: Promise<void>;
}
