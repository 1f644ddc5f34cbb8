import { createRequire } from 'node:module';
import { TahoeError } from '../src/errors/tahoe-error.js';
import { codeOf } from './device-write.js';

/** As far as it is used here; the library has no types of its own. */
export interface FuseNative {
  mount(done: (error: Error | null | undefined) => void): void;
  close(done: (error: Error | null | undefined) => void): void;
  /** Mount options as one `-o` argument: the constructor knows only some of them. */
  _fuseOptions(): string;
}

/** Each takes its arguments and a callback (negative errno or a result, results...). */
export type FuseNativeOperations = Readonly<Record<string, (...args: never[]) => void>>;

type FuseNativeConstructor = new (
  mountpoint: string,
  operations: FuseNativeOperations,
  options: { readonly timeout: false },
) => FuseNative;

/** Kind `unsupported` when the library, or the libfuse 2 that it needs, is not installed. */
export function loadFuseNative(): FuseNativeConstructor {
  try {
    return createRequire(import.meta.url)('fuse-native') as FuseNativeConstructor;
  } catch (error) {
    const missing = codeOf(error) === 'ERR_DLOPEN_FAILED' ? 'libfuse.so.2 (Debian: libfuse2)' : 'fuse-native';
    throw new TahoeError(`the second mount driver needs ${missing}, which is not installed`, {
      kind: 'unsupported',
      op: 'mount.fuseNative',
      cause: error,
    });
  }
}
