import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, log } from '@vahana-example/shared';
import { parseSigned, sign } from './signature.js';

/** How much later than anybody waits for an answer a webhook comes. */
const LATER_MS = 1000;

/** What each payment method of the fake provider does. Any other is declined. */
const METHODS = {
  pm_succeeds: async () => ({ outcome: 'succeeded' }),
  pm_declined: async () => ({ outcome: 'declined', reason: 'insufficient_funds' }),
  // It fails when asked first, and succeeds then.
  pm_needs_retry: async (provider, { id }) => {
    if (provider.asked(id) === 1) throw new Error('the provider is busy');
    return { outcome: 'succeeded' };
  },
  // It succeeds, but says so by the webhook only, or to who asks again.
  pm_times_out: async (provider, { id }, signal) => {
    if (provider.asked(id) > 1) return { outcome: 'succeeded' };
    provider.announceLater({ type: 'charge.settled', charge_id: id, outcome: 'succeeded' });
    await sleep(2 ** 31 - 1, undefined, { signal, ref: false });
    return undefined;
  },
};

/**
 * A provider for trying out and for tests: it moves no money, and what it does depends on nothing but the payment method. It keeps in
 * memory what it was asked for, as long as the process lives.
 */
export class FakeProvider {
  #asked = new Map();
  #secrets;
  #webhookUrl;
  #announceMs;

  /**
   * @param {string[]} secrets of its webhooks: the first signs, all are accepted
   * @param {() => string} webhookUrl where it says what became of a charge
   * @param {number} timeoutMs how long it is waited for
   */
  constructor({ secrets, webhookUrl, timeoutMs }) {
    this.#secrets = secrets;
    this.#webhookUrl = webhookUrl;
    this.#announceMs = timeoutMs + LATER_MS;
  }

  asked(id) {
    return this.#asked.get(id);
  }

  async charge(charge, signal) {
    this.#asked.set(charge.id, (this.#asked.get(charge.id) ?? 0) + 1);
    const method = METHODS[charge.method] ?? (async () => ({ outcome: 'declined', reason: 'unknown_method' }));
    return method(this, charge, signal);
  }

  async refund() {
    return { outcome: 'succeeded' };
  }

  parseEvent(rawBody, signature) {
    return parseSigned(this.#secrets, rawBody, signature);
  }

  announceLater(event) {
    setTimeout(async () => {
      try {
        const body = JSON.stringify(event);
        const headers = { 'Content-Type': 'application/json', 'Provider-Signature': sign(this.#secrets[0], body) };
        const answer = await fetch(this.#webhookUrl(), { method: 'POST', headers, body, signal: AbortSignal.timeout(5000) });
        if (!answer.ok) throw new Error(`the webhook was answered with ${answer.status}`);
      } catch (error) {
        log.warn('the webhook did not arrive: the charge is asked for again', describeError(error));
      }
    }, this.#announceMs).unref();
  }
}
