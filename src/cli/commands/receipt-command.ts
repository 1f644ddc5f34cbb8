import type { Command } from 'commander';
import type { DirectoryReceipt, NoReceipt, Receipt, SharePlacement } from '../../vfs/vfs.js';
import { action } from '../action.js';
import { type CliContext, withNode } from '../cli-context.js';
import { EXIT_LEFT_BEHIND, EXIT_NOT_FOUND, EXIT_OK } from '../exit-codes.js';
import { objectQuery } from '../named-object.js';
import { printable } from './list-command.js';

export function addReceiptCommand(program: Command): void {
  program
    .command('receipt <path>')
    .description('what was proven on the grid: capability, servers of the shares, versions of the directories, times')
    .option('--json', 'as JSON')
    .action(action(showReceipt));
}

async function showReceipt(context: CliContext, path: string, options: { readonly json?: boolean }) {
  return withNode(context, async (session) => {
    const query = await objectQuery(session, path);
    const answer = await session.node.json('GET', `private/receipt?${query}`, { authorized: true });
    const receipt = answer as Receipt | NoReceipt;
    const { terminal } = session;
    if (options.json === true) terminal.print(JSON.stringify(receipt, null, 1));
    if (receipt.kind === 'none') {
      if (options.json !== true) terminal.note(`no receipt yet: ${receipt.message}`);
      return receipt.reason === 'local' ? EXIT_LEFT_BEHIND : EXIT_NOT_FOUND;
    }
    if (options.json !== true) for (const line of describeReceipt(receipt)) terminal.print(line);
    return EXIT_OK;
  });
}

function describeReceipt({ cap, version, shares, storedMs, directories, isCurrent }: Receipt): string[] {
  return [
    `cap: ${cap}`,
    ...(version === undefined ? [] : [`version: ${version.sequenceNumber}, root hash ${version.rootHash}`]),
    `stored: ${time(storedMs)}`,
    ...(shares.length === 0 ? ['shares: none, the capability holds the content'] : placementLines('shares', shares)),
    ...directories.flatMap(describeDirectory),
    ...(isCurrent ? [] : ['It was changed since: what is there now is not what this describes.']),
  ];
}

function describeDirectory(directory: DirectoryReceipt): string[] {
  const { path, how, storageIndex, sequenceNumber, rootHash, provenMs, shares } = directory;
  if (how === 'immutable') return [`directory ${printable(path)}: immutable`];
  const version = `storage index ${storageIndex}, version ${sequenceNumber}, root hash ${rootHash}`;
  if (how === 'read') return [`directory ${printable(path)}: ${version}, published by another writer and read here`];
  return [
    `directory ${printable(path)}: ${version}, proven ${time(provenMs ?? 0)}`,
    ...placementLines('  shares', shares),
  ];
}

function placementLines(title: string, shares: SharePlacement): string[] {
  return [`${title}:`, ...shares.map(({ server, shareNumbers }) => `    ${server}: ${shareNumbers.join(' ')}`)];
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
