import { createHash } from 'node:crypto';
import { Redis } from 'iovalkey';
import { describeError, log } from './log.js';
import { isPosition } from './position.js';

// A cache that takes longer is no help.
const COMMAND_MS = 150;
const CONNECT_MS = 1000;
// What a write that the cache was not told of (it was lost in that moment) may be missing for.
const KEEP_SECONDS = 60;
const WRITTEN = 'listings:written';
// Hosts write at the same time: the later position stays.
const ADVANCE = `
local known = redis.call('GET', KEYS[1])
if not known or known < ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end`;

/** What there is without one. */
export const NO_CACHE = { position: async () => undefined, advance: async () => {}, get: async () => undefined, set() {}, close: async () => {} };

/**
 * A cache of searches that all hosts share: Redis or Valkey.
 *
 * Everything in it belongs to a position (position.js) of the database and is never looked at again once something was
 * written after it, so nothing has to be deleted. A cache that is lost, slow or wrong makes no error, only work:
 *   position()                  what was written last; undefined when nobody knows
 *   advance(position)           something was written
 *   get(position, key)          what was kept, undefined when nothing is
 *   set(position, key, value)   keep it, without waiting
 *   close()
 *
 * @param {string} url redis: or rediss: (TLS; its certificate is not checked with ?sslmode=no-verify); '' for no cache
 */
export function openCache(url) {
  if (url === '') return NO_CACHE;
  const address = new URL(url);
  const unchecked = address.searchParams.get('sslmode') === 'no-verify';
  address.search = '';
  const client = new Redis(address.href, {
    ...(address.protocol === 'rediss:' && { tls: { rejectUnauthorized: !unchecked } }),
    connectTimeout: CONNECT_MS,
    commandTimeout: COMMAND_MS,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: (attempt) => Math.min(attempt * 200, 5000),
    // A primary that has become a replica: connect anew, to the one that has taken over.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
  let lost = false;
  client.on('error', (error) => {
    // Once for each time it is lost: it tries again and again.
    if (!lost) log.warn('the cache does not answer: searches take longer', describeError(error));
    lost = true;
  });
  client.on('ready', () => {
    if (lost) log.info('the cache is back');
    lost = false;
  });

  const attempt = async (work) => {
    try {
      return await work();
    } catch {
      // The connection's own events say what is wrong.
      return undefined;
    }
  };
  const keyOf = (position, key) => `search:${position}:${createHash('sha256').update(key).digest('base64url')}`;

  return {
    async position() {
      const written = await attempt(() => client.get(WRITTEN));
      return written === null ? '' : isPosition(written) ? written : undefined;
    },
    advance: (position) => attempt(() => client.eval(ADVANCE, 1, WRITTEN, position)),
    async get(position, key) {
      const kept = await attempt(() => client.get(keyOf(position, key)));
      return kept ? attempt(() => JSON.parse(kept)) : undefined;
    },
    set(position, key, value) {
      attempt(() => client.set(keyOf(position, key), JSON.stringify(value), 'EX', KEEP_SECONDS));
    },
    close: async () => client.disconnect(),
  };
}
