/** The files of a node directory (configuration spec 11). `private/` and what is in it are readable by the owner only. */
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { decodeBase32, encodeBase32 } from '../encoding/base32.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Entropy } from '../platform/entropy.js';
import { writeFileDurably } from '../platform/write-file.js';
import { fileError } from './file-error.js';
import type { NodeType } from './known-settings.js';
import { NodeFileStore } from './node-file-store.js';
import { parseTahoeConfig, type TahoeConfig } from './tahoe-config.js';

const SECRET_BYTES = 32;

export class NodeDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  /** Makes the directory with `private/`, `logs/`, tahoe.cfg and the file whose name says what the node is. Kind `not-empty` if anything is there already. */
  static async create(path: string, config: string, type: NodeType = 'client'): Promise<NodeDirectory> {
    const directory = new NodeDirectory(path);
    const present = (await listOrNothing(directory.path)) ?? [];
    if (present.length > 0) {
      throw new TahoeError(
        `the directory "${directory.path}" is not empty: a node needs a new one. Nothing was changed.`,
        { kind: 'not-empty', op: 'node.create', subject: directory.path },
      );
    }
    await mkdir(directory.file('private'), { recursive: true, mode: 0o700 });
    await mkdir(directory.file('logs'), { recursive: true, mode: 0o700 });
    await directory.write('tahoe.cfg', config);
    await directory.write(`tahoe-${type}.tac`, '# The name of this file says what kind of node this is.\n');
    return directory;
  }

  /** An absolute path stays what it is: settings may name files elsewhere. */
  file(...names: string[]): string {
    return resolve(this.path, ...names);
  }

  /** What its `.tac` file says, as the reference does; a client if there is none. */
  async type(): Promise<NodeType> {
    const names = ((await listOrNothing(this.path)) ?? []).filter((name) => name.endsWith('.tac'));
    return names.some((name) => name.includes('introducer') && !name.includes('client')) ? 'introducer' : 'client';
  }

  /** Kind `not-found` if this is no node directory, `invalid` or `unsupported` for what stands in tahoe.cfg. */
  async config(): Promise<TahoeConfig> {
    const text = await this.read('tahoe.cfg');
    if (text === undefined) {
      throw new TahoeError(
        `"${this.path}" is not a node directory: it has no tahoe.cfg. Make one with: tahoe create-client ${this.path}`,
        { kind: 'not-found', op: 'node.config', subject: this.path },
      );
    }
    await this.#refuseOldFiles();
    return parseTahoeConfig(text, this.file('tahoe.cfg'), await this.type());
  }

  /** Contents of a text file, undefined if there is none. */
  async read(...names: string[]): Promise<string | undefined> {
    const path = this.file(...names);
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      const failure = fileError(error, 'read', path);
      if (failure.kind === 'not-found' || failure.kind === 'not-a-directory') return undefined;
      throw failure;
    }
  }

  /** Replaces a whole text file durably. What is under `private/` is readable by the owner only. */
  write(name: string, text: string): Promise<void> {
    const files = new NodeFileStore({ fileMode: name.startsWith('private/') ? 0o600 : 0o644 });
    return writeFileDurably(files, this.file(name), new TextEncoder().encode(text));
  }

  /**
   * The secret kept as base32 in `private/NAME`, 32 bytes made at first use. Somebody may have put another length there;
   * an empty convergence secret shares with everybody. Kind `invalid` if the file holds anything else.
   */
  async secret(name: 'secret' | 'convergence', entropy: Entropy): Promise<Uint8Array> {
    const text = await this.read('private', name);
    if (text === undefined) {
      const secret = entropy.bytes(SECRET_BYTES);
      await this.write(`private/${name}`, `${encodeBase32(secret)}\n`);
      return secret;
    }
    try {
      return decodeBase32(text.trim());
    } catch (error) {
      throw new TahoeError(`private/${name} does not hold base32`, {
        kind: 'invalid',
        op: 'node.secret',
        subject: this.path,
        cause: error,
      });
    }
  }

  /** The token that opens `/private/` of the web server, new at every start. */
  async newApiToken(entropy: Entropy): Promise<string> {
    const token = Buffer.from(entropy.bytes(SECRET_BYTES)).toString('base64url');
    await this.write('private/api_auth_token', token);
    return token;
  }

  /** Makes sure that nobody else can look into `private/`, and that the folders a node writes to are there. */
  async prepare(temporaryDirectory: string): Promise<void> {
    for (const name of ['private', 'logs', temporaryDirectory])
      await mkdir(this.file(name), { recursive: true, mode: 0o700 });
    await chmod(this.file('private'), 0o700);
    const note = this.file('private', 'README');
    const text =
      'These files are the keys to this node and to everything stored through it. Keep them secret and backed up.\n';
    await writeFile(note, text, { mode: 0o600 });
  }

  async #refuseOldFiles(): Promise<void> {
    const old = ((await listOrNothing(this.path)) ?? []).filter((name) => OLD_FILES.has(name));
    if (old.length === 0) return;
    throw new TahoeError(
      `"${this.path}" has settings in files of their own (${old.join(', ')}), as before version 1.3: write them into tahoe.cfg`,
      { kind: 'invalid', op: 'node.config', subject: this.path },
    );
  }
}

/** Settings before there was a tahoe.cfg. Whoever has such files means what they say, and nobody reads them any more. */
const OLD_FILES = new Set([
  ...['nickname', 'webport', 'keepalive_timeout', 'log_gatherer.furl', 'disconnect_timeout', 'introducer.furl'],
  ...['advertised_ip_addresses', 'helper.furl', 'key_generator.furl', 'stats_gatherer.furl', 'no_storage'],
  ...['readonly_storage', 'sizelimit', 'debug_discard_storage', 'run_helper'],
]);

/** Names in a directory, undefined if there is none. */
export async function listOrNothing(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path);
  } catch (error) {
    const failure = fileError(error, 'list', path);
    if (failure.kind === 'not-found') return undefined;
    throw failure;
  }
}
