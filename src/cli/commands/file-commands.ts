import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { action } from '../action.js';
import { type CliContext, type NodeSession, usageError, withNode } from '../cli-context.js';
import { EXIT_OK } from '../exit-codes.js';
import { objectPath } from '../node-client.js';
import { withProgress } from '../progress.js';
import { saveAs } from '../save-as.js';

interface PutOptions {
  readonly mutable?: boolean;
  readonly format?: string;
}

export function addFileCommands(program: Command): void {
  program
    .command('put [local] [remote]')
    .description('store a file (or standard input) and print its capability')
    .option('-m, --mutable', 'make it a mutable file: SDMF, unless tahoe.cfg or --format says MDMF')
    .option('--format <format>', 'CHK, SDMF or MDMF')
    .action(action(put));
  program
    .command('get <remote> [local]')
    .description('fetch a file to a local one or to standard output')
    .action(action(get));
}

async function put(context: CliContext, local: string | undefined, remote: string | undefined, options: PutOptions) {
  return withNode(context, async (session) => {
    const { node, terminal } = session;
    const fromFile = local !== undefined && local !== '-';
    const length = fromFile ? (await stat(local)).size : undefined;
    const source = fromFile ? createReadStream(local, { highWaterMark: 1024 * 1024 }) : process.stdin;
    const answer = await node.call('PUT', putPath(session, remote, options), {
      body: withProgress(terminal, local ?? 'standard input', source, length ?? 0),
      length,
    });
    terminal.note(answer.statusCode === 201 ? '201 Created' : '200 OK');
    terminal.print((await answer.body.text()).trim());
    return EXIT_OK;
  });
}

function putPath(session: NodeSession, remote: string | undefined, options: PutOptions): string {
  const query = {
    ...(options.mutable === true ? { mutable: 'true' } : {}),
    ...(options.format === undefined ? {} : { format: options.format }),
  };
  if (remote === undefined) {
    const search = new URLSearchParams(query).toString();
    return search === '' ? 'uri' : `uri?${search}`;
  }
  const { cap, path } = session.resolve(remote);
  if (path.length === 0 && !/^URI:(SSK|MDMF):/.test(cap)) {
    throw usageError(`"${remote}" names a directory: write the name of the new file after it`);
  }
  return objectPath(cap, path, query);
}

async function get(context: CliContext, remote: string, local: string | undefined) {
  return withNode(context, async (session) => {
    const { node, terminal } = session;
    const { cap, path } = session.resolve(remote);
    const answer = await node.call('GET', objectPath(cap, path));
    const total = Number(answer.headers['content-length'] ?? 0);
    const parts = withProgress(terminal, path.at(-1) ?? 'file', node.contents(answer), total);
    if (local === undefined || local === '-') {
      for await (const part of parts) await terminal.write(part);
    } else {
      await saveAs(parts, local);
      terminal.note(`${remote} retrieved to ${local}`);
    }
    return EXIT_OK;
  });
}
