/** JSON descriptions of objects (web API spec 7.1 and 7.2). */

import {
  type Cap,
  fileCapOf,
  isMutable,
  isWriteable,
  parseCap,
  readCapOf,
  serializeCap,
  verifyCapOf,
} from '../caps/cap.js';
import type { Attributes, Timestamp, Vfs } from '../vfs/vfs.js';

export type ObjectJson = readonly [kind: 'filenode' | 'dirnode' | 'unknown', Readonly<Record<string, unknown>>];

/** The capability that is shown for an object; undefined while nothing of it is on the grid. */
export type CapOf = Vfs['capOf'];

/** Of a capability that no directory led to; `sizeBytes` of a mutable file, which only its shares can tell. */
export function describeCap(text: string, sizeBytes?: number): ObjectJson {
  const cap = parseCap(text);
  if (cap.type === 'unknown')
    return ['unknown', { [text.startsWith('ro.') || text.startsWith('imm.') ? 'ro_uri' : 'rw_uri']: text }];
  const fields = { ...capFields(cap), ...(sizeBytes === undefined ? {} : { size: sizeBytes }) };
  return [cap.type === 'directory' ? 'dirnode' : 'filenode', fields];
}

/** Of an entry of the file system with, for a directory, all its children. */
export async function describeEntry(
  vfs: Vfs,
  capOf: CapOf,
  attributes: Attributes,
  linked: boolean,
): Promise<ObjectJson> {
  const [kind, fields] = await describeChild(capOf, attributes);
  const described = linked ? fields : withoutMetadata(fields);
  if (kind !== 'dirnode') return [kind, described];
  const children: Record<string, ObjectJson> = {};
  for (const entry of await vfs.readDirectory(attributes.inode)) {
    Object.defineProperty(children, entry.name, {
      value: await describeChild(capOf, entry.attributes),
      enumerable: true,
    });
  }
  return [kind, { ...described, children }];
}

/** As it stands among the children of its directory. Capabilities are absent as long as nothing of it is on the grid. */
async function describeChild(capOf: CapOf, attributes: Attributes): Promise<ObjectJson> {
  const text = await capOf(attributes.inode);
  const metadata = { metadata: metadataOf(attributes) };
  const cap = text === undefined ? undefined : parseCap(text);
  if (attributes.kind === 'directory') {
    const known = cap === undefined || cap.type === 'unknown' ? { mutable: true } : capFields(cap);
    return ['dirnode', { ...known, ...metadata }];
  }
  if (cap === undefined)
    return ['filenode', { format: 'CHK', mutable: false, size: attributes.sizeBytes, ...metadata }];
  if (cap.type === 'unknown') return ['unknown', { ro_uri: text, ...metadata }];
  return ['filenode', { ...capFields(cap), size: attributes.sizeBytes, ...metadata }];
}

function capFields(cap: Exclude<Cap, { type: 'unknown' }>): Record<string, unknown> {
  const inner = fileCapOf(cap);
  const read = readCapOf(cap);
  const verify = verifyCapOf(cap);
  return {
    mutable: isMutable(cap),
    ...(cap.type === 'directory' ? {} : { format: formatOf(inner.type) }),
    ...(inner.type === 'lit' ? { size: inner.data.length } : {}),
    ...(inner.type === 'chk' || inner.type === 'chk-verify' ? { size: inner.sizeBytes } : {}),
    ...(isWriteable(cap) ? { rw_uri: serializeCap(cap) } : {}),
    ...(read === undefined ? {} : { ro_uri: serializeCap(read) }),
    ...(verify === undefined ? {} : { verify_uri: serializeCap(verify) }),
  };
}

function formatOf(type: string): 'CHK' | 'SDMF' | 'MDMF' {
  if (type.startsWith('sdmf')) return 'SDMF';
  return type.startsWith('mdmf') ? 'MDMF' : 'CHK';
}

function metadataOf(attributes: Attributes): Record<string, unknown> {
  const { mode, uid, gid, kind } = attributes;
  return {
    tahoe: { linkcrtime: secondsOf(attributes.changed), linkmotime: secondsOf(attributes.changed) },
    unix: { kind, mode, uid, gid, mtime: secondsOf(attributes.modified) },
  };
}

function secondsOf(time: Timestamp): number {
  return time.seconds + time.nanoseconds / 1e9;
}

function withoutMetadata(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { metadata: _metadata, ...rest } = fields;
  return rest;
}
