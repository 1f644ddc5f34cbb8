/**
 * JSON as Python writes and reads it (mutable spec 12.4), for metadata that other programs put into directories: NaN,
 * Infinity and integers of any size are allowed, and a number is written back as it was read.
 */
import { decodeUtf8, encodeAscii } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';

/** A number whose text says more than a JavaScript number can: `1.0`, `1e+16`, an integer above 2^53. */
export class WrittenNumber {
  readonly text: string;

  /** `text` is a number in JSON. */
  constructor(text: string) {
    this.text = text;
  }

  /** The nearest JavaScript number. */
  toJSON(): number {
    return Number(this.text);
  }
}

/** Objects are maps: member names come from strangers, and their order is kept. */
export type JsonValue = null | boolean | number | string | WrittenNumber | readonly JsonValue[] | JsonObject;
export type JsonObject = ReadonlyMap<string, JsonValue>;

/** Deeper nesting than any metadata needs; also Python gives up at about twice this. */
const maximumDepth = 500;

/** Kind `corrupt` for anything but one JSON value in UTF-8. */
export function parseJson(bytes: Uint8Array): JsonValue {
  return new JsonParser(decodeUtf8(bytes)).parse();
}

/** Python's default form: ", " and ": " between things, ASCII only, members in order. */
export function formatJson(value: JsonValue): Uint8Array {
  return encodeAscii(formatValue(value));
}

/** For programs that want ordinary JavaScript values: objects without prototype, numbers rounded. */
export function toPlainJson(value: JsonValue): unknown {
  if (value instanceof WrittenNumber) return value.toJSON();
  if (value instanceof Map) {
    const plain: Record<string, unknown> = Object.create(null);
    for (const [name, member] of value) plain[name] = toPlainJson(member);
    return plain;
  }
  if (Array.isArray(value)) return value.map(toPlainJson);
  return value;
}

/** From what JSON.parse gives. Kind `invalid` for values that are not JSON, or nested too deeply. */
export function fromPlainJson(value: unknown, depth = 0): JsonValue {
  if (depth > maximumDepth) throw new TahoeError('nested too deeply', { kind: 'invalid', op: 'json.convert' });
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string')
    return value;
  if (Array.isArray(value)) return value.map((member) => fromPlainJson(member, depth + 1));
  if (typeof value === 'object') {
    return new Map(Object.entries(value).map(([name, member]) => [name, fromPlainJson(member, depth + 1)]));
  }
  throw new TahoeError(`a ${typeof value} is not JSON`, { kind: 'invalid', op: 'json.convert' });
}

/** A number that Python reads as a float also if it is whole. */
export function writtenFloat(value: number): number | WrittenNumber {
  return Number.isSafeInteger(value) ? new WrittenNumber(`${value}.0`) : value;
}

/** The value as a JavaScript number; undefined if it is none. */
export function jsonNumber(value: JsonValue | undefined): number | undefined {
  if (typeof value === 'number') return value;
  return value instanceof WrittenNumber ? value.toJSON() : undefined;
}

function formatValue(value: JsonValue): string {
  if (value === null || typeof value === 'boolean') return String(value);
  // String() gives NaN and Infinity the names Python has for them
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return formatString(value);
  if (value instanceof WrittenNumber) return value.text;
  if (value instanceof Map) {
    const members = [...(value as JsonObject)].map(([name, member]) => `${formatString(name)}: ${formatValue(member)}`);
    return `{${members.join(', ')}}`;
  }
  return `[${(value as readonly JsonValue[]).map(formatValue).join(', ')}]`;
}

const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function formatString(text: string): string {
  const escaped = text.replace(
    /[^ !#-[\]-~]/g,
    (unit) => escapes[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `"${escaped}"`;
}

const wordValues: Readonly<Record<string, JsonValue>> = {
  null: null,
  true: true,
  false: false,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

class JsonParser {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): JsonValue {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#position !== this.#text.length) throw notJson();
    return value;
  }

  #value(depth: number): JsonValue {
    if (depth > maximumDepth) throw notJson();
    this.#skipSpace();
    const first = this.#text[this.#position];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    if (first === '"') return this.#string();
    const word = this.#match(/null|true|false|NaN|-?Infinity/y);
    if (word !== undefined) return wordValues[word]!;
    const number = this.#match(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y);
    if (number === undefined) throw notJson();
    const value = Number(number);
    return String(value) === number ? value : new WrittenNumber(number);
  }

  #object(depth: number): JsonObject {
    const members = new Map<string, JsonValue>();
    this.#position++;
    if (this.#take('}')) return members;
    do {
      this.#skipSpace();
      const name = this.#string();
      if (!this.#take(':')) throw notJson();
      members.set(name, this.#value(depth + 1));
    } while (this.#take(','));
    if (!this.#take('}')) throw notJson();
    return members;
  }

  #array(depth: number): readonly JsonValue[] {
    const elements: JsonValue[] = [];
    this.#position++;
    if (this.#take(']')) return elements;
    do elements.push(this.#value(depth + 1));
    while (this.#take(','));
    if (!this.#take(']')) throw notJson();
    return elements;
  }

  #string(): string {
    const start = this.#position;
    if (this.#text[start] !== '"') throw notJson();
    let end = start + 1;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === '\\' ? 2 : 1;
    this.#position = end + 1;
    try {
      return JSON.parse(this.#text.slice(start, end + 1)) as string;
    } catch {
      throw notJson();
    }
  }

  #take(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#position] !== character) return false;
    this.#position++;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#position = pattern.lastIndex;
    return match[0];
  }

  #skipSpace(): void {
    this.#match(/[ \t\n\r]*/y);
  }
}

function notJson(): TahoeError {
  return new TahoeError('not JSON', { kind: 'corrupt', op: 'json.parse' });
}
