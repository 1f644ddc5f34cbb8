/** Waits until everything that the node keeps is on the grid, and shows how far it is. */
import type { VfsStatus } from '../vfs/vfs.js';
import type { NodeSession } from './cli-context.js';
import { isRecord } from './node-json.js';
import { formatBytes, progressLine } from './progress.js';

export interface SyncOutcome {
  /** What is still on this computer only when waiting ended. */
  readonly left: VfsStatus;
  /** Why waiting ended before everything was done. */
  readonly reason: string | undefined;
}

/** Waits at most `timeout` seconds (undefined: as long as it takes); `now`: only looks what is left. */
export async function waitForGrid(
  session: NodeSession,
  options: { readonly timeout?: number | undefined; readonly now?: boolean | undefined } = {},
): Promise<SyncOutcome> {
  const { timeout: timeoutSeconds } = options;
  if (options.now === true) {
    const left = await pendingOf(session);
    const isLeft = left.filesPending + left.directoriesPending > 0;
    return { left, reason: isLeft ? 'not waited for (--now)' : undefined };
  }
  const signal = timeoutSeconds === undefined ? undefined : AbortSignal.timeout(timeoutSeconds * 1000);
  let left: VfsStatus | undefined;
  let most = 0;
  try {
    const answer = await session.node.call('POST', 'private/sync', { authorized: true, signal });
    for await (const line of linesOf(answer.body)) {
      const event: unknown = JSON.parse(line);
      if (!isRecord(event)) continue;
      left = event.pending as VfsStatus;
      if (event.done === true) return { left, reason: undefined };
      if (typeof event.error === 'string') return { left, reason: event.error };
      most = Math.max(most, left.bytesPending);
      session.terminal.progress(describeProgress(left, most));
    }
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    left ??= await pendingOf(session);
    return { left, reason: `not finished after ${timeoutSeconds} seconds` };
  } finally {
    session.terminal.progress('');
  }
  return { left: left ?? (await pendingOf(session)), reason: 'the node stopped answering' };
}

/** `3 files (1.2 MB) and 2 directories` */
export function describePending(status: VfsStatus): string {
  const { filesPending, bytesPending, directoriesPending } = status;
  const files = `${filesPending} ${filesPending === 1 ? 'file' : 'files'} (${formatBytes(bytesPending)})`;
  return `${files} and ${directoriesPending} ${directoriesPending === 1 ? 'directory' : 'directories'}`;
}

async function pendingOf(session: NodeSession): Promise<VfsStatus> {
  const status = await session.node.json('GET', 'private/status', { authorized: true });
  return (status as { readonly pending: VfsStatus }).pending;
}

export function describeProgress(status: VfsStatus, mostBytes: number): string {
  return progressLine(`to the grid: ${describePending(status)}`, {
    done: mostBytes - status.bytesPending,
    total: Math.max(mostBytes, 1),
  });
}

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const part of body) {
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}
