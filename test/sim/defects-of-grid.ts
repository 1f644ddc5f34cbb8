/** Uploads and downloads that are taken for what they are not. */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { GridUploader } from '../../src/immutable/uploader.js';
import { silentLogger } from '../../src/platform/logger.js';
import { MemoryStorageServer } from '../support/memory-storage-server.js';
import { overriding } from '../support/overriding.js';
import type { Defect } from './defects.js';
import type { SeamContext } from './seams.js';

/** The capability that an upload would have, without one. */
function capOf(bytes: Uint8Array, { config, time }: SeamContext) {
  const servers = Array.from({ length: config.sharesTotal }, (_, index) => new MemoryStorageServer(`nowhere ${index}`));
  const clientLeaseSecret = new Uint8Array(32);
  const uploader = new GridUploader({ servers: () => servers, clientLeaseSecret, clock: time, log: silentLogger });
  return uploader.upload(sourceOf(bytes), {
    encoding: { ...config, maximumSegmentSize: 1024 },
    convergenceSecret: new Uint8Array(32).fill(3),
  });
}

function sourceOf(bytes: Uint8Array) {
  return {
    sizeBytes: bytes.length,
    read: async (offset: number, target: Uint8Array) => target.set(bytes.subarray(offset, offset + target.length)),
  };
}

/** Shares, write capabilities in directories and keys in slots stay as they are. */
function withoutEncryption(): () => void {
  const inner = crypto.createCipheriv;
  const replaceBy = (create: typeof inner) => {
    crypto.createCipheriv = create;
    syncBuiltinESMExports();
  };
  replaceBy(((algorithm: string, ...rest: [Uint8Array, Uint8Array]) => {
    const cipher = inner(algorithm, ...rest);
    return algorithm === 'aes-128-ctr' ? overriding(cipher, { update: (data: Uint8Array) => data } as object) : cipher;
  }) as typeof inner);
  return () => replaceBy(inner);
}

export const gridDefects: readonly Defect[] = [
  {
    name: 'name-before-contents',
    what: 'a name is published while the shares of its content are still being sent',
    seeds: 1,
    seams: {
      grid: (inner, context) =>
        overriding(inner, {
          upload: async (source, options) => {
            const bytes = new Uint8Array(source.sizeBytes);
            await source.read(0, bytes);
            const result = await capOf(bytes, context);
            context.time.setTimer(3000, () => void inner.upload(sourceOf(bytes), options).catch(() => undefined));
            return result;
          },
        }),
    },
  },
  {
    name: 'upload-below-happiness',
    what: 'an upload that reached no server is taken for one that was made',
    seeds: 1,
    seams: {
      grid: (inner, context) =>
        overriding(inner, {
          upload: async (source, options) => {
            const bytes = new Uint8Array(source.sizeBytes);
            await source.read(0, bytes);
            return inner.upload(sourceOf(bytes), options).catch(() => capOf(bytes, context));
          },
        }),
    },
  },
  {
    name: 'plaintext-in-shares',
    what: 'shares are made of what is not encrypted',
    seeds: 1,
    seams: { parts: withoutEncryption },
  },
  {
    name: 'segments-of-another-file',
    what: 'the cache of segments does not know of which file they are',
    seeds: 1,
    seams: {
      segmentCache: (inner) => {
        const number = (key: string) => /\d+$/.exec(key)?.[0] ?? key;
        return overriding(inner, {
          get: (key) => inner.get(number(key)),
          has: (key) => inner.has(number(key)),
          set: (key, value) => inner.set(number(key), value),
        });
      },
    },
  },
  {
    name: 'key-used-twice',
    what: 'two directories get the same key pair',
    seeds: 1,
    seams: {
      keys: (inner, { memory }) =>
        overriding(inner, {
          take: async () => {
            const kept = memory.get('key') as Awaited<ReturnType<typeof inner.take>> | undefined;
            memory.set('key', kept === undefined ? await inner.take() : undefined);
            return kept ?? (memory.get('key') as Awaited<ReturnType<typeof inner.take>>);
          },
        }),
    },
  },
];
