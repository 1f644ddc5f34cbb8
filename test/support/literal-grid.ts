/** A grid without servers: every file is a literal, whatever its size. For tests of frontends. */
import type { LitCap } from '../../src/caps/cap.js';
import { TahoeError } from '../../src/errors/tahoe-error.js';
import type { Grid, MutableFile } from '../../src/grid/grid.js';

export class LiteralGrid implements Grid {
  /** What was uploaded, in order. */
  readonly uploads: Uint8Array[] = [];

  async upload(...[source]: Parameters<Grid['upload']>) {
    const data = new Uint8Array(source.sizeBytes);
    await source.read(0, data);
    this.uploads.push(data);
    const cap: LitCap = { type: 'lit', data };
    return { cap, placement: new Map() };
  }

  open(...[cap]: Parameters<Grid['open']>) {
    const data = cap.type === 'lit' ? cap.data : undefined;
    return {
      sizeBytes: data?.length ?? (cap.type === 'chk' ? cap.sizeBytes : 0),
      read: async (offset: number, length: number) => {
        if (data !== undefined) return data.subarray(offset, offset + length);
        // of a large file the beginning can be had
        if (cap.type === 'chk' && cap.sizeBytes > 2 ** 20 && offset < 2 ** 20) return new Uint8Array(length);
        throw new TahoeError('found 2 of 3 shares', { kind: 'unrecoverable', op: 'immutable.read' });
      },
      close: () => {},
    };
  }

  async openMutable(): Promise<MutableFile> {
    throw new TahoeError('no servers', { kind: 'unrecoverable', op: 'mutable.read' });
  }

  async updateMutable(): Promise<void> {
    throw new TahoeError('another writer was seen', { kind: 'uncoordinated-write', op: 'mutable.publish' });
  }

  async readMutable(): Promise<Uint8Array> {
    throw new TahoeError('no servers', { kind: 'unrecoverable', op: 'mutable.read' });
  }

  async createMutable(): Promise<string> {
    throw new TahoeError('shares on 2 of 7 servers', { kind: 'unhappy', op: 'mutable.create' });
  }

  async overwriteMutable(): Promise<void> {
    throw new TahoeError('another writer was seen', { kind: 'uncoordinated-write', op: 'mutable.publish' });
  }

  servers() {
    return [{ id: 'v0-a', nickname: 'one', state: 'connected' as const, lastContactMs: 1000 }];
  }
}
