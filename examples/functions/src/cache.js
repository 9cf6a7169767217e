import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetParameterCommand } from '@aws-sdk/client-ssm';
import { GetSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { Redis } from 'iovalkey';
import { describeError } from '../../backend/src/log.js';
import { log } from './log.js';

// A cache that takes longer is no help.
const COMMAND_MS = 150;
const CONNECT_MS = 1000;
// How long one that does not answer is left alone before it is looked for anew: it may have another address.
const LOST_MS = 60_000;
// What a write that the cache was not told of may be missing for: the cache was lost in that moment, or the write was in another region.
const KEEP_SECONDS = 30;
// An index has what was just written a moment later: what was found before that is not kept.
const SETTLED_US = 2_000_000;
const WRITTEN = 'listings:written';
// Positions are the microseconds of the cache's own clock, the one that all functions share; no two writes have the same.
const ADVANCE = `
local time = redis.call('TIME')
local known = tonumber(redis.call('GET', KEYS[1]) or 0)
redis.call('SET', KEYS[1], string.format('%.0f', math.max(time[1] * 1000000 + time[2], known + 1)))`;
const POSITION = `
local time = redis.call('TIME')
return { redis.call('GET', KEYS[1]) or '0', string.format('%.0f', time[1] * 1000000 + time[2]) }`;

/**
 * Where the cache is, from Parameter Store, and its password, from Secrets Manager: neither is in the function's environment.
 *
 * @param {object} ssm SSMClient
 * @param {object} secrets SecretsManagerClient
 * @param {string} parameter name of the parameter, whose value is JSON: host, port, secret (its name)
 * @returns {() => Promise<{host: string, port: number, password: string}>}
 */
export function cachePlace(ssm, secrets, parameter) {
  return async () => {
    const { Parameter: found } = await ssm.send(new GetParameterCommand({ Name: parameter }));
    const { host, port, secret } = JSON.parse(found.Value);
    const { SecretString: text } = await secrets.send(new GetSecretValueCommand({ SecretId: secret }));
    return { host, port: Number(port), password: JSON.parse(text).password };
  };
}

/**
 * A cache of searches that all environments of the function share: Redis or Valkey, with TLS.
 *
 * As in the backend everything in it belongs to a position and is never looked at again once something was written after it. A cache
 * that is lost, slow or wrong makes no error, only work:
 *   ready               settles when it is there, or has not answered for a second
 *   position()          {at, settled}: when was written last, and whether that is long enough ago; undefined when nobody knows
 *   advance()           something was written
 *   get(at, key)        what was kept, undefined when nothing is
 *   set(at, key, value) keep it
 *   close()
 *
 * @param {() => Promise<{host: string, port: number, password: string}>} where reads where it is
 * @param {object|null} tls as everywhere in the VPC: nobody can listen, and who answers is whom the security group lets answer
 */
export function openCache(where, tls = { rejectUnauthorized: false }) {
  let client;
  let looked = 0;
  let lost = false;

  function missing(error) {
    // Once for each time it is lost: it is tried again and again.
    if (!lost) log.warn('the cache does not answer: searches take longer', describeError(error));
    lost = true;
  }

  async function connect() {
    looked = Date.now();
    client?.disconnect();
    client = undefined;
    try {
      const { host, port, password } = await where();
      const made = new Redis({
        host,
        port,
        password,
        tls,
        connectTimeout: CONNECT_MS,
        commandTimeout: COMMAND_MS,
        maxRetriesPerRequest: 0,
        enableOfflineQueue: false,
        retryStrategy: (attempt) => Math.min(attempt * 200, 5000),
        // A primary that has become a replica: connect anew, to the one that has taken over.
        reconnectOnError: (error) => error.message.startsWith('READONLY'),
      });
      client = made;
      made.on('error', missing);
      await new Promise((resolve) => {
        made.on('ready', () => {
          if (lost) log.info('the cache is back');
          lost = false;
          resolve();
        });
      });
    } catch (error) {
      missing(error);
    }
  }

  async function attempt(work) {
    if (client?.status !== 'ready') {
      // Nobody waits for it.
      if (Date.now() - looked > LOST_MS) connect();
      return undefined;
    }
    try {
      return await work(client);
    } catch {
      // The connection's own events say what is wrong.
      return undefined;
    }
  }
  const keyOf = (at, key) => `search:${at}:${createHash('sha256').update(key).digest('base64url')}`;

  return {
    // What an environment begins with it may take its time for: Lambda gives it a whole processor.
    ready: Promise.race([connect(), sleep(CONNECT_MS, undefined, { ref: false })]),
    async position() {
      const found = await attempt((valkey) => valkey.eval(POSITION, 1, WRITTEN));
      return found && { at: found[0], settled: found[1] - found[0] > SETTLED_US };
    },
    advance: () => attempt((valkey) => valkey.eval(ADVANCE, 1, WRITTEN)),
    async get(at, key) {
      const kept = await attempt((valkey) => valkey.get(keyOf(at, key)));
      return kept ? JSON.parse(kept) : undefined;
    },
    set: (at, key, value) => attempt((valkey) => valkey.set(keyOf(at, key), JSON.stringify(value), 'EX', KEEP_SECONDS)),
    close: () => client?.disconnect(),
  };
}

/**
 * Listings whose searches come from a cache where it has them.
 *
 * @param {object} listings ListingTable
 * @param {object} cache openCache()
 * @param {() => Promise<{table: string}>} settings settings.js
 */
export function keepSearches(listings, cache, settings) {
  const told = (write) => async (...given) => {
    const done = await listings[write](...given);
    if (done) await cache.advance();
    return done;
  };
  return {
    ping: () => listings.ping(),
    get: (id) => listings.get(id),
    create: told('create'),
    replace: told('replace'),
    remove: told('remove'),
    async search(query) {
      const position = await cache.position();
      if (!position) return listings.search(query);
      const { table } = await settings();
      const key = JSON.stringify([table, query]);
      const kept = await cache.get(position.at, key);
      if (kept) return kept;
      const found = await listings.search(query);
      // Nothing runs in a function after its answer.
      if (position.settled) await cache.set(position.at, key, found);
      return found;
    },
  };
}
