/**
 * From the two slots of a directory entry to a child and back: immutable spec 2.5, mutable spec 13.
 *
 * A reader of a directory must not gain write authority through it: what stands in the read slot is diminished.
 */
import { TahoeError } from '../errors/tahoe-error.js';
import {
  type Cap,
  type CapProblem,
  isMutable,
  isReadable,
  isWriteable,
  parseCap,
  type ReadCap,
  readCapOf,
  serializeCap,
  type WriteCap,
} from './cap.js';

/** A child of a kind known here: the strongest capability the entry gives. */
export interface KnownChild {
  readonly type: 'known';
  readonly cap: ReadCap | WriteCap;
}

/**
 * A child of a kind unknown here, kept and passed on. `readCap` has the prefix `ro.` or `imm.`; both are absent for an
 * entry with empty slots. Verify capabilities are unknown children: no operation on a child can use them.
 */
export interface UnknownChild {
  readonly type: 'unknown';
  readonly writeCap?: string;
  readonly readCap?: string;
}

/** An entry that breaks the rules: listed at most, never stored again except as the raw bytes it came from. */
export interface BrokenChild {
  readonly type: 'broken';
  readonly problem: ChildProblem;
}

export type ChildProblem = CapProblem | 'must-not-be-unknown-write';
export type ChildCap = KnownChild | UnknownChild | BrokenChild;

export interface ChildSlots {
  /** Texts; empty or absent means none. */
  readonly writeCap?: string | undefined;
  readonly readCap?: string | undefined;
}

/** Interprets the slots of an entry. `deepImmutable`: the directory is immutable. Never fails. */
export function childCapOf(slots: ChildSlots, options: { readonly deepImmutable: boolean }): ChildCap {
  const writeText = slots.writeCap || undefined;
  const readText = slots.readCap || undefined;
  const strongest = writeText ?? readText;
  if (strongest === undefined) return { type: 'unknown' };
  const cap = parseCap(strongest, options);
  if (isReadable(cap)) return { type: 'known', cap: writeText === undefined ? readCapOf(cap) : cap };
  if (writeText === undefined) return unknownChild(undefined, readText, options);
  return unknownWithWriteCap(writeText, readText, options);
}

/** The child for a capability given by a person or program: as if it stood in the write slot alone. */
export function childOfCap(cap: Cap): ChildCap {
  if (isReadable(cap)) return { type: 'known', cap };
  return childCapOf({ writeCap: serializeCap(cap) }, { deepImmutable: false });
}

/** The child with write authority removed (`no-write`, or reached through a read-only directory). */
export function diminishChild(child: ChildCap): ChildCap {
  if (child.type === 'known') return { type: 'known', cap: readCapOf(child.cap) };
  if (child.type === 'unknown' && child.writeCap !== undefined) {
    return child.readCap === undefined ? { type: 'unknown' } : { type: 'unknown', readCap: child.readCap };
  }
  return child;
}

/**
 * The texts to store for a child. Kind `bad-cap` for a broken child, and in an immutable directory for one that is
 * mutable or may be.
 */
export function childSlotsOf(
  child: ChildCap,
  options: { readonly deepImmutable: boolean },
): { readonly writeCap: string; readonly readCap: string } {
  if (child.type === 'broken') throw notStorable(child.problem);
  if (child.type === 'known') {
    if (options.deepImmutable && isMutable(child.cap)) throw notStorable('must-be-deep-immutable');
    return {
      writeCap: isWriteable(child.cap) ? serializeCap(child.cap) : '',
      readCap: serializeCap(readCapOf(child.cap)),
    };
  }
  if (options.deepImmutable && child.writeCap !== undefined) throw notStorable('must-be-deep-immutable');
  const readCap = child.readCap ?? '';
  if (options.deepImmutable && readCap.startsWith('ro.')) throw notStorable('must-be-deep-immutable');
  const strip = readCap.startsWith('ro.') || (options.deepImmutable && readCap.startsWith('imm.'));
  return { writeCap: child.writeCap ?? '', readCap: strip ? readCap.slice(readCap.indexOf('.') + 1) : readCap };
}

function unknownWithWriteCap(
  writeText: string,
  readText: string | undefined,
  options: { readonly deepImmutable: boolean },
): ChildCap {
  const claimsImmutable = writeText.startsWith('imm.');
  if (options.deepImmutable) {
    if (readText !== undefined) return { type: 'broken', problem: 'must-be-deep-immutable' };
    if (!claimsImmutable) return { type: 'broken', problem: 'must-not-be-unknown-write' };
    return unknownChild(undefined, writeText, options);
  }
  if (readText === undefined) {
    const claimsReadOnly = claimsImmutable || writeText.startsWith('ro.');
    if (!claimsReadOnly) return { type: 'broken', problem: 'must-not-be-unknown-write' };
    return unknownChild(undefined, writeText, options);
  }
  if (readText.startsWith('imm.')) return { type: 'broken', problem: 'must-be-deep-immutable' };
  return unknownChild(writeText, readText, options);
}

function unknownChild(
  writeCap: string | undefined,
  readText: string | undefined,
  options: { readonly deepImmutable: boolean },
): ChildCap {
  const parsed = parseCap(readText ?? '', options);
  if (parsed.type === 'unknown' && parsed.problem !== undefined) return { type: 'broken', problem: parsed.problem };
  const diminished = isWriteable(parsed) ? serializeCap(readCapOf(parsed)) : (readText ?? '');
  const readCap = options.deepImmutable
    ? `imm.${diminished.replace(/^(?:ro|imm)\./, '')}`
    : /^(?:ro|imm)\./.test(diminished)
      ? diminished
      : `ro.${diminished}`;
  return writeCap === undefined ? { type: 'unknown', readCap } : { type: 'unknown', writeCap, readCap };
}

function notStorable(problem: ChildProblem): TahoeError {
  return new TahoeError(`cannot be put into the directory (${problem})`, { kind: 'bad-cap', op: 'directory.child' });
}
