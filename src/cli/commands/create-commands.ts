import type { Command } from 'commander';
import { createClient, createGrid, createIntroducer, createStorageNode } from '../../node/create-node.js';
import { type Endpoint, parseEndpoint } from '../../node/endpoint.js';
import type { EncodingNumbers } from '../../node/node-config-text.js';
import { action } from '../action.js';
import { type CliContext, usageError } from '../cli-context.js';
import { EXIT_OK } from '../exit-codes.js';

interface CreateOptions {
  readonly sharesNeeded: number;
  readonly sharesHappy: number;
  readonly sharesTotal: number;
  readonly servers?: number;
  readonly nickname?: string;
  readonly webport?: string;
  readonly introducer?: string;
  readonly serversFile?: string;
  readonly root?: string;
  readonly hostname?: string;
  readonly port?: number;
}

export function addCreateCommands(program: Command): void {
  withEncoding(program.command('create-client [dir]'))
    .description('make a node that stores on the servers of others')
    .option('-n, --nickname <name>', 'what it calls itself')
    .option('-p, --webport <endpoint>', 'where its web API listens', 'tcp:0:interface=127.0.0.1')
    .option('-i, --introducer <furl>', 'the introducer to ask for storage servers')
    .option('--servers-file <file>', 'a servers.yaml to copy: the storage servers to use')
    .option('--root <cap>', 'a directory capability: becomes the alias tahoe:, and what SFTP shows')
    .action(action(client));
  program
    .command('create-node [dir]')
    .description('make a storage server')
    .option('-n, --nickname <name>', 'what it calls itself')
    .option('-i, --introducer <furl>', 'the introducer to announce it to')
    .option('--hostname <host>', 'the address under which clients reach it', '127.0.0.1')
    .option('--port <port>', 'the TCP port on which it listens (default: a free one)', wholeNumber)
    .action(action(storageNode));
  program
    .command('create-introducer <dir>')
    .description('make an introducer: it tells clients of storage servers')
    .option('--hostname <host>', 'the address under which nodes reach it', '127.0.0.1')
    .option('--port <port>', 'where it listens, a port or tcp:PORT:interface=HOST (default: a free one)', endpoint)
    .action(action(introducer));
  withEncoding(program.command('create-grid <dir>'))
    .description('make storage servers and a client on this computer')
    .option('--servers <count>', 'number of storage servers', wholeNumber, 10)
    .action(action(grid));
}

async function client(context: CliContext, directory: string | undefined, options: CreateOptions) {
  const path = await createClient(directory ?? context.nodeDirectory, {
    encoding: encodingOf(options),
    nickname: options.nickname,
    webPort: options.webport,
    introducer: options.introducer,
    serversFile: options.serversFile,
    rootCap: options.root,
  });
  context.terminal.print(`Node created in ${path}`);
  if (options.serversFile === undefined && options.introducer === undefined) {
    context.terminal.note(
      `Write introducers into ${path}/private/introducers.yaml, or storage servers into ${path}/private/servers.yaml.`,
    );
  }
  context.terminal.note(`Start it with: tahoe run ${path}`);
  return EXIT_OK;
}

async function storageNode(context: CliContext, directory: string | undefined, options: CreateOptions) {
  const { hostname, port, nickname, introducer } = options;
  const path = await createStorageNode(directory ?? context.nodeDirectory, { hostname, port, nickname, introducer });
  context.terminal.print(`Node created in ${path}`);
  context.terminal.note(`Start it with: tahoe run ${path}`);
  return EXIT_OK;
}

interface CreateIntroducerOptions {
  readonly hostname: string;
  readonly port?: Endpoint;
}

async function introducer(context: CliContext, directory: string, { hostname, port }: CreateIntroducerOptions) {
  const { path, furl } = await createIntroducer(directory, { hostname, port });
  context.terminal.print(`Introducer created in ${path}`);
  context.terminal.note(`Start it with: tahoe run ${path}`);
  context.terminal.note(`Make nodes that use it with: tahoe create-client --introducer ${furl}`);
  return EXIT_OK;
}

async function grid(context: CliContext, directory: string, options: CreateOptions) {
  const servers = options.servers ?? 10;
  const encoding = encodingOf(options);
  if (servers < encoding.sharesHappy) {
    throw usageError(
      `${servers} servers can never make a write happy that needs ${encoding.sharesHappy}: ` +
        'use more --servers or a smaller --shares-happy',
    );
  }
  const path = await createGrid(directory, { servers, encoding });
  context.terminal.print(`Grid of ${servers} servers and a client created in ${path}`);
  context.terminal.note(`Start it with: tahoe run ${path}`);
  return EXIT_OK;
}

function withEncoding(command: Command): Command {
  return command
    .option('--shares-needed <k>', 'shares that rebuild a file', wholeNumber, 3)
    .option('--shares-happy <h>', 'different servers that a write needs', wholeNumber, 7)
    .option('--shares-total <n>', 'shares made of a file', wholeNumber, 10);
}

function encodingOf({ sharesNeeded, sharesHappy, sharesTotal }: CreateOptions): EncodingNumbers {
  if (sharesNeeded < 1 || sharesTotal > 256 || sharesNeeded > sharesTotal) {
    throw usageError('this must hold: 1 <= --shares-needed <= --shares-total <= 256');
  }
  if (sharesHappy < 1 || sharesHappy > sharesTotal) {
    throw usageError('this must hold: 1 <= --shares-happy <= --shares-total');
  }
  return { sharesNeeded, sharesHappy, sharesTotal };
}

function endpoint(text: string): Endpoint {
  const parsed = parseEndpoint(text);
  if (parsed === undefined || parsed.port === 0) throw usageError(`not a port to listen on: ${text}`);
  return parsed;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw usageError(`not a whole number: ${text}`);
  return Number(text);
}
