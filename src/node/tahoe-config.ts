/**
 * tahoe.cfg as the reference reads and writes it (configuration spec 12), as far as this node acts on it. The file is
 * written at creation only.
 */

import { homedir } from 'node:os';
import type { MutableFormat } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Encoding } from '../immutable/immutable.js';
import { type Endpoint, parseEndpoint } from './endpoint.js';
import { IniFile } from './ini-file.js';
import { checkSettings, type NodeType, parseBoolean } from './known-settings.js';

export interface TahoeConfig {
  readonly nickname: string;
  /** Undefined: no web server. */
  readonly webPort: Endpoint | undefined;
  /** Where others reach this node. Undefined: on a port that is chosen once and kept. */
  readonly tubPort: Endpoint | 'disabled' | undefined;
  /** What the node tells others, `host:port`. Undefined: an address of this computer. */
  readonly tubLocation: string | undefined;
  /** For uploads on their way; relative to the node directory. */
  readonly temporaryDirectory: string;
  /** One introducer, besides those of `private/introducers.yaml`. */
  readonly introducerFurl: string | undefined;
  readonly encoding: Encoding;
  /** Of new mutable files that ask for no other. */
  readonly mutableFormat: MutableFormat;
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
  /** Relative to the node directory; made if it is not there. */
  readonly hostKeyFile: string;
}

export const DEFAULT_SEGMENT_SIZE = 1024 * 1024;
export const DEFAULT_HOST_KEY_FILE = 'private/ssh_host_ed25519_key';
const DEFAULT_SFTP_PORT: Endpoint = { port: 8022, host: undefined };

/**
 * `source` is what messages call the file. Kinds `invalid` and `unsupported`, naming file, line and key: a mistake, or
 * something that this program does not do (see known-settings).
 */
export function parseTahoeConfig(text: string, source = 'tahoe.cfg', type: NodeType = 'client'): TahoeConfig {
  const file = new IniFile(text, source);
  checkSettings(file, type);
  const reader = new SettingReader(file);
  return {
    nickname: reader.text('node', 'nickname') ?? '<unspecified>',
    webPort: reader.optionalEndpoint('node', 'web.port'),
    ...parseTub(reader),
    temporaryDirectory: reader.path('node', 'tempdir') ?? 'tmp',
    introducerFurl: reader.text('client', 'introducer.furl') || undefined,
    encoding: parseEncoding(reader),
    mutableFormat: parseMutableFormat(reader),
    storage: {
      enabled: reader.boolean('storage', 'enabled', true),
      readonly: reader.boolean('storage', 'readonly', false),
      reservedBytes: reader.size('storage', 'reserved_space'),
      directory: reader.path('storage', 'storage_dir') ?? 'storage',
    },
    sftp: {
      enabled: reader.boolean('sftpd', 'enabled', false),
      port: reader.endpoint('sftpd', 'port') ?? DEFAULT_SFTP_PORT,
      accountsFile: reader.path('sftpd', 'accounts.file'),
      hostKeyFile: reader.path('sftpd', 'host_privkey_file') ?? DEFAULT_HOST_KEY_FILE,
    },
  };
}

export type ConfigSections = Readonly<Record<string, Readonly<Record<string, string>>>>;

/**
 * The text of a tahoe.cfg with these sections and keys, in this order. Kind `invalid` for a value that is more than one
 * line.
 */
export function serializeTahoeConfig(sections: ConfigSections): string {
  const blocks = Object.entries(sections).map(([section, keys]) => {
    const lines = Object.entries(keys).map(([key, value]) => `${key} = ${serializeValue(key, value)}`);
    return [`[${section}]`, ...lines, ''].join('\n');
  });
  return blocks.join('\n');
}

function serializeValue(key: string, value: string): string {
  // Otherwise what follows the line break would be another key.
  if (/[\r\n]/.test(value)) throw wrong(`${key} must be a single line`);
  return value.replaceAll('%', '%%');
}

function parseEncoding(reader: SettingReader): Encoding {
  const needed = reader.number('client', 'shares.needed', 3);
  const happy = reader.number('client', 'shares.happy', 7);
  const total = reader.number('client', 'shares.total', 10);
  const segment = reader.number('client', 'shares._max_immutable_segment_size_for_testing', DEFAULT_SEGMENT_SIZE);
  if (total < 1 || total > 256) throw reader.wrong('client', 'shares.total', `must be from 1 to 256, found ${total}`);
  if (needed < 1 || needed > total) {
    throw reader.wrong('client', 'shares.needed', `must be from 1 to shares.total (${total}), found ${needed}`);
  }
  if (happy < 1 || happy > total) {
    throw reader.wrong('client', 'shares.happy', `must be from 1 to shares.total (${total}), found ${happy}`);
  }
  if (segment < 1) throw reader.wrong('client', 'shares._max_immutable_segment_size_for_testing', 'must be at least 1');
  return { sharesNeeded: needed, sharesHappy: happy, sharesTotal: total, maximumSegmentSize: segment };
}

function parseMutableFormat(reader: SettingReader): MutableFormat {
  const format = (reader.text('client', 'mutable.format') ?? 'sdmf').toLowerCase();
  if (format === 'sdmf' || format === 'mdmf') return format;
  throw reader.wrong('client', 'mutable.format', `must be sdmf or mdmf, found ${format}`);
}

/** Both disabled, or neither; the port must be one that others can be told. */
function parseTub(reader: SettingReader): Pick<TahoeConfig, 'tubPort' | 'tubLocation'> {
  const port = reader.text('node', 'tub.port');
  const location = reader.text('node', 'tub.location');
  if (port === 'disabled' || location === 'disabled') {
    if (port === location) return { tubPort: 'disabled', tubLocation: undefined };
    throw reader.wrong('node', 'tub.port', 'and tub.location must be disabled together');
  }
  const tubPort = reader.endpoint('node', 'tub.port');
  if (tubPort?.port === 0) throw reader.wrong('node', 'tub.port', 'cannot be 0: others must know the port');
  return { tubPort, tubLocation: location === undefined ? undefined : locationOf(reader, location) };
}

/** `HOST:PORT` of the first TCP hint; undefined for `AUTO`. Before Foolscap 0.11 hints were bare `HOST:PORT`. */
function locationOf(reader: SettingReader, text: string): string | undefined {
  for (const part of text.split(',')) {
    const hint = part.trim();
    if (hint === 'AUTO') return undefined;
    const address = /^(?:tcp:)?((?:\[[^\]]+\]|[^\s:]+):\d{1,5})$/.exec(hint)?.[1];
    if (address !== undefined) return address;
  }
  throw reader.wrong('node', 'tub.location', `has no tcp:HOST:PORT: ${text}`);
}

const SIZE_UNITS: ReadonlyMap<string, number> = new Map(
  ['', 'K', 'M', 'G', 'T', 'P', 'E'].flatMap((letter, power): [string, number][] => [
    [letter, 1000 ** power],
    [`${letter}B`, 1000 ** power],
    [`${letter}I`, 1024 ** power],
    [`${letter}IB`, 1024 ** power],
  ]),
);

/** `100`, `5GB`, `1G`, `2MiB`: bytes; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,15})([A-Za-z]*)$/.exec(text.trim());
  const unit = SIZE_UNITS.get(match?.[2]?.toUpperCase() ?? '');
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}

/** Values with a type; errors name file, line and key. */
class SettingReader {
  readonly #file: IniFile;

  constructor(file: IniFile) {
    this.#file = file;
  }

  text(section: string, key: string): string | undefined {
    return this.#file.text(section, key);
  }

  wrong(section: string, key: string, problem: string): TahoeError {
    return this.#file.wrongValue(section, key, problem);
  }

  /** `~` is the user's home; undefined for nothing. */
  path(section: string, key: string): string | undefined {
    return this.text(section, key)?.replace(/^~(?=\/|$)/, () => homedir()) || undefined;
  }

  number(section: string, key: string, otherwise: number): number {
    const value = this.text(section, key);
    if (value === undefined) return otherwise;
    if (!/^\d{1,15}$/.test(value)) throw this.wrong(section, key, `is not a whole number: ${value}`);
    return Number(value);
  }

  boolean(section: string, key: string, otherwise: boolean): boolean {
    const value = this.text(section, key);
    const parsed = value === undefined ? otherwise : parseBoolean(value);
    if (parsed === undefined) throw this.wrong(section, key, `is not true or false: ${value}`);
    return parsed;
  }

  /** Nothing and an empty value are 0. */
  size(section: string, key: string): number {
    const value = this.text(section, key) || '0';
    const parsed = parseSize(value);
    if (parsed === undefined) {
      throw this.wrong(section, key, `is not a size: ${value} (write a number with K, M, G or T, for example 5G)`);
    }
    return parsed;
  }

  endpoint(section: string, key: string): Endpoint | undefined {
    const value = this.text(section, key);
    if (value === undefined) return undefined;
    const parsed = parseEndpoint(value);
    if (parsed === undefined) {
      throw this.wrong(section, key, `= ${value}: cannot listen there, write tcp:PORT:interface=127.0.0.1`);
    }
    return parsed;
  }

  /** The same, where an empty value or `none` means that there is none. */
  optionalEndpoint(section: string, key: string): Endpoint | undefined {
    const value = this.text(section, key);
    return value === '' || value === 'none' ? undefined : this.endpoint(section, key);
  }
}

function wrong(message: string): TahoeError {
  return new TahoeError(message, { kind: 'invalid', op: 'node.config', subject: 'tahoe.cfg' });
}
