/** The kinds of capabilities, their strings, and how each gives rise to the weaker ones: immutable spec 2. */
import { chkStorageIndex, mutableStorageIndex, readKeyOf } from '../crypto/derivations.js';
import type { ChkKey, Fingerprint, ReadKey, StorageIndex, UebHash, WriteKey } from '../encoding/brands.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { capForms, directoryCapNames, fileCapNames, parseCapFields, serializeCapFields } from './cap-fields.js';

/** These two exist so that the rules below can be tried with capabilities nobody knows. */
const futureWriteablePrefix = 'x-tahoe-future-test-writeable:';
const futureMutablePrefix = 'x-tahoe-future-test-mutable:';

const namePattern = /^URI:([A-Za-z0-9-]+):/;
/** The whole plaintext is in the capability. */
export interface LitCap {
  readonly type: 'lit';
  readonly data: Uint8Array;
}

/** Fields common to both CHK forms. As written in the capability: see validateChkParameters. */
interface ChkParameters {
  readonly uebHash: UebHash;
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  readonly sizeBytes: number;
}

export interface ChkReadCap extends ChkParameters {
  readonly type: 'chk';
  readonly key: ChkKey;
}

export interface ChkVerifyCap extends ChkParameters {
  readonly type: 'chk-verify';
  readonly storageIndex: StorageIndex;
}

export interface SdmfWriteCap {
  readonly type: 'sdmf-write';
  readonly writeKey: WriteKey;
  readonly fingerprint: Fingerprint;
}

export interface SdmfReadCap {
  readonly type: 'sdmf-read';
  readonly readKey: ReadKey;
  readonly fingerprint: Fingerprint;
}

export interface SdmfVerifyCap {
  readonly type: 'sdmf-verify';
  readonly storageIndex: StorageIndex;
  readonly fingerprint: Fingerprint;
}

export interface MdmfWriteCap {
  readonly type: 'mdmf-write';
  readonly writeKey: WriteKey;
  readonly fingerprint: Fingerprint;
}

export interface MdmfReadCap {
  readonly type: 'mdmf-read';
  readonly readKey: ReadKey;
  readonly fingerprint: Fingerprint;
}

export interface MdmfVerifyCap {
  readonly type: 'mdmf-verify';
  readonly storageIndex: StorageIndex;
  readonly fingerprint: Fingerprint;
}

/** How the shares of a mutable file are laid out. */
export type MutableFormat = 'sdmf' | 'mdmf';
export type MutableWriteCap = SdmfWriteCap | MdmfWriteCap;
export type MutableReadCap = SdmfReadCap | MdmfReadCap;
export type MutableVerifyCap = SdmfVerifyCap | MdmfVerifyCap;
export type MutableCap = MutableWriteCap | MutableReadCap | MutableVerifyCap;
export type ImmutableReadCap = LitCap | ChkReadCap;

export type FileWriteCap = MutableWriteCap;
export type FileReadCap = ImmutableReadCap | MutableReadCap;
export type FileVerifyCap = ChkVerifyCap | MutableVerifyCap;
export type FileCap = FileWriteCap | FileReadCap | FileVerifyCap;

/** A directory is a file with a table in it: the capability is that of the file under another name. */
export interface DirectoryCap<Inner extends FileCap = FileCap> {
  readonly type: 'directory';
  readonly inner: Inner;
}

/** Why a text under a known prefix was not accepted as what it says. */
export type CapProblem = 'bad-syntax' | 'must-be-read-only' | 'must-be-deep-immutable';

/** A text that is no capability known here, kept whole. `problem` is absent if it may be one of a later version. */
export interface UnknownCap {
  readonly type: 'unknown';
  /** With its `ro.` or `imm.` prefix if it had one. */
  readonly text: string;
  readonly problem?: CapProblem;
}

export type KnownCap = FileCap | DirectoryCap;
export type Cap = KnownCap | UnknownCap;
export type WriteCap = FileWriteCap | DirectoryCap<FileWriteCap>;
export type ReadCap = FileReadCap | DirectoryCap<FileReadCap>;
export type VerifyCap = FileVerifyCap | DirectoryCap<FileVerifyCap>;

export function isDirectory(cap: Cap): cap is DirectoryCap {
  return cap.type === 'directory';
}

/** The capability of the file that holds it: itself unless it is a directory. */
export function fileCapOf(cap: KnownCap): FileCap {
  return cap.type === 'directory' ? cap.inner : cap;
}

/** False for unknown capabilities, about which nothing can be said. */
export function isWriteable(cap: Cap): cap is WriteCap {
  if (cap.type === 'directory') return isWriteable(cap.inner);
  return cap.type === 'sdmf-write' || cap.type === 'mdmf-write';
}

/** True for every form of a mutable file or directory, also read and verify. False for unknown capabilities. */
export function isMutable(cap: Cap): boolean {
  if (cap.type === 'unknown') return false;
  const { type } = fileCapOf(cap);
  return type !== 'lit' && type !== 'chk' && type !== 'chk-verify';
}

/** True for a mutable file (no directory) whose contents the capability gives. */
export function isMutableFile(cap: Cap): cap is MutableWriteCap | MutableReadCap {
  const { type } = cap;
  return type === 'sdmf-write' || type === 'sdmf-read' || type === 'mdmf-write' || type === 'mdmf-read';
}

/** True for a capability that gives the contents (a write capability does). */
export function isReadable(cap: Cap): cap is ReadCap | WriteCap {
  if (cap.type === 'directory') return isReadable(cap.inner);
  return (
    cap.type !== 'unknown' && cap.type !== 'chk-verify' && cap.type !== 'sdmf-verify' && cap.type !== 'mdmf-verify'
  );
}

/** The capability to read and no more; undefined for verify and unknown capabilities. */
export function readCapOf(cap: SdmfWriteCap | SdmfReadCap): SdmfReadCap;
export function readCapOf(cap: MdmfWriteCap | MdmfReadCap): MdmfReadCap;
export function readCapOf(cap: MutableWriteCap | MutableReadCap): MutableReadCap;
export function readCapOf(cap: FileReadCap | FileWriteCap): FileReadCap;
export function readCapOf(cap: DirectoryCap<FileReadCap | FileWriteCap>): DirectoryCap<FileReadCap>;
export function readCapOf(cap: ReadCap | WriteCap): ReadCap;
export function readCapOf(cap: Cap): ReadCap | undefined;
export function readCapOf(cap: Cap): ReadCap | undefined {
  switch (cap.type) {
    case 'lit':
    case 'chk':
    case 'sdmf-read':
    case 'mdmf-read':
      return cap;
    case 'sdmf-write':
      return { type: 'sdmf-read', readKey: readKeyOf(cap.writeKey), fingerprint: cap.fingerprint };
    case 'mdmf-write':
      return { type: 'mdmf-read', readKey: readKeyOf(cap.writeKey), fingerprint: cap.fingerprint };
    case 'directory': {
      const inner = readCapOf(cap.inner);
      return inner === undefined ? undefined : { type: 'directory', inner: inner as FileReadCap };
    }
    case 'chk-verify':
    case 'sdmf-verify':
    case 'mdmf-verify':
    case 'unknown':
      return undefined;
  }
}

/** The capability to check and repair and no more; undefined for literal and unknown capabilities. */
export function verifyCapOf(cap: ChkReadCap | ChkVerifyCap): ChkVerifyCap;
export function verifyCapOf(cap: SdmfWriteCap | SdmfReadCap | SdmfVerifyCap): SdmfVerifyCap;
export function verifyCapOf(cap: MdmfWriteCap | MdmfReadCap | MdmfVerifyCap): MdmfVerifyCap;
export function verifyCapOf(cap: MutableCap): MutableVerifyCap;
export function verifyCapOf(cap: Cap): VerifyCap | undefined;
export function verifyCapOf(cap: Cap): VerifyCap | undefined {
  switch (cap.type) {
    case 'chk': {
      const { uebHash, sharesNeeded, sharesTotal, sizeBytes } = cap;
      const storageIndex = chkStorageIndex(cap.key);
      return { type: 'chk-verify', storageIndex, uebHash, sharesNeeded, sharesTotal, sizeBytes };
    }
    case 'sdmf-write':
    case 'sdmf-read':
      return { type: 'sdmf-verify', storageIndex: mutableIndexOf(cap), fingerprint: cap.fingerprint };
    case 'mdmf-write':
    case 'mdmf-read':
      return { type: 'mdmf-verify', storageIndex: mutableIndexOf(cap), fingerprint: cap.fingerprint };
    case 'chk-verify':
    case 'sdmf-verify':
    case 'mdmf-verify':
      return cap;
    case 'directory': {
      const inner = verifyCapOf(cap.inner);
      return inner === undefined ? undefined : { type: 'directory', inner: inner as FileVerifyCap };
    }
    case 'lit':
    case 'unknown':
      return undefined;
  }
}

/** Where the shares are; undefined for literal and unknown capabilities, which have none. */
export function storageIndexOf(cap: ChkReadCap | ChkVerifyCap | MutableCap): StorageIndex;
export function storageIndexOf(cap: Cap): StorageIndex | undefined;
export function storageIndexOf(cap: Cap): StorageIndex | undefined {
  switch (cap.type) {
    case 'chk':
      return chkStorageIndex(cap.key);
    case 'sdmf-write':
    case 'mdmf-write':
    case 'sdmf-read':
    case 'mdmf-read':
      return mutableIndexOf(cap);
    case 'chk-verify':
    case 'sdmf-verify':
    case 'mdmf-verify':
      return cap.storageIndex;
    case 'directory':
      return storageIndexOf(cap.inner);
    case 'lit':
    case 'unknown':
      return undefined;
  }
}

/**
 * Refuses, with kind `bad-cap`, numbers with which no file was ever encoded: parsing does not look at them.
 * Required before download and repair.
 */
export function validateChkParameters(cap: ChkReadCap | ChkVerifyCap): void {
  const { sharesNeeded, sharesTotal } = cap;
  if (sharesNeeded >= 1 && sharesNeeded <= sharesTotal && sharesTotal <= 256) return;
  throw new TahoeError(`a capability for ${sharesNeeded} of ${sharesTotal} shares`, {
    kind: 'bad-cap',
    op: 'cap.check',
  });
}

export interface ParseCapOptions {
  /** In an immutable directory: whatever is or may be mutable is refused. */
  readonly deepImmutable?: boolean;
}

/**
 * What a text says. Never fails: a text that is no known capability, or one that breaks the promise of its `ro.` or
 * `imm.` prefix or of its surroundings, is an UnknownCap holding the whole text and, in the second case, the problem.
 */
export function parseCap(text: string, options: ParseCapOptions = {}): Cap {
  const { stripped, maybeWriteable, maybeMutable } = stripPrefix(text, options.deepImmutable === true);
  const constraint: CapProblem = maybeMutable ? 'must-be-read-only' : 'must-be-deep-immutable';
  const unknown = (problem?: CapProblem): UnknownCap =>
    problem === undefined ? { type: 'unknown', text } : { type: 'unknown', text, problem };

  const match = namePattern.exec(stripped);
  const form = match === null ? undefined : capForms.get(match[1]!);
  if (match === null || form === undefined) {
    if (stripped.startsWith(futureWriteablePrefix) && !maybeWriteable) return unknown(constraint);
    if (stripped.startsWith(futureMutablePrefix) && !maybeMutable) return unknown(constraint);
    return unknown();
  }
  const { type } = form;
  if ((type === 'sdmf-write' || type === 'mdmf-write') && !maybeWriteable) return unknown(constraint);
  if ((type === 'sdmf-read' || type === 'mdmf-read') && !maybeMutable) return unknown(constraint);
  const inner = parseCapFields(type, stripped.slice(match[0].length));
  if (inner === undefined) return unknown('bad-syntax');
  return form.directory ? { type: 'directory', inner } : inner;
}

/** As parseCap, for callers that can use known capabilities only: kind `bad-cap`, or `unknown-cap` for a later version's. */
export function parseKnownCap(text: string, options: ParseCapOptions = {}): KnownCap {
  const cap = parseCap(text, options);
  if (cap.type !== 'unknown') return cap;
  if (cap.problem === undefined)
    throw new TahoeError('unknown kind of capability', { kind: 'unknown-cap', op: 'cap.parse' });
  throw new TahoeError(`not a valid capability (${cap.problem})`, { kind: 'bad-cap', op: 'cap.parse' });
}

/** The canonical text; of an unknown capability exactly the text it was made from. */
export function serializeCap(cap: Cap): string {
  if (cap.type === 'unknown') return cap.text;
  if (cap.type === 'directory') return `URI:${directoryCapNames[cap.inner.type]}:${serializeCapFields(cap.inner)}`;
  return `URI:${fileCapNames[cap.type]}:${serializeCapFields(cap)}`;
}

/** Same text, hence same authority. */
export function capsEqual(a: Cap, b: Cap): boolean {
  return serializeCap(a) === serializeCap(b);
}

/** Only one prefix counts; a second one makes the rest unknown. */
function stripPrefix(text: string, deepImmutable: boolean) {
  if (text.startsWith('imm.')) return { stripped: text.slice(4), maybeWriteable: false, maybeMutable: false };
  if (text.startsWith('ro.')) return { stripped: text.slice(3), maybeWriteable: false, maybeMutable: !deepImmutable };
  return { stripped: text, maybeWriteable: !deepImmutable, maybeMutable: !deepImmutable };
}

function mutableIndexOf(cap: MutableWriteCap | MutableReadCap): StorageIndex {
  return mutableStorageIndex('writeKey' in cap ? readKeyOf(cap.writeKey) : cap.readKey);
}
