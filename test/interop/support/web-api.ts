/** The web API that both implementations have, for what tests do with either. */

export interface WebApi {
  /** A request, `path` without the leading slash; any status. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

/** The body of an answer that must be a success. */
export async function request(
  node: WebApi,
  method: string,
  path: string,
  body?: Uint8Array | string,
): Promise<Uint8Array> {
  const sent = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const response = await node.fetch(path, sent === undefined ? { method } : { method, body: new Uint8Array(sent) });
  const answer = new Uint8Array(await response.arrayBuffer());
  if (response.ok) return answer;
  throw new Error(`${method} ${path} gave ${response.status}: ${new TextDecoder().decode(answer).slice(-2000)}`);
}

/** The same as text: for capabilities. */
export async function ask(node: WebApi, method: string, path: string, body?: Uint8Array | string): Promise<string> {
  return new TextDecoder().decode(await request(node, method, path, body)).trim();
}
