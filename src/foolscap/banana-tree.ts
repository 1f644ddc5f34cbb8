/** Banana sequences as trees: what stands between an OPEN and its CLOSE. Introducer spec 6. */
import { concatBytes, decodeLatin1 } from '../encoding/bytes.js';
import { type BananaToken, BananaTokenizer, bytesToken, encodeToken, protocolError } from './banana-token.js';

/** A number, a byte string, or a sequence. */
export type BananaNode = number | bigint | Uint8Array | BananaSequence;

export interface BananaSequence {
  /** `call`, `list`, `dict`, ... */
  readonly name: string;
  readonly items: readonly BananaNode[];
  /** The number of its OPEN; `reference` sequences name it. Undefined in a tree to be sent. */
  readonly number?: number;
}

export interface BananaLimits {
  /** Of one byte string. */
  readonly maxStringBytes: number;
  /** Of one top-level sequence, counted as they arrive. */
  readonly maxMessageBytes: number;
  /** Of one top-level sequence: each takes memory of its own. */
  readonly maxMessageTokens: number;
  readonly maxDepth: number;
}

export interface BananaEvents {
  /** A whole top-level sequence. */
  readonly onMessage: (message: BananaSequence) => void;
  /** Between any two tokens; the digits are to be sent back. */
  readonly onPing: (digits: Uint8Array) => void;
}

interface Frame {
  readonly number: number;
  name: string | undefined;
  readonly items: BananaNode[];
}

/** Builds the sequences of one direction of one connection. After an error it must not be used again. */
export class BananaDecoder {
  readonly #limits: BananaLimits;
  readonly #events: BananaEvents;
  readonly #tokenizer: BananaTokenizer;
  readonly #stack: Frame[] = [];
  #openCount = 0;
  #messageBytes = 0;
  #messageTokens = 0;

  constructor(limits: BananaLimits, events: BananaEvents) {
    this.#limits = limits;
    this.#events = events;
    this.#tokenizer = new BananaTokenizer({ maxBodyBytes: limits.maxStringBytes });
  }

  /** Kind `protocol`: the connection must be closed. Also passes on what the events throw. */
  push(chunk: Uint8Array): void {
    this.#tokenizer.push(chunk, (token, sizeBytes) => this.#take(token, sizeBytes));
  }

  #take(token: BananaToken, sizeBytes: number): void {
    switch (token.kind) {
      case 'ping':
        this.#events.onPing(token.digits);
        return;
      case 'pong':
        return;
      case 'error':
        throw protocolError(`an error and gave up: ${JSON.stringify(token.message)}`);
      default:
        this.#count(sizeBytes);
    }
    if (token.kind === 'integer') this.#add(token.value);
    else if (token.kind === 'bytes') this.#add(token.bytes);
    else if (token.kind === 'open') this.#open(token.number);
    else this.#close(token.number);
  }

  #count(sizeBytes: number): void {
    this.#messageBytes += sizeBytes;
    this.#messageTokens += 1;
    if (this.#messageBytes > this.#limits.maxMessageBytes || this.#messageTokens > this.#limits.maxMessageTokens) {
      throw protocolError('a message that is too large');
    }
  }

  #open(number: number): void {
    if (number !== this.#openCount) throw protocolError(`sequence ${number} where ${this.#openCount} was due`);
    if (this.#stack.length >= this.#limits.maxDepth) throw protocolError('sequences nested too deeply');
    const parent = this.#stack.at(-1);
    if (parent !== undefined && parent.name === undefined) throw protocolError('a sequence without a name');
    this.#openCount += 1;
    this.#stack.push({ number, name: undefined, items: [] });
  }

  #close(number: number): void {
    const frame = this.#stack.pop();
    if (frame === undefined || frame.number !== number) throw protocolError(`the end of another sequence (${number})`);
    const { name, items } = frame;
    if (name === undefined) throw protocolError('a sequence without a name');
    const sequence = { name, items, number };
    const parent = this.#stack.at(-1);
    if (parent !== undefined) {
      parent.items.push(sequence);
      return;
    }
    this.#messageBytes = 0;
    this.#messageTokens = 0;
    this.#events.onMessage(sequence);
  }

  #add(value: number | bigint | Uint8Array): void {
    const frame = this.#stack.at(-1);
    if (frame === undefined) throw protocolError('a value outside of any message');
    if (frame.name !== undefined) frame.items.push(value);
    else if (value instanceof Uint8Array) frame.name = decodeLatin1(value);
    else throw protocolError('a sequence named by a number');
  }
}

/** Writes the sequences of one direction of one connection, numbering them. */
export class BananaEncoder {
  #openCount = 0;

  encode(message: BananaSequence): Uint8Array {
    const parts: Uint8Array[] = [];
    this.#append(message, parts);
    return concatBytes(parts);
  }

  #append(node: BananaNode, parts: Uint8Array[]): void {
    if (typeof node === 'number' || typeof node === 'bigint') {
      parts.push(encodeToken({ kind: 'integer', value: node }));
    } else if (node instanceof Uint8Array) {
      parts.push(encodeToken({ kind: 'bytes', bytes: node }));
    } else {
      const number = this.#openCount;
      this.#openCount += 1;
      parts.push(encodeToken({ kind: 'open', number }), encodeToken(bytesToken(node.name)));
      for (const item of node.items) this.#append(item, parts);
      parts.push(encodeToken({ kind: 'close', number }));
    }
  }
}
