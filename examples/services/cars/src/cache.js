import { createHash } from 'node:crypto';
import { describeError, log } from '@vahana-example/shared';
import { Redis } from 'iovalkey';

// A cache that takes longer is no help.
const COMMAND_MS = 150;
const CONNECT_MS = 1000;
/** The longest that a search may show what is no longer so: when the cache was lost while something was written. */
const KEEP_SECONDS = 30;
const VERSION = 'cars:version';

/**
 * Results of searches, shared by all tasks, in Redis or Valkey; nothing where there is none.
 *
 * Each belongs to a version, and every write begins a new one: what was found before is not looked at again, and nothing has to be
 * deleted. A cache that is lost, slow or wrong makes no error, only work.
 */
export class SearchCache {
  #client;
  #lost = false;

  /**
   * @param {string} url redis: or rediss: (TLS; its certificate is not checked with ?sslmode=no-verify); '' for no cache
   * @param {string} [password] instead of one in the URL
   */
  constructor(url, password = '') {
    if (url === '') return;
    const address = new URL(url);
    const unchecked = address.searchParams.get('sslmode') === 'no-verify';
    address.search = '';
    if (password) address.password = encodeURIComponent(password);
    this.#client = new Redis(address.href, {
      ...(address.protocol === 'rediss:' && { tls: { rejectUnauthorized: !unchecked } }),
      connectTimeout: CONNECT_MS,
      commandTimeout: COMMAND_MS,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: (attempt) => Math.min(attempt * 200, 5000),
      // A primary that has become a replica: connect anew, to the one that has taken over.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    });
    this.#client.on('error', (error) => {
      // Once for each time it is lost: it tries again and again.
      if (!this.#lost) log.warn('the cache does not answer: searches take longer', describeError(error));
      this.#lost = true;
    });
    this.#client.on('ready', () => {
      if (this.#lost) log.info('the cache is back');
      this.#lost = false;
    });
  }

  async #attempt(command) {
    try {
      return await command(this.#client);
    } catch {
      // The connection's own events say what is wrong.
      return undefined;
    }
  }

  /**
   * @param {object} filter what is searched for
   * @param {() => Promise<object>} find asks the database
   */
  async through(filter, find) {
    if (!this.#client) return find();
    // The version first: what is written while the database is asked begins another.
    const version = await this.#attempt((client) => client.get(VERSION));
    if (version === undefined) return find();
    const key = `cars:search:${version ?? 0}:${createHash('sha256').update(JSON.stringify(filter)).digest('base64url')}`;
    const kept = await this.#attempt(async (client) => JSON.parse(await client.get(key)));
    if (kept) return kept;
    const found = await find();
    // Nobody waits for this.
    this.#attempt((client) => client.set(key, JSON.stringify(found), 'EX', KEEP_SECONDS));
    return found;
  }

  /** Something was written, and is committed. */
  async renew() {
    if (this.#client) await this.#attempt((client) => client.incr(VERSION));
  }

  start() {}

  async stop() {
    this.#client?.disconnect();
  }
}
