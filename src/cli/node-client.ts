/** The command line's side of a running node's web API: addresses, errors, streams. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { Agent, type Dispatcher, request } from 'undici';
import { type ErrorKind, isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import { NodeDirectory } from '../node/node-directory.js';
import { ERROR_KIND_HEADER } from '../web/reply.js';

export interface CallBody {
  readonly body?: AsyncIterable<Uint8Array> | Uint8Array | string | undefined;
  /** Bytes of a streamed body if they are known. */
  readonly length?: number | undefined;
  /** Carries the token that opens `/private/`. */
  readonly authorized?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export class NodeClient {
  readonly directory: NodeDirectory;
  readonly #baseUrl: string;
  readonly #agent = new Agent({ headersTimeout: 0, bodyTimeout: 0, connections: 32 });

  private constructor(directory: NodeDirectory, baseUrl: string) {
    this.directory = directory;
    this.#baseUrl = baseUrl;
  }

  /** Kinds `not-found` (no node directory), `closed` (it never ran). */
  static async open(path: string | undefined, nodeUrl?: string): Promise<NodeClient> {
    const directory = await findNodeDirectory(path);
    const text = nodeUrl ?? (await directory.read('node.url'));
    if (text === undefined) throw notRunning(directory.path);
    const url = text.trim();
    return new NodeClient(directory, url.endsWith('/') ? url : `${url}/`);
  }

  /**
   * One request. Answers outside 200 to 299 are thrown as TahoeErrors of the kind that the node named. Kind `closed` if
   * the node does not answer.
   */
  async call(method: Dispatcher.HttpMethod, path: string, options: CallBody = {}): Promise<Dispatcher.ResponseData> {
    const headers: Record<string, string> = { accept: 'text/plain, application/octet-stream' };
    if (options.authorized === true) headers.authorization = `tahoe-lafs ${await this.#token()}`;
    if (options.length !== undefined) headers['content-length'] = String(options.length);
    let answer: Dispatcher.ResponseData;
    try {
      answer = await request(this.#baseUrl + path, {
        method,
        headers,
        dispatcher: this.#agent,
        body: (options.body ?? null) as never,
        signal: options.signal ?? null,
      });
    } catch (error) {
      if (isTahoeError(error)) throw error;
      throw notRunning(this.directory.path, error);
    }
    if (answer.statusCode >= 200 && answer.statusCode < 300) return answer;
    throw await errorOf(answer, method);
  }

  /** The body of an answer to GET. Kind `unrecoverable` if the node breaks off in the middle of it. */
  async *contents(answer: Dispatcher.ResponseData): AsyncGenerator<Uint8Array> {
    try {
      yield* answer.body;
    } catch (cause) {
      const log = this.directory.file('logs', 'tahoe.log');
      throw new TahoeError(`the node broke off in the middle of the contents; the reason is in ${log}`, {
        kind: 'unrecoverable',
        op: 'cli.download',
        cause,
      });
    }
  }

  async text(method: Dispatcher.HttpMethod, path: string, options: CallBody = {}): Promise<string> {
    return (await (await this.call(method, path, options)).body.text()).trim();
  }

  async json(method: Dispatcher.HttpMethod, path: string, options: CallBody = {}): Promise<unknown> {
    return (await this.call(method, path, options)).body.json();
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #token(): Promise<string> {
    const token = await this.directory.read('private', 'api_auth_token');
    if (token === undefined) throw notRunning(this.directory.path);
    return token.trim();
  }
}

/** `uri/CAP/a/b?x=y` */
export function objectPath(cap: string, path: readonly string[], query: Readonly<Record<string, string>> = {}): string {
  const segments = [cap, ...path].map(encodeURIComponent).join('/');
  const search = new URLSearchParams(query).toString();
  return `uri/${segments}${search === '' ? '' : `?${search}`}`;
}

/** The directory of `-d`, or `~/.tahoe`; of a grid directory, that of its client. */
export async function findNodeDirectory(path: string | undefined): Promise<NodeDirectory> {
  const directory = new NodeDirectory(resolve(path ?? join(homedir(), '.tahoe')));
  if ((await directory.read('tahoe.cfg')) !== undefined) return directory;
  const client = new NodeDirectory(directory.file('client'));
  return (await client.read('tahoe.cfg')) === undefined ? directory : client;
}

function notRunning(directory: string, cause?: unknown): TahoeError {
  return new TahoeError(`the node in ${directory} is not running. Start it with: tahoe run ${directory}`, {
    kind: 'closed',
    op: 'cli.connect',
    subject: directory,
    cause,
  });
}

const KIND_BY_STATUS: ReadonlyMap<number, ErrorKind> = new Map([
  [401, 'permission'],
  [403, 'permission'],
  [404, 'not-found'],
  [409, 'exists'],
  [410, 'unrecoverable'],
  [413, 'too-large'],
]);

async function errorOf(answer: Dispatcher.ResponseData, method: string): Promise<TahoeError> {
  const text = (await answer.body.text()).trim();
  const named = answer.headers[ERROR_KIND_HEADER.toLowerCase()];
  const kind = typeof named === 'string' ? (named as ErrorKind) : (KIND_BY_STATUS.get(answer.statusCode) ?? 'internal');
  return new TahoeError(text === '' ? `the node answered ${answer.statusCode}` : text, { kind, op: `cli.${method}` });
}
