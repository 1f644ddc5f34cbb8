/** Which objects the two ends of a connection know of, by number. Introducer spec 7. */
import {
  malformed,
  type PbArguments,
  type PbValue,
  type Referenceable,
  type ReferenceTable,
  type RemoteReference,
} from './pb-value.js';

/** No peer of ours passes more than a handful; each takes memory. */
const MAX_OBJECTS = 1000;

export interface ReferenceTableOptions {
  /** The address of an object that has a name in our tub. */
  readonly furlOf: (object: Referenceable) => string | undefined;
  readonly peerTubId: string;
  readonly callRemote: (clid: number, method: string, args: PbArguments) => Promise<PbValue>;
  readonly sendRemote: (clid: number, method: string, args: PbArguments) => void;
}

interface Export {
  readonly object: Referenceable;
  readonly clid: number;
  /** How often the peer got it, less what it has given back. */
  count: number;
}

export class ConnectionReferences implements ReferenceTable {
  readonly #options: ReferenceTableOptions;
  readonly #exportsByObject = new Map<Referenceable, Export>();
  readonly #exportsByClid = new Map<number, Export>();
  readonly #imports = new Map<number, RemoteReference>();
  readonly #clids = new Map<RemoteReference, number>();
  #nextClid = 1;

  constructor(options: ReferenceTableOptions) {
    this.#options = options;
  }

  exportObject(object: Referenceable) {
    const known = this.#exportsByObject.get(object);
    const furl = this.#options.furlOf(object);
    const entry = known ?? { object, clid: this.#nextClid++, count: 0 };
    if (known === undefined) {
      this.#exportsByObject.set(object, entry);
      this.#exportsByClid.set(entry.clid, entry);
    }
    entry.count += 1;
    return { clid: entry.clid, isNew: known === undefined, ...(furl === undefined ? {} : { furl }) };
  }

  importObject(clid: number, interfaceName: string | undefined, furl: string | undefined): RemoteReference {
    if (furl !== undefined && !furl.startsWith(`pb://${this.#options.peerTubId}@`)) {
      throw malformed('an object that is said to live in another tub');
    }
    const known = this.#imports.get(clid);
    if (known !== undefined) return known;
    if (clid <= 0 || interfaceName === undefined) throw malformed('an object without a description');
    if (this.#imports.size >= MAX_OBJECTS) throw malformed(`more than ${MAX_OBJECTS} objects`);
    const { callRemote, sendRemote } = this.#options;
    const reference: RemoteReference = {
      type: 'remote',
      interfaceName,
      call: (method, args = { positional: [] }) => callRemote(clid, method, args),
      send: (method, args) => sendRemote(clid, method, args),
    };
    this.#imports.set(clid, reference);
    this.#clids.set(reference, clid);
    return reference;
  }

  ownObject(clid: number): Referenceable {
    const entry = this.#exportsByClid.get(clid);
    if (entry === undefined) throw malformed(`the number of an object that it never got (${clid})`);
    return entry.object;
  }

  clidOf(remote: RemoteReference): number {
    const clid = this.#clids.get(remote);
    if (clid === undefined) throw malformed('an object of another connection');
    return clid;
  }

  /** The peer gives back `count` of what it got of the object. */
  release(clid: number, count: number): void {
    const entry = this.#exportsByClid.get(clid);
    if (entry === undefined || count < 1 || count > entry.count) throw malformed('more of an object back than it got');
    entry.count -= count;
    if (entry.count > 0) return;
    this.#exportsByClid.delete(clid);
    this.#exportsByObject.delete(entry.object);
  }
}
