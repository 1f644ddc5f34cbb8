/**
 * tahoe.cfg as the reference writes it (configuration spec 12): INI, keys without regard to case, `%%` for a percent
 * sign. Only the keys that this node acts on have a field; the file itself is read here and written at creation only.
 */

import { TahoeError } from '../errors/tahoe-error.js';
import type { Encoding } from '../immutable/immutable.js';
import { type Endpoint, parseEndpoint } from './endpoint.js';

export interface TahoeConfig {
  readonly nickname: string;
  /** Undefined: no web server. */
  readonly webPort: Endpoint | undefined;
  /** Where the storage server listens; undefined when disabled. */
  readonly tubPort: Endpoint | undefined;
  /** What the storage server tells clients, `host:port`. */
  readonly tubLocation: string | undefined;
  readonly encoding: Encoding;
  readonly storage: StorageConfig;
  readonly sftp: SftpConfig;
}

export interface StorageConfig {
  readonly enabled: boolean;
  readonly readonly: boolean;
  readonly reservedBytes: number;
  /** Relative to the node directory. */
  readonly directory: string;
}

export interface SftpConfig {
  readonly enabled: boolean;
  readonly port: Endpoint;
  /** Relative to the node directory; undefined: only the key that the node made for its own user. */
  readonly accountsFile: string | undefined;
}

export const DEFAULT_SEGMENT_SIZE = 1024 * 1024;

/** Kind `invalid`, naming the section, the key and what is wrong with it. */
export function parseTahoeConfig(text: string): TahoeConfig {
  const file = new IniFile(text);
  const tubPort = file.text('node', 'tub.port') ?? 'disabled';
  return {
    nickname: file.text('node', 'nickname') ?? '<unspecified>',
    webPort: optionalEndpoint(file.text('node', 'web.port') ?? ''),
    tubPort: tubPort === 'disabled' ? undefined : parseEndpoint(tubPort),
    tubLocation: locationOf(file.text('node', 'tub.location')),
    encoding: parseEncoding(file),
    storage: {
      enabled: file.boolean('storage', 'enabled', true),
      readonly: file.boolean('storage', 'readonly', false),
      reservedBytes: parseSize(file.text('storage', 'reserved_space') ?? '0'),
      directory: file.text('storage', 'storage_dir') ?? 'storage',
    },
    sftp: {
      enabled: file.boolean('sftpd', 'enabled', false),
      port: parseEndpoint(file.text('sftpd', 'port') ?? 'tcp:8022'),
      accountsFile: file.text('sftpd', 'accounts.file'),
    },
  };
}

export type ConfigSections = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The text of a tahoe.cfg with these sections and keys, in this order. */
export function serializeTahoeConfig(sections: ConfigSections): string {
  const blocks = Object.entries(sections).map(([section, keys]) => {
    const lines = Object.entries(keys).map(([key, value]) => `${key} = ${value.replaceAll('%', '%%')}`);
    return [`[${section}]`, ...lines, ''].join('\n');
  });
  return blocks.join('\n');
}

function parseEncoding(file: IniFile): Encoding {
  const sharesNeeded = file.number('client', 'shares.needed', 3);
  const sharesHappy = file.number('client', 'shares.happy', 7);
  const sharesTotal = file.number('client', 'shares.total', 10);
  const maximumSegmentSize = file.number(
    'client',
    'shares._max_immutable_segment_size_for_testing',
    DEFAULT_SEGMENT_SIZE,
  );
  if (sharesNeeded < 1 || sharesTotal > 256 || sharesNeeded > sharesTotal) {
    throw wrong(`[client] needs 1 <= shares.needed <= shares.total <= 256, found ${sharesNeeded} and ${sharesTotal}`);
  }
  if (sharesHappy < 1 || sharesHappy > sharesTotal) {
    throw wrong(`[client]shares.happy must be from 1 to shares.total (${sharesTotal}), found ${sharesHappy}`);
  }
  if (maximumSegmentSize < 1) throw wrong('[client] the segment size must be at least 1');
  return { sharesNeeded, sharesHappy, sharesTotal, maximumSegmentSize };
}

function optionalEndpoint(text: string): Endpoint | undefined {
  return text === '' || text === 'none' ? undefined : parseEndpoint(text);
}

/** `tcp:HOST:PORT` of a tub.location list to `HOST:PORT`: the first TCP hint. */
function locationOf(text: string | undefined): string | undefined {
  if (text === undefined || text === 'disabled') return undefined;
  const hint = text.split(',').find((part) => part.trim().startsWith('tcp:'));
  return hint?.trim().slice('tcp:'.length);
}

const SIZE_UNITS: ReadonlyMap<string, number> = new Map(
  ['', 'K', 'M', 'G', 'T', 'P', 'E'].flatMap((letter, power): [string, number][] => [
    [letter, 1000 ** power],
    [`${letter}B`, 1000 ** power],
    [`${letter}I`, 1024 ** power],
    [`${letter}IB`, 1024 ** power],
  ]),
);

/** `100`, `5GB`, `1G`, `2MiB`: bytes. Kind `invalid` for anything else. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15})([A-Za-z]*)$/.exec(text.trim());
  const unit = SIZE_UNITS.get(match?.[2]?.toUpperCase() ?? '');
  if (match === null || unit === undefined) {
    throw wrong(`not a size: ${text} (write a number with K, M, G or T, for example 5G)`);
  }
  return Number(match[1]) * unit;
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['yes', true],
  ['on', true],
  ['1', true],
  ['false', false],
  ['no', false],
  ['off', false],
  ['0', false],
]);

/** Sections and keys of an INI text. The last of duplicate keys counts; indented lines continue the value above. */
class IniFile {
  readonly #values = new Map<string, string>();

  constructor(text: string) {
    let section: string | undefined;
    let last: string | undefined;
    for (const [index, line] of text.split(/\r?\n/).entries()) {
      const trimmed = line.trim();
      if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith(';')) continue;
      const header = /^\[([^\]]+)\]$/.exec(trimmed);
      if (header !== null) {
        section = header[1];
        last = undefined;
      } else if (/^\s/.test(line) && last !== undefined) {
        this.#values.set(last, `${this.#values.get(last)}\n${trimmed}`);
      } else {
        const match = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(trimmed);
        if (match === null || section === undefined) throw wrong(`line ${index + 1} is not "key = value": ${trimmed}`);
        last = keyOf(section, match[1]!);
        this.#values.set(last, match[2]!);
      }
    }
  }

  text(section: string, key: string): string | undefined {
    const value = this.#values.get(keyOf(section, key))?.trim();
    if (value === undefined) return undefined;
    if (/(^|[^%])(%%)*%([^%]|$)/.test(value)) throw wrong(`[${section}]${key}: write %% for a percent sign`);
    return value.replaceAll('%%', '%');
  }

  number(section: string, key: string, otherwise: number): number {
    const value = this.text(section, key);
    if (value === undefined) return otherwise;
    if (!/^\d{1,15}$/.test(value)) throw wrong(`[${section}]${key} is not a whole number: ${value}`);
    return Number(value);
  }

  boolean(section: string, key: string, otherwise: boolean): boolean {
    const value = this.text(section, key);
    if (value === undefined) return otherwise;
    const parsed = BOOLEANS.get(value.toLowerCase());
    if (parsed === undefined) throw wrong(`[${section}]${key} is not true or false: ${value}`);
    return parsed;
  }
}

function keyOf(section: string, key: string): string {
  return `${section}]${key.toLowerCase()}`;
}

function wrong(message: string): TahoeError {
  return new TahoeError(message, { kind: 'invalid', op: 'node.config', subject: 'tahoe.cfg' });
}
