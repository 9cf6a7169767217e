import { readFileSync } from 'node:fs';
import http from 'node:http';
import { SQS } from '@aws-sdk/client-sqs';
import { createApp } from './app.js';
import { Contract } from './contract.js';
import { Database } from './database.js';
import { describeError, log, nameLogs } from './log.js';
import { Loop } from './loop.js';
import { migrate } from './migrations.js';
import { Settings } from './settings.js';
import { gracefulStop } from './shutdown.js';
import { remoteKeys, userAuthentication } from './tokens.js';

/**
 * A service is what its folder says (openapi.yaml, migrations) and this:
 *
 * @typedef {object} Service
 * @property {string} name of the service, its schema and its addresses: /api/<name>/…
 * @property {URL} directory
 * @property {string[]} [tables] those of shared/migrations that it has
 * @property {(parts: {settings: Settings, database: Database, sqs: SQS, port: () => number}) => Promise<{
 *   handlers: object, authentications?: object, helpers?: {start: Function, stop: Function}[],
 *   workers?: {start: Function, stop: Function}[], outbox?: import('./outbox.js').Outbox}>} create
 *   what it does: handlers by the contract's operationId, how it knows who sends a request, what helps to answer, and what works beside
 *   requests, which begins when the database takes writes; the outbox is stopped when all others have ended, so that it sends what they
 *   wrote last
 */

/** How often a service that stands by looks whether its database was promoted. */
const STANDBY_MS = 5000;

const databaseOf = (service, settings) => new Database(settings.secret('DATABASE_URL'), service.name);

/** Starts a service. @returns {Promise<{port: number, database: Database, stop: () => Promise<boolean>}>} */
export async function start(service, env = process.env) {
  const settings = new Settings(env);
  const contract = new Contract(new URL('openapi.yaml', service.directory));
  const { version: packaged } = JSON.parse(readFileSync(new URL('package.json', service.directory), 'utf8'));
  const version = settings.text('APP_VERSION', packaged);
  const times = {
    // How long a stopping process still answers, each answer closing its connection, before it stops listening: clients and load
    // balancers leave by themselves instead of finding a closed door.
    drainMs: settings.integer('DRAIN_MS', 1500, 0, 60000),
    // After the last connection is gone; a connection accepted by the kernel in that moment is still served.
    lingerMs: settings.integer('LINGER_MS', 500, 0, 60000),
    // Below ECS's stopTimeout (30 s): leaving by ourselves is better than SIGKILL.
    deadlineMs: settings.integer('STOP_DEADLINE_MS', 20000, 1000, 110000),
  };
  const database = databaseOf(service, settings);
  // The endpoint comes from region and environment as for any AWS client; a queue's URL names the queue only.
  const sqs = new SQS({ useQueueUrlAsEndpoint: false });
  let server;
  const port = () => server.address().port;
  const { handlers, authentications = {}, helpers = [], workers = [], outbox } = await service.create({ settings, database, sqs, port });

  async function health({ query }) {
    try {
      const writable = await database.ping();
      return { body: { status: 'ok', version, database: writable ? 'primary' : 'standby' } };
    } catch (error) {
      log.warn('health: the database does not answer', describeError(error));
      // Whether it serves is one question, whether it lives another: in its place another would not reach the database either.
      return { status: query.live ? 200 : 503, body: { status: 'unavailable', version, database: 'unreachable' } };
    }
  }

  let working = false;
  const standby = new Loop(
    'standby',
    async () => {
      if (working || !(await database.writable())) return;
      working = true;
      for (const worker of [...workers, outbox]) worker?.start();
      log.info('working', { database: 'takes writes' });
    },
    settings.integer('STANDBY_MS', STANDBY_MS, 100, 60000),
  );
  const app = createApp({
    contract,
    handlers: { ...handlers, health, version: async () => ({ body: { version, node: process.versions.node } }) },
    authentications,
    healthPath: `/api/${service.name}/health`,
    trustedProxies: settings.integer('TRUSTED_PROXIES', 0, 0, 5),
  });
  // Above the 60 s idle timeout of a load balancer: it, not we, must be the one who closes an idle connection.
  server = http.createServer({ keepAliveTimeout: 65_000, headersTimeout: 66_000 }, app);
  const stopServer = gracefulStop(server, times);
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(settings.integer('PORT', 3000, 0, 65535), settings.text('HOST', '0.0.0.0'), resolve);
  });
  for (const helper of helpers) helper.start();
  standby.start();
  log.info('listening', { port: port(), version, node: process.version });

  async function stop() {
    await standby.stop();
    const [finished] = await Promise.all([stopServer(), ...[...helpers, ...workers].map((each) => each.stop())]);
    if (working) await outbox?.stop();
    sqs.destroy();
    await database.close();
    return finished;
  }
  return { port: port(), database, contract, stop };
}

/** How a service other than auth knows who sends a request. */
export const usersOf = (settings) => userAuthentication(remoteKeys(settings.url('AUTH_URL')), settings.text('TOKEN_ISSUER', 'auth'));

/** The program of a service: until SIGTERM or SIGINT. */
export async function run(service) {
  nameLogs(service.name);
  try {
    const { stop } = await start(service);
    let stopping = false;
    const onSignal = async (signal) => {
      if (stopping) return;
      stopping = true;
      log.info('stopping', { signal });
      const finished = await stop();
      log.info('stopped', { finished });
      process.exit(finished ? 0 : 1);
    };
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, onSignal);
  } catch (error) {
    log.error('cannot start', describeError(error));
    // A pool or a half-open server would keep a process alive that serves nobody.
    process.exit(1);
  }
}

/** Brings a service's schema up to date. @returns {Promise<string[]>} names of the migrations applied now */
export async function migrateService(service, env = process.env) {
  const database = databaseOf(service, new Settings(env));
  try {
    return await migrate(database, service);
  } finally {
    await database.close();
  }
}

/** The program that does only that. */
export async function runMigrations(service) {
  nameLogs(service.name);
  try {
    const applied = await migrateService(service);
    log.info(applied.length > 0 ? 'migrations applied' : 'schema is up to date', { applied });
  } catch (error) {
    log.error('migration failed', describeError(error));
    process.exitCode = 1;
  }
}
