/** The node's JSON answers as the commands use them, checked where they enter. */
import { TahoeError } from '../errors/tahoe-error.js';
import type { GridPath } from './aliases.js';
import type { NodeSession } from './cli-context.js';
import { objectPath } from './node-client.js';

export type ObjectKind = 'filenode' | 'dirnode' | 'unknown';

export interface ObjectInfo {
  readonly kind: ObjectKind;
  readonly readWrite: string | undefined;
  readonly readOnly: string | undefined;
  readonly mutable: boolean;
  readonly sizeBytes: number | undefined;
  /** Seconds since the epoch; undefined where the object was not reached through a directory. */
  readonly linkCreated: number | undefined;
  /** Of a directory that was asked for itself. */
  readonly children: ReadonlyMap<string, ObjectInfo>;
}

/** Kind `not-found` if there is no such object. */
export async function fetchInfo({ node }: NodeSession, { cap, path }: GridPath): Promise<ObjectInfo> {
  return parseInfo(await node.json('GET', objectPath(cap, path, { t: 'json' })));
}

/** Kind `protocol` for an answer that is not of web API spec 7. */
export function parseInfo(value: unknown): ObjectInfo {
  const [kind, fields] = Array.isArray(value) ? (value as unknown[]) : [];
  if ((kind !== 'filenode' && kind !== 'dirnode' && kind !== 'unknown') || !isRecord(fields)) {
    throw new TahoeError('the node described an object in a way that is not understood', {
      kind: 'protocol',
      op: 'cli.read',
    });
  }
  const metadata = isRecord(fields.metadata) ? fields.metadata : {};
  const times = isRecord(metadata.tahoe) ? metadata.tahoe : {};
  const children = isRecord(fields.children) ? Object.entries(fields.children) : [];
  return {
    kind,
    readWrite: textOf(fields.rw_uri),
    readOnly: textOf(fields.ro_uri),
    mutable: fields.mutable === true,
    sizeBytes: numberOf(fields.size),
    linkCreated: numberOf(times.linkcrtime) ?? numberOf(metadata.ctime),
    children: new Map(children.map(([name, child]) => [name, parseInfo(child)])),
  };
}

/** The strongest capability there is. */
export function capOf(info: ObjectInfo): string | undefined {
  return info.readWrite ?? info.readOnly;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
