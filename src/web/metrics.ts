/** `/metrics`: what the node knows of itself, as OpenMetrics 1.0 text. Numbers only; the names are in the README. */
import type { NodeStatus } from './node-control.js';
import type { Reply } from './reply.js';
import type { WebContext } from './web-context.js';

export function metricsReply({ vfs, control }: WebContext): Reply {
  return {
    status: 200,
    headers: { 'Content-Type': 'application/openmetrics-text; version=1.0.0; charset=utf-8' },
    body: metricsText(control.status(), vfs.metrics()),
  };
}

type Metrics = ReturnType<WebContext['vfs']['metrics']>;

export function metricsText({ pending, servers, alarm }: NodeStatus, metrics: Metrics): string {
  const { fsyncFailures, namesMissing, fsyncSeconds } = metrics;
  const connected = servers.filter(({ state }) => state === 'connected').length;
  return [
    ...gauge('pending_bytes', 'Bytes of files that are on this computer only.', pending.bytesPending),
    ...gauge('pending_files', 'Files that are not on the grid as they are here.', pending.filesPending),
    ...gauge('pending_directories', 'Directories with changes that are not proven.', pending.directoriesPending),
    ...gauge('oldest_pending_seconds', 'How long the oldest of them has waited.', pending.oldestPendingSeconds),
    ...gauge('pending_alarm', '1 while something has waited for longer than it should.', alarm === undefined ? 0 : 1),
    ...gauge('unresolved_conflicts', 'Conflicts that nobody has resolved.', pending.conflicts),
    ...counter('conflicts', 'Conflicts found.', pending.conflictsFound),
    ...counter('uncoordinated_write_errors', 'UncoordinatedWriteErrors given.', pending.uncoordinatedWriteErrors),
    ...counter('names_missing', 'Names synced here that other programs have removed or overwritten.', namesMissing),
    ...counter('uploads', 'Files uploaded.', pending.uploads),
    ...counter('publishes', 'Versions of directories published and proven.', pending.publishes),
    ...counter('fsync_failures', 'fsyncs that failed.', fsyncFailures),
    ...histogram('fsync_seconds', 'How long fsyncs took that succeeded.', fsyncSeconds),
    ...gauge('journal_bytes', 'Bytes of disk that the journal takes.', pending.journalBytes),
    ...gauge(
      'journal_free_bytes',
      'Bytes that may still be written before writes are refused.',
      pending.journalFreeBytes,
    ),
    ...gauge('problems', 'Things that cannot go on by themselves.', pending.problems.length),
    ...gauge('servers', 'Storage servers that this node knows.', servers.length),
    ...gauge('servers_connected', 'Those that answer.', connected),
    '# EOF\n',
  ].join('\n');
}

function head(name: string, type: string, help: string): string[] {
  return [`# TYPE tahoe_${name} ${type}`, `# HELP tahoe_${name} ${help}`];
}

function gauge(name: string, help: string, value: number): string[] {
  return [...head(name, 'gauge', help), `tahoe_${name} ${value}`];
}

function counter(name: string, help: string, value: number): string[] {
  return [...head(name, 'counter', help), `tahoe_${name}_total ${value}`];
}

function histogram(name: string, help: string, { buckets, sum, count }: Metrics['fsyncSeconds']): string[] {
  return [
    ...head(name, 'histogram', help),
    ...buckets.map((bucket) => `tahoe_${name}_bucket{le="${bucket.upperBound}"} ${bucket.count}`),
    `tahoe_${name}_bucket{le="+Inf"} ${count}`,
    `tahoe_${name}_sum ${sum}`,
    `tahoe_${name}_count ${count}`,
  ];
}
