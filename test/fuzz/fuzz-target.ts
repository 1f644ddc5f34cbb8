import type { ErrorKind } from '../../src/errors/tahoe-error.js';
import type { Structure } from './structure.js';

/** One parser of outside bytes. */
export interface FuzzTarget {
  readonly name: string;
  /** Good inputs, from which the bad ones are made. Made once, when the target is run; the same every time. */
  readonly corpus: () => readonly Uint8Array[];
  /** Pieces of the format that chance would not find. */
  readonly words?: readonly string[];
  /** How the inputs are built, so that a part can be changed while the lengths around it stay right. */
  readonly structure?: Structure;
  /** Longest input. Default 64 KiB. */
  readonly bytesMax?: number;
  /** Kinds of TahoeError with which an input may be refused. Anything else that is thrown is a defect. */
  readonly refusals: readonly ErrorKind[];
  /** Returns for what is accepted; may wait. */
  readonly parse: (input: Uint8Array) => unknown;
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** The input as a text file would be read: what is not UTF-8 becomes a replacement character. */
export function textOf(input: Uint8Array): string {
  return utf8.decode(input);
}

/** The input as node hands over header values and addresses: a character a byte. */
export function latin1Of(input: Uint8Array): string {
  return Buffer.from(input.buffer, input.byteOffset, input.length).toString('latin1');
}

export function texts(...values: readonly string[]): Uint8Array[] {
  return values.map((value) => new Uint8Array(Buffer.from(value)));
}
