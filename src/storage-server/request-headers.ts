import { SECRET_HEADER } from '../storage-protocol/http-headers.js';

const SECRET_HEADER_LOWER = SECRET_HEADER.toLowerCase();

/** The headers that the storage protocol looks at, each from its first line. */
export interface RequestHeaders {
  readonly authorization: string | undefined;
  readonly secrets: readonly string[];
  readonly accept: string | undefined;
  readonly contentType: string | undefined;
  readonly contentRange: string | undefined;
  readonly range: string | undefined;
}

/** From node's alternating names and values: the joined form has lost which lines were separate. */
export function pickHeaders(rawHeaders: readonly string[]): RequestHeaders {
  const secrets: string[] = [];
  const first = new Map<string, string>();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] as string).toLowerCase();
    const value = rawHeaders[index + 1] as string;
    if (name === SECRET_HEADER_LOWER) secrets.push(value);
    else if (!first.has(name)) first.set(name, value);
  }
  return {
    authorization: first.get('authorization'),
    secrets,
    accept: first.get('accept'),
    contentType: first.get('content-type'),
    contentRange: first.get('content-range'),
    range: first.get('range'),
  };
}
