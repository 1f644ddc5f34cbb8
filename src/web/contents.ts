/** Contents of a file, however it was named, as something that can be read in ranges and streamed. */
import { parseKnownCap } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Grid, MutableFile } from '../grid/grid.js';
import type { Attributes, Vfs } from '../vfs/vfs.js';

export interface Contents {
  readonly sizeBytes: number;
  read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Of a capability that no directory led to. Kinds `bad-cap`, `is-a-directory`, `unrecoverable`. */
export async function contentsOfCap(grid: Grid, capText: string): Promise<Contents> {
  const cap = parseKnownCap(capText);
  switch (cap.type) {
    case 'lit':
    case 'chk': {
      const file = grid.open(cap);
      return {
        sizeBytes: file.sizeBytes,
        read: (offset, length, signal) => file.read(offset, length, { signal }),
        close: async () => file.close(),
      };
    }
    case 'sdmf-write':
    case 'sdmf-read':
    case 'mdmf-write':
    case 'mdmf-read':
      return contentsOfMutable(await grid.openMutable(capText));
    case 'directory':
      throw new TahoeError('this is a directory', { kind: 'is-a-directory', op: 'web.read' });
    case 'chk-verify':
    case 'sdmf-verify':
    case 'mdmf-verify':
      throw new TahoeError('this capability gives the authority to check the file, not to read it', {
        kind: 'bad-cap',
        op: 'web.read',
      });
  }
}

/** Up to this size a version is fetched whole, so that nobody who writes meanwhile can take it away. */
const WHOLE_BYTES = 16 * 1024 * 1024;

async function contentsOfMutable(file: MutableFile): Promise<Contents> {
  const { sizeBytes } = file;
  if (sizeBytes <= WHOLE_BYTES) return contentsOfBytes(await file.read(0, sizeBytes));
  return { sizeBytes, read: (offset, length) => file.read(offset, length), close: async () => {} };
}

/** Of an entry of a directory, with what this node has not uploaded yet. */
export async function contentsOfInode(vfs: Vfs, attributes: Attributes): Promise<Contents> {
  if (attributes.kind === 'symlink') {
    return contentsOfBytes(new TextEncoder().encode(await vfs.readSymlink(attributes.inode)));
  }
  if (attributes.kind !== 'file') return contentsOfBytes(new Uint8Array(0));
  const handle = await vfs.open(attributes.inode, { read: true, write: false });
  return {
    sizeBytes: attributes.sizeBytes,
    read: (offset, length, signal) => handle.read(offset, length, { signal }),
    close: () => handle.release(),
  };
}

function contentsOfBytes(bytes: Uint8Array): Contents {
  return {
    sizeBytes: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    close: async () => {},
  };
}

const CHUNK_BYTES = 1024 * 1024;
/** Chunks asked for before the first has been sent: hides the grid's latency, bounds the memory of one download. */
const CHUNKS_AHEAD = 3;

/** The bytes [offset, offset + length) in order. Closes the contents at the end, also when it is given up half-way. */
export async function* streamContents(
  contents: Contents,
  offset: number,
  length: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const ahead: Promise<Uint8Array>[] = [];
  const end = offset + length;
  let next = offset;
  try {
    while (next < end || ahead.length > 0) {
      while (next < end && ahead.length < CHUNKS_AHEAD) {
        const size = Math.min(CHUNK_BYTES, end - next);
        ahead.push(readWhole(contents, next, size, signal));
        next += size;
      }
      yield await (ahead.shift() as Promise<Uint8Array>);
    }
  } finally {
    await Promise.allSettled(ahead);
    await contents.close();
  }
}

async function readWhole(contents: Contents, offset: number, size: number, signal: AbortSignal): Promise<Uint8Array> {
  const bytes = await contents.read(offset, size, signal);
  if (bytes.length === size) return bytes;
  throw new TahoeError('the file became shorter while it was read', { kind: 'stale', op: 'web.read' });
}
