import { readFileSync } from 'node:fs';

const packageJson = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

function integer(env, name, fallback, minimum, maximum) {
  const text = env[name] ?? '';
  if (text === '') return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw new Error(`${name} must be a whole number from ${minimum} to ${maximum}, not '${text}'`);
  }
  return value;
}

/**
 * Settings of one process, read from its environment.
 *
 * @param {Record<string, string | undefined>} env usually process.env
 * @throws {Error} a sentence naming the variable and what it must be
 */
export function readConfig(env = process.env) {
  const production = env.NODE_ENV === 'production';
  // A relative default would put the data of a production host inside a release, where the next one loses it.
  if (production && !env.DATABASE_URL) {
    throw new Error('DATABASE_URL is not set: give sqlite:/path/to/file or postgres://user:password@host:5432/name');
  }
  return {
    host: env.HOST || '0.0.0.0',
    port: integer(env, 'PORT', 3000, 0, 65535),
    databaseUrl: env.DATABASE_URL || 'sqlite:data/listings.sqlite3',
    // Both may be lost without anybody noticing but by the time it takes.
    readUrl: env.DATABASE_READ_URL || '',
    cacheUrl: env.REDIS_URL || '',
    version: env.APP_VERSION || packageJson.version,
    // QUEUE_URL_EMAIL and the like; none where the tier has no queues.
    queueUrls: Object.keys(env)
      .filter((name) => name.startsWith('QUEUE_URL_') && env[name])
      .sort()
      .map((name) => env[name]),
    publicDirectory: new URL('../public/', import.meta.url),
    // How long a stopping process still answers, each answer closing its connection, before it stops listening:
    // clients and load balancers leave by themselves instead of finding a closed door.
    drainMs: integer(env, 'DRAIN_MS', 1500, 0, 60000),
    // After the last connection is gone; a connection accepted by the kernel in that moment is still served.
    lingerMs: integer(env, 'LINGER_MS', 500, 0, 60000),
    // Below pm2's kill_timeout (30 s): leaving by ourselves is better than SIGKILL.
    stopDeadlineMs: integer(env, 'STOP_DEADLINE_MS', 25000, 1000, 300000),
  };
}
