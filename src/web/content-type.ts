/** Types by the extension of a name, as the reference guesses them (web API spec 4.1). */

const TYPES: ReadonlyMap<string, string> = new Map([
  ['avi', 'video/x-msvideo'],
  ['bin', 'application/octet-stream'],
  ['c', 'text/x-csrc'],
  ['css', 'text/css'],
  ['csv', 'text/csv'],
  ['gif', 'image/gif'],
  ['htm', 'text/html'],
  ['html', 'text/html'],
  ['jpeg', 'image/jpeg'],
  ['jpg', 'image/jpeg'],
  ['js', 'text/javascript'],
  ['json', 'application/json'],
  ['md', 'text/markdown'],
  ['mjs', 'text/javascript'],
  ['mp3', 'audio/mpeg'],
  ['mp4', 'video/mp4'],
  ['pdf', 'application/pdf'],
  ['png', 'image/png'],
  ['py', 'text/x-python'],
  ['svg', 'image/svg+xml'],
  ['tar', 'application/x-tar'],
  ['tiff', 'image/tiff'],
  ['txt', 'text/plain'],
  ['webm', 'video/webm'],
  ['webp', 'image/webp'],
  ['xml', 'text/xml'],
  ['zip', 'application/zip'],
]);

const ENCODINGS: ReadonlyMap<string, string> = new Map([
  ['gz', 'gzip'],
  ['bz2', 'bzip2'],
]);

/** Content-Type, Content-Encoding and, to save it under its name, Content-Disposition. */
export function contentHeaders(name: string | undefined, save: boolean): Record<string, string> {
  const extension = name?.includes('.') ? name.slice(name.lastIndexOf('.') + 1).toLowerCase() : '';
  const encoding = ENCODINGS.get(extension);
  return {
    'Content-Type': TYPES.get(extension) ?? 'text/plain',
    ...(encoding === undefined ? {} : { 'Content-Encoding': encoding }),
    ...(save ? { 'Content-Disposition': disposition(name ?? 'download') } : {}),
  };
}

/** RFC 6266: the exact name for those who read it, an ASCII stand-in for the others. */
function disposition(name: string): string {
  const plain = name.replaceAll(/[^\x20-\x7e]|["\\]/g, '_');
  return `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(name)}`;
}
