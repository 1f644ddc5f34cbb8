/** Tubs on loopback, for tests. */
import type { ExecutionContext } from 'ava';
import { parseFurl, serializeTcpHint } from '../../src/foolscap/furl.js';
import type { PbArguments, PbPeer, PbValue, Referenceable } from '../../src/foolscap/pb-value.js';
import { Tub, type TubOptions } from '../../src/foolscap/tub.js';
import { CLIENT_LIMITS } from '../../src/introducer/introducer-protocol.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { silentLogger } from '../../src/platform/logger.js';
import { makeCertificate } from '../../src/transport/certificate.js';

export function newTub(t: Pick<ExecutionContext, 'teardown'>, options: Partial<TubOptions> = {}): Tub {
  const certificate = makeCertificate(new NodeEntropy(), 0);
  const platform = { clock: new NodeClock(), entropy: new NodeEntropy(), log: silentLogger };
  const tub = new Tub({ certificate, limits: CLIENT_LIMITS, ...platform, ...options });
  t.teardown(() => tub.close());
  return tub;
}

/** Listens; returns the FURL of `object`. */
export async function serve(tub: Tub, object: Referenceable, port = 0) {
  const address = await tub.listen(port, '127.0.0.1');
  tub.setLocation([serializeTcpHint(address)]);
  return { furl: parseFurl(tub.register('swissnum', object)), port: address.port };
}

/** Answers calls by `answer`. */
export function objectOf(
  answer: (method: string, args: PbArguments, caller: PbPeer) => PbValue | Promise<PbValue>,
  interfaceName = '',
): Referenceable {
  return { type: 'local', interfaceName, call: answer };
}
