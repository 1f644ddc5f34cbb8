/** What a real introducer and a real client said to each other (introducer spec 10.3). */
import { readFileSync } from 'node:fs';
import { fromHex } from '../../src/encoding/bytes.js';
import { BananaDecoder, type BananaSequence } from '../../src/foolscap/banana-tree.js';
import { CLIENT_LIMITS } from '../../src/introducer/introducer-protocol.js';

export interface CapturedMessage {
  readonly direction: 'to-introducer' | 'to-client';
  readonly title: string;
  readonly hex: string;
}

export function capturedMessages(direction: CapturedMessage['direction']): readonly CapturedMessage[] {
  const text = readFileSync('test/vectors/foolscap/captured-exchange.json', 'utf8');
  return (JSON.parse(text) as readonly CapturedMessage[]).filter((message) => message.direction === direction);
}

export function capturedSequences(direction: CapturedMessage['direction']): readonly BananaSequence[] {
  const sequences: BananaSequence[] = [];
  const events = { onMessage: (message: BananaSequence) => sequences.push(message), onPing: () => undefined };
  const decoder = new BananaDecoder(CLIENT_LIMITS, events);
  for (const { hex } of capturedMessages(direction)) decoder.push(fromHex(hex));
  return sequences;
}
