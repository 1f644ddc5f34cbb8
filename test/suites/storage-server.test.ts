import { startHttpsServer, startService } from '../support/storage-servers.js';
import { defineStorageServerSuite } from './storage-server-suite.js';

defineStorageServerSuite('in process', async (t) => (await startService(t)).service);
defineStorageServerSuite('over HTTPS', async (t) => (await startHttpsServer(t)).client);
