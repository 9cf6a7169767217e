import { describeError, log } from '../log.js';
import { DatabaseUnavailableError } from './errors.js';

/**
 * Reads from a read replica where that is as good as the database itself, and from the database otherwise.
 *
 * A replica that lacks what the reader must see, fails, or is too slow (postgres.js: replica) is passed over, and nobody
 * notices. After it could not be reached it is left alone for a while, so that a lost one costs one reader a moment.
 */
export class Reads {
  #database;
  #replica;
  #retryMs;
  #leaveAloneUntil = 0;

  constructor(database, replica, { retryMs = 10000 } = {}) {
    this.#database = database;
    this.#replica = replica;
    this.#retryMs = retryMs;
  }

  get replicated() {
    return this.#replica !== undefined;
  }

  /**
   * @param {string} needed position (position.js) that the reader must see
   * @param {(database: object) => Promise} read may run twice
   */
  async run(needed, read) {
    if (this.#replica && Date.now() >= this.#leaveAloneUntil) {
      try {
        if (needed === '' || (await this.#replica.hasReached(needed))) return await read(this.#replica);
      } catch (error) {
        // Also what only a replica refuses: a query in the way of what it replays, a table that it does not have yet.
        if (error instanceof DatabaseUnavailableError) {
          this.#leaveAloneUntil = Date.now() + this.#retryMs;
          log.warn('reading from the database: its replica does not answer', describeError(error.cause ?? error));
        }
      }
    }
    return read(this.#database);
  }
}
