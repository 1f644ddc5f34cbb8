/** The introducer of a node whose directory `create-introducer` has made, here or in the reference. */
import { encodeBase32 } from '../encoding/base32.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { type Furl, parseFurl, serializeFurl, serializeTcpHint } from '../foolscap/furl.js';
import { Tub } from '../foolscap/tub.js';
import { INTRODUCER_LIMITS } from '../introducer/introducer-protocol.js';
import { IntroducerService } from '../introducer/introducer-service.js';
import type { Platform } from '../platform/platform.js';
import type { CertificatePair } from '../transport/certificate.js';
import { openTubCertificate, tubIdOf } from '../transport/tub-certificate.js';
import type { Endpoint } from './endpoint.js';
import type { NodeDirectory } from './node-directory.js';
import type { StopStack } from './running-node.js';
import type { TahoeConfig } from './tahoe-config.js';
import { tubLocationOf, tubPortOf } from './tub-address.js';
import { programVersion } from './version.js';

const NAME_BYTES = 20;
export const FURL_FILE = 'private/introducer.furl';

/** Where an introducer listens and what its clients know of it. */
export interface IntroducerIdentity {
  readonly certificate: CertificatePair;
  readonly port: Endpoint;
  readonly furl: Furl;
}

/**
 * Made at the first call and kept in the files of the reference. Kind `invalid` for files that hold something else, or
 * a tahoe.cfg without a port.
 */
export async function openIntroducerIdentity(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
): Promise<IntroducerIdentity> {
  const port = await tubPortOf(directory, config);
  const certificate = await openTubCertificate(platform, directory.path);
  const tubId = encodeBase32(tubIdOf(certificate));
  const kept = await directory.read(FURL_FILE);
  const name = kept === undefined ? encodeBase32(platform.entropy.bytes(NAME_BYTES)) : nameOf(kept, tubId);
  // The address may have changed; what gives access never does.
  const furl = { tubId, hints: [serializeTcpHint(tubLocationOf(config, port))], name };
  const text = `${serializeFurl(furl)}\n`;
  if (kept !== text) await directory.write(FURL_FILE, text);
  return { certificate, port, furl };
}

/** Serves announcements; undone by `stops`. Kinds of openIntroducerIdentity, and `internal` if it cannot listen. */
export async function startIntroducer(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
  stops: StopStack,
): Promise<IntroducerService> {
  const { clock, entropy, log } = platform;
  const { certificate, port, furl } = await openIntroducerIdentity(directory, config, platform);
  const tub = new Tub({ certificate, limits: INTRODUCER_LIMITS, clock, entropy, log });
  const service = new IntroducerService({ version: await programVersion(), clock, log });
  tub.setLocation(furl.hints);
  tub.register(furl.name, service);
  await tub.listen(port.port, port.host ?? '0.0.0.0');
  stops.push(() => tub.close());
  if (config.webPort !== undefined) log.warn('this introducer has no web page: web.port is not used');
  log.info('introducer started', { nickname: config.nickname });
  return service;
}

function nameOf(kept: string, ownTubId: string): string {
  const { tubId, name } = parseFurl(kept);
  if (tubId === ownTubId) return name;
  throw new TahoeError(`${FURL_FILE} belongs to another certificate than private/node.pem`, {
    kind: 'invalid',
    op: 'node.start',
    subject: FURL_FILE,
  });
}
