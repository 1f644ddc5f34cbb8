import { decodeBase32 } from '../encoding/base32.js';
import type { StorageIndex } from '../encoding/brands.js';
import { isTahoeError } from '../errors/tahoe-error.js';

const ROOT = '/storage/v1/';
const STORAGE_INDEX_CHARACTERS = 26;

/** The methods of each path of storage-http spec 10. HEAD is allowed wherever GET is. */
const ROUTES = {
  version: ['GET'],
  'immutable/:si': ['POST'],
  'immutable/:si/shares': ['GET'],
  'immutable/:si/:n': ['GET', 'PATCH'],
  'immutable/:si/:n/abort': ['PUT'],
  'immutable/:si/:n/corrupt': ['POST'],
  'lease/:si': ['PUT'],
  'mutable/:si/read-test-write': ['POST'],
  'mutable/:si/shares': ['GET'],
  'mutable/:si/:n': ['GET'],
  'mutable/:si/:n/corrupt': ['POST'],
} as const satisfies Record<string, readonly string[]>;

export type RoutePath = keyof typeof ROUTES;

export interface RouteMatch {
  readonly path: RoutePath;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  /** Present exactly when the path has `:si`. */
  readonly storageIndex: StorageIndex | undefined;
  /** Present exactly when the path has `:n`. */
  readonly shareNumber: number | undefined;
}

/** What a request line asks for; status 404 or 405 (with the methods that there are) if nothing. */
export function matchRoute(
  method: string,
  url: string,
): RouteMatch | { readonly status: 404 } | { readonly status: 405; readonly allow: string } {
  const path = url.split('?', 1)[0] as string;
  // A colon marks the variable parts of the table above and stands in no real path.
  if (!path.startsWith(ROOT) || path.includes(':')) return { status: 404 };
  const segments = path.slice(ROOT.length).split('/');
  const storageIndex = segments.length > 1 ? storageIndexOf(segments[1] as string) : undefined;
  const shareNumber = shareNumberOf(segments[2]);
  const pattern = segments.map((segment, index) => {
    if (index === 1 && storageIndex !== undefined) return ':si';
    return index === 2 && shareNumber !== undefined ? ':n' : segment;
  });
  const routePath = pattern.join('/');
  if (!isRoutePath(routePath)) return { status: 404 };
  const allowed: readonly RouteMatch['method'][] = ROUTES[routePath];
  const effective = method === 'HEAD' ? 'GET' : method;
  const found = allowed.find((candidate) => candidate === effective);
  if (found === undefined) return { status: 405, allow: allowed.flatMap(withHead).join(', ') };
  return { path: routePath, method: found, storageIndex, shareNumber };
}

function isRoutePath(path: string): path is RoutePath {
  return Object.hasOwn(ROUTES, path);
}

function withHead(method: string): string[] {
  return method === 'GET' ? ['GET', 'HEAD'] : [method];
}

function storageIndexOf(segment: string): StorageIndex | undefined {
  if (segment.length !== STORAGE_INDEX_CHARACTERS) return undefined;
  try {
    return decodeBase32(segment) as StorageIndex;
  } catch (error) {
    if (isTahoeError(error, 'invalid')) return undefined;
    throw error;
  }
}

/** Leading zeros are allowed; a number that a double cannot hold names no share. */
function shareNumberOf(segment: string | undefined): number | undefined {
  return segment !== undefined && /^[0-9]{1,15}$/.test(segment) ? Number(segment) : undefined;
}
