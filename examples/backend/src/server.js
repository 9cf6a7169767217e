import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from './app.js';
import { openCache } from './cache.js';
import { readConfig } from './config.js';
import { openDatabase } from './database/index.js';
import { Reads } from './database/reads.js';
import { Announcer } from './events.js';
import { describeError, log } from './log.js';
import { gracefulStop } from './shutdown.js';

async function main() {
  const config = readConfig();
  const database = await openDatabase(config.databaseUrl);
  const replica = config.readUrl ? await openDatabase(config.readUrl, { replica: true }) : undefined;
  const cache = openCache(config.cacheUrl);
  const announcer = new Announcer({ database, queueUrls: config.queueUrls });
  const app = createApp({ database, reads: new Reads(database, replica), cache, announcer, ...config });
  // Above the 60 s idle timeout of a load balancer: it, not we, must be the one who closes an idle connection.
  const server = http.createServer({ keepAliveTimeout: 65_000, headersTimeout: 66_000 }, app);
  const stop = gracefulStop(server, { drainMs: config.drainMs, lingerMs: config.lingerMs, deadlineMs: config.stopDeadlineMs });

  async function onSignal(signal) {
    // pm2 and systemd may both send one.
    for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => {}).off(name, onSignal);
    log.info('stopping', { signal });
    const finished = await stop();
    await announcer.close();
    await Promise.all([cache.close(), replica?.close(), database.close()]);
    log.info('stopped', { finished });
    process.exit(finished ? 0 : 1);
  }
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);

  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, resolve);
  });
  log.info('listening', { port: server.address().port, version: config.version, engine: database.engine, node: process.version });

  for (let attempt = 1; ; attempt += 1) {
    try {
      await database.ping();
      break;
    } catch (error) {
      if (attempt === 1 || attempt % 10 === 0) {
        log.warn('waiting for the database', { attempt, ...describeError(error.cause ?? error) });
      }
      await sleep(1000);
    }
  }
  // pm2 (wait_ready) takes the old worker away only after this.
  process.send?.('ready');
  log.info('ready');
}

main().catch((error) => {
  log.error('cannot start', describeError(error));
  process.exitCode = 1;
  // A database pool or a half-open server would keep a process alive that serves nobody.
  setImmediate(() => process.exit());
});
