/**
 * Who may log in: the reference's accounts file, UTF-8 text with one key a line,
 *
 *     username  keytype  base64key  [comment words]  rootcap
 *
 * Blank lines and lines that begin with `#` are skipped. A user with several keys has several lines, with one rootcap.
 */
import { decodeUtf8 } from '../src/encoding/bytes.js';
import { describeError, isTahoeError, TahoeError } from '../src/errors/tahoe-error.js';
import type { FileStat, FileStore } from '../src/platform/file-store.js';
import type { Logger } from '../src/platform/logger.js';
import { PacketReader } from './packet-reader.js';

export interface AccountKey {
  readonly type: string;
  /** The public key as SSH sends it (RFC 4253 section 6.6). */
  readonly blob: Uint8Array;
}

export interface Account {
  readonly username: string;
  readonly keys: readonly AccountKey[];
  /** Capability of the directory where the user's sessions are rooted. Secret. */
  readonly rootCap: string;
}

export interface Accounts {
  /** As the file says now. Rejects if the file cannot be read or is malformed: then nobody can log in. */
  find(username: string): Promise<Account | undefined>;
}

const keyTypes: ReadonlySet<string> = new Set([
  'ssh-ed25519',
  'ssh-rsa',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
]);

/** Kind `invalid` with the number of the first line that is wrong and what is wrong with it. */
export function parseAccounts(text: string): ReadonlyMap<string, Account> {
  const accounts = new Map<string, Account>();
  const lines = text.replace(/^\ufeff/, '').split('\n');
  for (const [index, line] of lines.entries()) {
    const words = line.trim().split(/\s+/);
    if (words[0] === '' || words[0]?.startsWith('#')) continue;
    const { username, keys, rootCap } = parseLine(words, index + 1);
    const known = accounts.get(username);
    if (known !== undefined && known.rootCap !== rootCap) {
      throw malformed(index + 1, `another line gives ${username} a different root capability`);
    }
    accounts.set(username, { username, keys: [...(known?.keys ?? []), ...keys], rootCap });
  }
  return accounts;
}

function parseLine(words: readonly string[], line: number): Account {
  const [username, type, base64] = words;
  const rootCap = words.at(-1);
  if (username === undefined || type === undefined) throw malformed(line, 'no public key');
  if (!keyTypes.has(type)) {
    const known = [...keyTypes].join(', ');
    throw malformed(line, `the second word is not a key type (${known}); passwords are not supported`);
  }
  if (base64 === undefined) throw malformed(line, 'no public key after the key type');
  if (words.length < 4 || !rootCap?.startsWith('URI:')) {
    throw malformed(line, 'the last word is not a directory capability (URI:...)');
  }
  return { username, keys: [{ type, blob: parseKey(type, base64, line) }], rootCap };
}

function parseKey(type: string, base64: string, line: number): Uint8Array {
  const blob = new Uint8Array(Buffer.from(base64, 'base64'));
  const exact = Buffer.from(blob).toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '');
  if (!exact || blob.length === 0) throw malformed(line, 'the public key is not base64');
  if (typeInside(blob) !== type) throw malformed(line, `the public key is not one of type ${type}`);
  return blob;
}

function typeInside(blob: Uint8Array): string | undefined {
  try {
    return new PacketReader(blob).ascii();
  } catch (error) {
    if (isTahoeError(error, 'protocol')) return undefined;
    throw error;
  }
}

/** Reads the file now (kinds `not-found`, `invalid`) and again at a login when it has changed since. */
export async function openAccountsFile(files: FileStore, path: string, log: Logger): Promise<Accounts> {
  const accounts = new AccountsFile(files, path, log);
  await accounts.read();
  return accounts;
}

class AccountsFile implements Accounts {
  readonly #files: FileStore;
  readonly #path: string;
  readonly #log: Logger;
  #accounts: ReadonlyMap<string, Account> = new Map();
  #stat: FileStat | undefined;

  constructor(files: FileStore, path: string, log: Logger) {
    this.#files = files;
    this.#path = path;
    this.#log = log;
  }

  async find(username: string): Promise<Account | undefined> {
    const stat = await this.#files.stat(this.#path);
    const same = stat?.modifiedMs === this.#stat?.modifiedMs && stat?.sizeBytes === this.#stat?.sizeBytes;
    if (stat === undefined || !same) await this.#readAgain();
    return this.#accounts.get(username);
  }

  async read(): Promise<void> {
    const stat = await this.#files.stat(this.#path);
    try {
      this.#accounts = parseAccounts(decodeUtf8(await this.#files.readFile(this.#path)));
    } catch (cause) {
      const kind = isTahoeError(cause, 'not-found') ? 'not-found' : 'invalid';
      const message = `accounts file ${this.#path}: ${describeError(cause)}`;
      throw new TahoeError(message, { kind, op: 'sftp.accounts', subject: this.#path, cause });
    }
    this.#stat = stat;
  }

  async #readAgain(): Promise<void> {
    try {
      await this.read();
      this.#log.info('the sftp accounts file was read again', { accounts: this.#accounts.size });
    } catch (error) {
      this.#log.error('nobody can log in by sftp until the accounts file is right', { error: describeError(error) });
      throw error;
    }
  }
}

function malformed(line: number, why: string): TahoeError {
  return new TahoeError(`line ${line}: ${why}`, { kind: 'invalid', op: 'sftp.accounts' });
}
