import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, log } from './log.js';
import { unavailable } from './problem.js';

const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE']);
const TRIES = 4;
/** Of the deadline: a single answer that does not come leaves time for another try. */
const ATTEMPT_SHARE = 0.4;

/**
 * Another service, as this one calls it.
 *
 * A call has a deadline, within which it is tried again where doing it twice does no harm: by its method, or because it carries an
 * idempotency key. After some calls in a row that failed, the next ones fail at once for a while, so that a service that is away costs
 * those who need it a moment and not their patience, and can come back without all of them waiting at its door.
 */
export class Peer {
  #name;
  #url;
  #tokens;
  #deadlineMs;
  #tolerated;
  #restMs;
  #failures = 0;
  #restUntil = 0;

  /**
   * @param {string} name of the service
   * @param {string} url without a path
   * @param {import('./tokens.js').ServiceTokens} tokens
   */
  constructor(name, url, tokens, { deadlineMs = 3000, tolerated = 5, restMs = 3000 } = {}) {
    this.#name = name;
    this.#url = url;
    this.#tokens = tokens;
    this.#deadlineMs = deadlineMs;
    this.#tolerated = tolerated;
    this.#restMs = restMs;
  }

  /**
   * @returns {Promise<{status: number, body: object | undefined}>} whatever it answered below 500
   * @throws {import('./problem.js').Problem} 503 when it does not
   */
  async call(method, path, { body, requestId, idempotencyKey } = {}) {
    if (Date.now() < this.#restUntil) throw unavailable(this.#name, new Error(`${this.#name} failed often; not asked again yet`));
    const deadline = Date.now() + this.#deadlineMs;
    const repeatable = IDEMPOTENT.has(method) || idempotencyKey !== undefined;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await this.#attempt(method, path, { body, requestId, idempotencyKey }, deadline);
        this.#failures = 0;
        return answer;
      } catch (error) {
        // Others beside this one wait a different time.
        const pause = 50 * 2 ** attempt * (0.5 + Math.random());
        if (repeatable && attempt < TRIES && Date.now() + pause < deadline) {
          await sleep(pause);
          continue;
        }
        this.#failures += 1;
        // After the rest one call finds out: a single failure more and it goes on.
        if (this.#failures >= this.#tolerated) this.#restUntil = Date.now() + this.#restMs;
        log.warn('a call failed', { service: this.#name, method, path, attempt, request_id: requestId, ...describeError(error) });
        throw unavailable(this.#name, error);
      }
    }
  }

  async #attempt(method, path, { body, requestId, idempotencyKey }, deadline) {
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        Authorization: `Bearer ${await this.#tokens.sign(this.#name)}`,
        ...(requestId && { 'X-Request-Id': requestId }),
        ...(idempotencyKey && { 'Idempotency-Key': idempotencyKey }),
        ...(body && { 'Content-Type': 'application/json' }),
      },
      body: body && JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(Math.max(1, Math.min(this.#deadlineMs * ATTEMPT_SHARE, deadline - Date.now()))),
    });
    const text = await response.text();
    if (response.status >= 500) throw new Error(`${this.#name} answered ${response.status}`);
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }
}
