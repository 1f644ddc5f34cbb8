/** The files of a node directory (configuration spec 11). `private/` and what is in it are readable by the owner only. */
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { decodeBase32, encodeBase32 } from '../encoding/base32.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Entropy } from '../platform/entropy.js';
import { writeFileDurably } from '../platform/write-file.js';
import { fileError } from './file-error.js';
import { NodeFileStore } from './node-file-store.js';
import { parseTahoeConfig, type TahoeConfig } from './tahoe-config.js';

const SECRET_BYTES = 32;

export class NodeDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  /** Makes the directory with `private/`, `logs/` and tahoe.cfg. Kind `not-empty` if anything is there already. */
  static async create(path: string, config: string): Promise<NodeDirectory> {
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
    return directory;
  }

  file(...names: string[]): string {
    return join(this.path, ...names);
  }

  /** Kind `not-found` if this is no node directory, `invalid` for a mistake in tahoe.cfg. */
  async config(): Promise<TahoeConfig> {
    const text = await this.read('tahoe.cfg');
    if (text === undefined) {
      throw new TahoeError(
        `"${this.path}" is not a node directory: it has no tahoe.cfg. Make one with: tahoe create-client ${this.path}`,
        { kind: 'not-found', op: 'node.config', subject: this.path },
      );
    }
    return parseTahoeConfig(text);
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
    return writeFileDurably(files, this.file(...name.split('/')), new TextEncoder().encode(text));
  }

  /** 32 secret bytes kept as base32 in `private/NAME`, made at first use. Kind `invalid` if the file holds anything else. */
  async secret(name: 'secret' | 'convergence', entropy: Entropy): Promise<Uint8Array> {
    const text = await this.read('private', name);
    if (text === undefined) {
      const secret = entropy.bytes(SECRET_BYTES);
      await this.write(`private/${name}`, `${encodeBase32(secret)}\n`);
      return secret;
    }
    return decodeBase32(text.trim());
  }

  /** The token that opens `/private/` of the web server, new at every start. */
  async newApiToken(entropy: Entropy): Promise<string> {
    const token = Buffer.from(entropy.bytes(SECRET_BYTES)).toString('base64url');
    await this.write('private/api_auth_token', token);
    return token;
  }

  /** Makes sure that nobody else can look into `private/`, and that the folders a node writes to are there. */
  async prepare(): Promise<void> {
    for (const name of ['private', 'logs', 'tmp']) await mkdir(this.file(name), { recursive: true, mode: 0o700 });
    await chmod(this.file('private'), 0o700);
    const note = this.file('private', 'README');
    const text =
      'These files are the keys to this node and to everything stored through it. Keep them secret and backed up.\n';
    await writeFile(note, text, { mode: 0o600 });
  }
}

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
