/** What calls carry: the values of introducer spec 7, and how they stand in Banana sequences. */
import { decodeLatin1, decodeUtf8, encodeAscii, encodeUtf8 } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { BananaNode, BananaSequence } from './banana-tree.js';

/** None, bool, int, text, bytes; containers; objects that can be called. */
export type PbValue = null | boolean | number | bigint | string | Uint8Array | PbContainer | PbObject;

export type PbContainer =
  | { readonly type: 'list' | 'tuple' | 'set'; readonly items: readonly PbValue[] }
  /** In the order of the wire; no key twice. */
  | { readonly type: 'dict'; readonly entries: readonly (readonly [PbValue, PbValue])[] };

/** An object of ours or of the peer. */
export type PbObject = Referenceable | RemoteReference;

/** An object of ours that the peer may call. */
export interface Referenceable {
  readonly type: 'local';
  /** As the peer knows it; empty for none. */
  readonly interfaceName: string;
  /** Answers a call; what it throws goes to the peer as an error. */
  call(method: string, args: PbArguments, caller: PbPeer): PbValue | Promise<PbValue>;
}

/** An object of the peer. Dead as soon as its connection is. */
export interface RemoteReference {
  readonly type: 'remote';
  readonly interfaceName: string;
  /**
   * Kinds `closed` (the connection ended first), `timeout`, `not-found` (the peer answered with a KeyError), `protocol`
   * (it answered with another error or with nonsense).
   */
  call(method: string, args?: PbArguments): Promise<PbValue>;
  /** The same without an answer; nothing happens if the connection has ended. */
  send(method: string, args: PbArguments): void;
}

export interface PbArguments {
  readonly positional: readonly PbValue[];
  readonly named?: ReadonlyMap<string, PbValue>;
}

/** Who called. */
export interface PbPeer {
  /** Of the peer's certificate, 32 characters. */
  readonly tubId: string;
  /** `HOST:PORT`, for people. */
  readonly address: string;
  /** Aborted when the connection has ended. */
  readonly ended: AbortSignal;
  /** Whether it takes what it is sent: while not, nothing that can wait should be sent to it. */
  isTaking(): boolean;
  /** Calls `listener` whenever it takes again, after it did not. */
  onTaking(listener: () => void): void;
}

/** What a connection knows of objects: how they are numbered. Each throws kind `protocol` for what cannot be. */
export interface ReferenceTable {
  /** Numbers an object of ours. */
  exportObject(object: Referenceable): { readonly clid: number; readonly furl?: string; readonly isNew: boolean };
  /** The peer names an object of its own. */
  importObject(clid: number, interfaceName: string | undefined, furl: string | undefined): RemoteReference;
  /** The peer names an object of ours. */
  ownObject(clid: number): Referenceable;
  clidOf(remote: RemoteReference): number;
}

export function encodeValue(value: PbValue, table: ReferenceTable): BananaNode {
  if (value === null) return { name: 'none', items: [] };
  if (typeof value === 'boolean') return { name: 'boolean', items: [value ? 1 : 0] };
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (typeof value === 'string') return { name: 'unicode', items: [encodeUtf8(value)] };
  if (value instanceof Uint8Array) return value;
  switch (value.type) {
    case 'list':
    case 'tuple':
    case 'set':
      return { name: value.type, items: value.items.map((item) => encodeValue(item, table)) };
    case 'dict':
      return { name: 'dict', items: value.entries.flat().map((item) => encodeValue(item, table)) };
    case 'local': {
      const { clid, furl, isNew } = table.exportObject(value);
      const description = isNew ? [value.interfaceName, ...(furl === undefined ? [] : [furl])] : [];
      return { name: 'my-reference', items: [clid, ...description.map(encodeAscii)] };
    }
    case 'remote':
      return { name: 'your-reference', items: [table.clidOf(value)] };
  }
}

/** Reads the values of one message, whose sequences may refer to each other. Kind `protocol`. */
export class ValueDecoder {
  readonly #table: ReferenceTable;
  readonly #seen = new Map<number, PbValue>();

  constructor(table: ReferenceTable) {
    this.#table = table;
  }

  decode(node: BananaNode): PbValue {
    if (typeof node === 'number' || typeof node === 'bigint' || node instanceof Uint8Array) return node;
    const value = this.#decodeSequence(node);
    // Only now: a container that holds itself is refused, so that everything is a tree without end nowhere.
    if (node.number !== undefined) this.#seen.set(node.number, value);
    return value;
  }

  #decodeSequence(sequence: BananaSequence): PbValue {
    const { name, items } = sequence;
    switch (name) {
      case 'none':
        exactly(sequence, 0);
        return null;
      case 'boolean':
        exactly(sequence, 1);
        return integerAt(sequence, 0) !== 0;
      case 'unicode':
        exactly(sequence, 1);
        return decodeUtf8(bytesAt(sequence, 0));
      case 'list':
      case 'tuple':
      case 'set':
        return { type: name, items: items.map((item) => this.decode(item)) };
      case 'immutable-set':
        return { type: 'set', items: items.map((item) => this.decode(item)) };
      case 'dict':
        return this.#decodeDict(sequence);
      case 'reference':
        return this.#decodeReference(sequence);
      case 'my-reference':
        return this.#decodeMyReference(sequence);
      case 'your-reference':
        exactly(sequence, 1);
        return this.#table.ownObject(integerAt(sequence, 0));
      default:
        throw malformed(`a value of an unknown type (${JSON.stringify(name.slice(0, 40))})`);
    }
  }

  #decodeDict(sequence: BananaSequence): PbValue {
    const { items } = sequence;
    if (items.length % 2 !== 0) throw malformed('a dict with a key without a value');
    const entries: [PbValue, PbValue][] = [];
    const keys = new Set<string>();
    for (let index = 0; index < items.length; index += 2) {
      const key = this.decode(items[index]!);
      const identity = keyIdentity(key);
      if (keys.has(identity)) throw malformed('a dict with a key twice');
      keys.add(identity);
      entries.push([key, this.decode(items[index + 1]!)]);
    }
    return { type: 'dict', entries };
  }

  #decodeReference(sequence: BananaSequence): PbValue {
    exactly(sequence, 1);
    const value = this.#seen.get(integerAt(sequence, 0));
    if (value === undefined) throw malformed('a reference to a value that is not there');
    return value;
  }

  #decodeMyReference(sequence: BananaSequence): PbValue {
    const { items } = sequence;
    if (items.length < 1 || items.length > 3) throw malformed('a my-reference of another length');
    const name = items.length > 1 ? decodeLatin1(bytesAt(sequence, 1)) : undefined;
    const furl = items.length > 2 ? decodeLatin1(bytesAt(sequence, 2)) : undefined;
    return this.#table.importObject(integerAt(sequence, 0), name, furl);
  }
}

/** Keys are atoms; two of different types are different. */
function keyIdentity(key: PbValue): string {
  if (key instanceof Uint8Array) return `b${decodeLatin1(key)}`;
  if (key === null || typeof key !== 'object') return `${typeof key} ${String(key)}`;
  throw malformed('a dict with a key that is no atom');
}

function exactly({ name, items }: BananaSequence, count: number): void {
  if (items.length !== count) throw malformed(`a sequence ${name} of ${items.length} items`);
}

export function integerAt({ name, items }: BananaSequence, index: number): number {
  const item = items[index];
  if (typeof item !== 'number') throw malformed(`a sequence ${name} without its number`);
  return item;
}

export function bytesAt({ name, items }: BananaSequence, index: number): Uint8Array {
  const item = items[index];
  if (!(item instanceof Uint8Array)) throw malformed(`a sequence ${name} without its text`);
  return item;
}

export function malformed(what: string): TahoeError {
  return new TahoeError(`the peer sent ${what}`, { kind: 'protocol', op: 'foolscap.decode' });
}
