/** The Range header as the reference reads it (web API spec 4.1): one range of bytes, anything strange is ignored. */

export type RangeAnswer =
  /** Everything, status 200. */
  | { readonly what: 'all' }
  /** Bytes [offset, offset + length), status 206. */
  | { readonly what: 'part'; readonly offset: number; readonly length: number }
  /** Status 416. */
  | { readonly what: 'beyond' };

export function parseRange(header: string | undefined, sizeBytes: number): RangeAnswer {
  const first = /^bytes=\s*(?:(\d{1,15})\s*)?-\s*(?:(\d{1,15})\s*)?(?:,.*)?$/.exec(header?.trim() ?? '');
  if (first === null) return { what: 'all' };
  const [, from = '', to = ''] = first;
  if (from === '') return suffix(to, sizeBytes);
  const offset = Number(from);
  const last = to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1);
  // `bytes=SIZE-` is an inverted range to the reference, and ignored.
  if (to === '' ? offset === sizeBytes : Number(to) < offset) return { what: 'all' };
  if (offset >= sizeBytes) return { what: 'beyond' };
  return { what: 'part', offset, length: last - offset + 1 };
}

function suffix(count: string, sizeBytes: number): RangeAnswer {
  if (count === '' || Number(count) === 0 || sizeBytes === 0) return { what: 'all' };
  const length = Math.min(Number(count), sizeBytes);
  return { what: 'part', offset: sizeBytes - length, length };
}
