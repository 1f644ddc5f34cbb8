/** The files of a node directory that people and other programs write, and what people type. */

import { parseGridPath } from '../../../src/cli/aliases.js';
import type { ServerId } from '../../../src/encoding/brands.js';
import { parseEndpoint } from '../../../src/node/endpoint.js';
import { parseTahoeConfig } from '../../../src/node/tahoe-config.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { parseAnnouncement, parseServersYaml, serializeServersYaml } from '../../../src/storage-client/server-list.js';
import { type FuzzTarget, textOf, texts } from '../fuzz-target.js';
import { lines } from '../structure.js';
import { unlessRefused } from '../target-support.js';

const config = `[node]
nickname = a node 100%% mine
web.port = tcp:3456:interface=127.0.0.1
tub.port = tcp:1234
tub.location = tcp:example.org:1234,tor:abc.onion:80
[client]
shares.needed = 3
shares.happy = 7
shares.total = 10
  # a comment
[storage]
enabled = true
reserved_space = 5GiB
[sftpd]
enabled: yes
port = tcp:8022:interface=127.0.0.1
accounts.file = private/accounts
`;

const announcement = `    ann:
      nickname: one
      anonymous-storage-FURL: pb://4jqcxzzy3ul5h3nhyvfaxwpuqgyqhhmo@tcp:127.0.0.1:3457/abc
      anonymous-storage-NURLs:
        - pb://1WUX44xKjKdpGLohmFcBNuIRN-8rlv1Iij_7rQ868ds@127.0.0.1:3456/mwvuamw2ysqhdk6ixpqa#v=1
      permutation-seed-base32: 4jqcxzzy3ul5h3nhyvfaxwpuqgyqhhmo
`;
const servers = `storage:
  v0-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq:
${announcement}  other:
${announcement}`;

const jsonAnnouncement = JSON.stringify({
  nickname: 'one',
  'anonymous-storage-FURL': 'pb://4jqcxzzy3ul5h3nhyvfaxwpuqgyqhhmo@tcp:127.0.0.1:3457/abc',
  'anonymous-storage-NURLs': [
    'pb://1WUX44xKjKdpGLohmFcBNuIRN-8rlv1Iij_7rQ868ds@127.0.0.1:3456/mwvuamw2ysqhdk6ixpqa#v=1',
  ],
  'permutation-seed-base32': '4jqcxzzy3ul5h3nhyvfaxwpuqgyqhhmo',
});

function parseServers(input: Uint8Array): void {
  const found = parseServersYaml(textOf(input), silentLogger);
  const again = parseServersYaml(serializeServersYaml(found), silentLogger);
  if (again.length !== found.length) throw new Error('not the same again');
}

/** As it comes from an introducer: any JSON at all. */
function parseJsonAnnouncement(input: Uint8Array): void {
  let value: unknown;
  try {
    value = JSON.parse(textOf(input));
  } catch {
    // not about this parser
    return;
  }
  parseAnnouncement('v0-x' as ServerId, value);
}

const aliases = new Map([['tahoe', 'URI:DIR2:aaa:bbb']]);

export const configTargets: readonly FuzzTarget[] = [
  {
    name: 'tahoe-cfg',
    corpus: () => texts(config),
    structure: lines,
    words: ['[', ']', '=', ':', '%', '%%', '\n ', '#', '\r\n', 'tcp:', 'interface=', '%(nickname)s', '%(enabled)s'],
    refusals: ['invalid'],
    parse: (input) => parseTahoeConfig(textOf(input)),
  },
  {
    name: 'endpoint',
    corpus: () => texts('tcp:3456:interface=127.0.0.1', '0', 'tcp:1:interface=\\:\\:1'),
    refusals: ['invalid'],
    parse: (input) => parseEndpoint(textOf(input)),
  },
  {
    name: 'servers-yaml',
    corpus: () => texts(servers),
    structure: lines,
    words: [
      '&a ',
      '*a',
      '<<: ',
      '? ',
      '- ',
      '{',
      '}',
      '[',
      '!!binary ',
      '!!set ',
      '|',
      '>',
      '"',
      "'",
      '\t',
      '---',
      '__proto__: ',
    ],
    bytesMax: 8192,
    refusals: ['invalid'],
    parse: parseServers,
  },
  {
    name: 'announcement',
    corpus: () => texts(jsonAnnouncement),
    words: ['{"toString":1}', '[', ']', 'null', '{}', '"__proto__":', '1e999'],
    refusals: ['invalid'],
    parse: parseJsonAnnouncement,
  },
  {
    name: 'grid-path',
    corpus: () => texts('tahoe:a/b//c', 'URI:DIR2:aaa:bbb:./x', 'x/y', 'other:z', 'URI:LIT:mfrgg/'),
    words: ['URI:', ':', '/', 'ro.', './'],
    refusals: ['not-found', 'bad-cap', 'invalid'],
    parse: (input) => unlessRefused(() => parseGridPath(textOf(input), aliases), 'not-found'),
  },
];
