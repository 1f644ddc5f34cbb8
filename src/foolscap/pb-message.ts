/** The three messages that calls are made of: introducer spec 8. */
import { decodeLatin1, encodeAscii, encodeUtf8 } from '../encoding/bytes.js';
import type { BananaNode, BananaSequence } from './banana-tree.js';
import {
  bytesAt,
  encodeValue,
  integerAt,
  malformed,
  type PbArguments,
  type PbValue,
  type ReferenceTable,
  ValueDecoder,
} from './pb-value.js';

export interface PbCall {
  /** 0: no answer is wanted. */
  readonly requestId: number;
  /** The callee; 0 is the connection itself. */
  readonly clid: number;
  readonly method: string;
  readonly args: PbArguments;
}

/** An error as Foolscap carries it. */
export interface PbFailure {
  /** A Python class, `builtins.KeyError`. */
  readonly type: string;
  readonly value: string;
}

const FAILURE = 'twisted.python.failure.Failure';
/** What receivers take, introducer spec 8.3. */
const MAX_TYPE_BYTES = 200;
const MAX_VALUE_BYTES = 1000;

export function encodeCall({ requestId, clid, method, args }: PbCall, table: ReferenceTable): BananaSequence {
  const named = [...(args.named ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  const argumentItems: BananaNode[] = [args.positional.length];
  for (const value of args.positional) argumentItems.push(encodeValue(value, table));
  for (const [name, value] of named) argumentItems.push(encodeAscii(name), encodeValue(value, table));
  return { name: 'call', items: [requestId, clid, encodeAscii(method), { name: 'arguments', items: argumentItems }] };
}

export function encodeAnswer(requestId: number, value: PbValue, table: ReferenceTable): BananaSequence {
  return { name: 'answer', items: [requestId, encodeValue(value, table)] };
}

export function encodeFailure(requestId: number, { type, value }: PbFailure): BananaSequence {
  const attributes: BananaNode[] = [
    encodeAscii('value'),
    encodeUtf8(value).subarray(0, MAX_VALUE_BYTES),
    encodeAscii('type'),
    encodeUtf8(type).subarray(0, MAX_TYPE_BYTES),
    encodeAscii('traceback'),
    encodeAscii('Traceback unavailable\n'),
    encodeAscii('parents'),
    { name: 'list', items: [encodeUtf8(type).subarray(0, MAX_TYPE_BYTES)] },
  ];
  return {
    name: 'error',
    items: [requestId, { name: 'copyable', items: [encodeAscii(FAILURE), ...attributes] }],
  };
}

/** The number of a call, answer or error that is otherwise not understood. */
export function requestIdOf(message: BananaSequence): number {
  const requestId = integerAt(message, 0);
  if (requestId < 0) throw malformed('a negative request number');
  return requestId;
}

/** All but the arguments, which are read apart: what is wrong with them fails this call only. */
export function decodeCallHead(message: BananaSequence): Omit<PbCall, 'args'> {
  if (message.items.length !== 4) throw malformed('a call of another length');
  return {
    requestId: requestIdOf(message),
    clid: integerAt(message, 1),
    method: decodeLatin1(bytesAt(message, 2)),
  };
}

export function decodeArguments(message: BananaSequence, table: ReferenceTable): PbArguments {
  const sequence = message.items[3];
  if (typeof sequence !== 'object' || sequence instanceof Uint8Array || sequence.name !== 'arguments') {
    throw malformed('a call without arguments');
  }
  const decoder = new ValueDecoder(table);
  const count = integerAt(sequence, 0);
  const rest = sequence.items.slice(1);
  if (count < 0 || count > rest.length || (rest.length - count) % 2 !== 0) {
    throw malformed('a call with another number of arguments than it says');
  }
  const positional = rest.slice(0, count).map((node) => decoder.decode(node));
  const named = new Map<string, PbValue>();
  for (let index = count; index < rest.length; index += 2) {
    const name = rest[index];
    if (!(name instanceof Uint8Array)) throw malformed('an argument whose name is no text');
    if (named.has(decodeLatin1(name))) throw malformed('an argument twice');
    named.set(decodeLatin1(name), decoder.decode(rest[index + 1]!));
  }
  return { positional, named };
}

export function decodeAnswer(message: BananaSequence, table: ReferenceTable): PbValue {
  const value = message.items[1];
  if (message.items.length !== 2 || value === undefined) throw malformed('an answer of another length');
  return new ValueDecoder(table).decode(value);
}

export function decodeFailure(message: BananaSequence): PbFailure {
  const copyable = message.items[1];
  if (typeof copyable !== 'object' || copyable instanceof Uint8Array || copyable.name !== 'copyable') {
    throw malformed('an error without a failure');
  }
  const attributes = new Map<string, BananaNode>();
  for (let index = 1; index + 1 < copyable.items.length; index += 2) {
    attributes.set(decodeLatin1(bytesAt(copyable, index)), copyable.items[index + 1]!);
  }
  const text = (name: string) => {
    const value = attributes.get(name);
    return value instanceof Uint8Array ? new TextDecoder().decode(value.subarray(0, MAX_VALUE_BYTES)) : '';
  };
  return { type: text('type').slice(0, MAX_TYPE_BYTES), value: text('value') };
}
