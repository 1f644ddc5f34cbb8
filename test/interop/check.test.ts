/** What each implementation writes on the other's servers, the other reads and finds healthy. */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import { CleanupStack } from '../support/cleanup.js';
import { startOurClient } from './support/our-client.js';
import { startPythonGrid } from './support/python-grid.js';
import { ask, request } from './support/web-api.js';

const scope = new CleanupStack();
test.after.always(() => scope.close());

test('our client and a Python client on Python servers read what the other has uploaded', async (t) => {
  const grid = await startPythonGrid(scope, { servers: 10 });
  const ours = await startOurClient(scope, { serversYaml: await grid.client.serversYaml() });
  const content = new Uint8Array(randomBytes(2_500_000));
  const byUs = await ask(ours, 'PUT', 'uri', content);
  t.deepEqual(await request(grid.client, 'GET', `uri/${byUs}`), content);
  t.regex(await grid.client.output('check', '--verify', byUs), /Healthy/);
  const byPython = await ask(grid.client, 'PUT', 'uri', content);
  t.deepEqual(await request(ours, 'GET', `uri/${byPython}`), content);
});
