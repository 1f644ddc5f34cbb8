/** Data written by the Python implementation, under test/vectors. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export function readVector(name: string): Uint8Array {
  return new Uint8Array(readFileSync(path.resolve('test/vectors', name)));
}

/** The caller knows the shape. */
export function readVectorJson<Shape>(name: string): Shape {
  return JSON.parse(new TextDecoder().decode(readVector(name))) as Shape;
}

export function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}
