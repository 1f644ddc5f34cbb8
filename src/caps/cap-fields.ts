/** Names and fields of the capability strings: immutable spec 2.1 and 2.3. */
import { decodeBase32, encodeBase32 } from '../encoding/base32.js';
import type { Fingerprint, UebHash } from '../encoding/brands.js';
import {
  asChkKey,
  asFingerprint,
  asReadKey,
  asStorageIndex,
  asUebHash,
  asWriteKey,
} from '../encoding/checked-bytes.js';
import { isTahoeError } from '../errors/tahoe-error.js';
import type { FileCap } from './cap.js';

export type FileCapType = FileCap['type'];

export interface CapForm {
  readonly type: FileCapType;
  readonly directory: boolean;
}

/** Name between `URI:` and the next colon. */
export const fileCapNames: Readonly<Record<FileCapType, string>> = {
  lit: 'LIT',
  chk: 'CHK',
  'chk-verify': 'CHK-Verifier',
  'sdmf-write': 'SSK',
  'sdmf-read': 'SSK-RO',
  'sdmf-verify': 'SSK-Verifier',
  'mdmf-write': 'MDMF',
  'mdmf-read': 'MDMF-RO',
  'mdmf-verify': 'MDMF-Verifier',
};

export const directoryCapNames: Readonly<Record<FileCapType, string>> = {
  lit: 'DIR2-LIT',
  chk: 'DIR2-CHK',
  'chk-verify': 'DIR2-CHK-Verifier',
  'sdmf-write': 'DIR2',
  'sdmf-read': 'DIR2-RO',
  'sdmf-verify': 'DIR2-Verifier',
  'mdmf-write': 'DIR2-MDMF',
  'mdmf-read': 'DIR2-MDMF-RO',
  'mdmf-verify': 'DIR2-MDMF-Verifier',
};

/** By name. */
export const capForms: ReadonlyMap<string, CapForm> = listForms();

function listForms(): ReadonlyMap<string, CapForm> {
  const forms = new Map<string, CapForm>();
  for (const type of Object.keys(fileCapNames) as FileCapType[]) {
    forms.set(fileCapNames[type], { type, directory: false });
    forms.set(directoryCapNames[type], { type, directory: true });
  }
  return forms;
}

const keyAndHashPattern = /^([a-z2-7]{26}):([a-z2-7]{52})$/;
const keyAndHashThenAnythingPattern = /^([a-z2-7]{26}):([a-z2-7]{52})(?::|$)/;
const chkPattern = /^([a-z2-7]{26}):([a-z2-7]{52}):(\d+):(\d+):(\d+)$/;
const chkThenAnythingPattern = /^([a-z2-7]{26}):([a-z2-7]{52}):(\d+):(\d+):(\d+)/;

/** Undefined for anything but fields of this type. One newline at the end is forgiven, as it always was. */
export function parseCapFields(type: FileCapType, fields: string): FileCap | undefined {
  const text = fields.endsWith('\n') ? fields.slice(0, -1) : fields;
  try {
    switch (type) {
      case 'lit':
        return { type, data: decodeBase32(text) };
      case 'chk':
        return parseChk(chkPattern, text, (key, rest) => ({ type, key: asChkKey(key), ...rest }));
      case 'chk-verify':
        return parseChk(chkThenAnythingPattern, text, (key, rest) => ({
          type,
          storageIndex: asStorageIndex(key),
          ...rest,
        }));
      default:
        return parseMutable(type, text);
    }
  } catch (error) {
    if (isTahoeError(error, 'invalid')) return undefined;
    throw error;
  }
}

interface ChkFields {
  readonly uebHash: UebHash;
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  readonly sizeBytes: number;
}

function parseChk(
  pattern: RegExp,
  text: string,
  build: (key: Uint8Array, rest: ChkFields) => FileCap,
): FileCap | undefined {
  const match = pattern.exec(text);
  if (match === null) return undefined;
  const [sharesNeeded, sharesTotal, sizeBytes] = [Number(match[3]), Number(match[4]), Number(match[5])];
  // beyond 2^53 the number could not be written back
  if (![sharesNeeded, sharesTotal, sizeBytes].every(Number.isSafeInteger)) return undefined;
  const uebHash = asUebHash(decodeBase32(match[2]!));
  return build(decodeBase32(match[1]!), { uebHash, sharesNeeded, sharesTotal, sizeBytes });
}

function parseMutable(type: Exclude<FileCapType, 'lit' | 'chk' | 'chk-verify'>, text: string): FileCap | undefined {
  const pattern = type.startsWith('mdmf') ? keyAndHashThenAnythingPattern : keyAndHashPattern;
  const match = pattern.exec(text);
  if (match === null) return undefined;
  const key = decodeBase32(match[1]!);
  const fingerprint: Fingerprint = asFingerprint(decodeBase32(match[2]!));
  switch (type) {
    case 'sdmf-write':
    case 'mdmf-write':
      return { type, writeKey: asWriteKey(key), fingerprint };
    case 'sdmf-read':
    case 'mdmf-read':
      return { type, readKey: asReadKey(key), fingerprint };
    case 'sdmf-verify':
    case 'mdmf-verify':
      return { type, storageIndex: asStorageIndex(key), fingerprint };
  }
}

export function serializeCapFields(cap: FileCap): string {
  switch (cap.type) {
    case 'lit':
      return encodeBase32(cap.data);
    case 'chk':
      return `${encodeBase32(cap.key)}:${serializeChk(cap)}`;
    case 'chk-verify':
      return `${encodeBase32(cap.storageIndex)}:${serializeChk(cap)}`;
    case 'sdmf-write':
    case 'mdmf-write':
      return `${encodeBase32(cap.writeKey)}:${encodeBase32(cap.fingerprint)}`;
    case 'sdmf-read':
    case 'mdmf-read':
      return `${encodeBase32(cap.readKey)}:${encodeBase32(cap.fingerprint)}`;
    case 'sdmf-verify':
    case 'mdmf-verify':
      return `${encodeBase32(cap.storageIndex)}:${encodeBase32(cap.fingerprint)}`;
  }
}

function serializeChk(cap: ChkFields): string {
  return `${encodeBase32(cap.uebHash)}:${cap.sharesNeeded}:${cap.sharesTotal}:${cap.sizeBytes}`;
}
