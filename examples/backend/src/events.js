import { setTimeout as sleep } from 'node:timers/promises';
import { allTaken, BATCH, createdEvent, sendToAll } from './listings/announcement.js';
import { ListingRepository } from './listings/repository.js';
import { describeError, log } from './log.js';

const SWEEP_MS = 30_000;
const CLOSE_MS = 2000;

/**
 * Tells the queues of each listing that was created.
 *
 * The listing itself remembers that this is still to be done (to_announce), in the same INSERT that creates it: a created listing
 * without its messages cannot be, whatever SQS does and wherever this process is killed. The request does not wait. Right after it the
 * process that served it sends the messages; what that missed is sent by the next sweep of any process. So messages are sent at
 * least once; the event's id is the listing's, by which consumers know what they have seen.
 *
 * @param {{database: object, queueUrls: string[], sweepMs?: number}} options database as database/index.js describes it; no
 *   queueUrls: nothing happens
 */
export class Announcer {
  #listings;
  #queueUrls;
  #sqs;
  #timer;
  #sweeping = false;
  #work = new Set();

  constructor({ database, queueUrls, sweepMs = SWEEP_MS }) {
    this.#listings = new ListingRepository(database);
    this.#queueUrls = queueUrls;
    if (!this.enabled) return;
    // Younger ones are on their way from the process that created them.
    this.#timer = setInterval(() => this.#track(this.#sweep(new Date(Date.now() - sweepMs).toISOString())), sweepMs).unref();
  }

  get enabled() {
    return this.#queueUrls.length > 0;
  }

  /** Begins to tell of a listing that was just created. */
  announce(listing) {
    if (this.enabled) this.#track(this.#tell([listing]));
  }

  /** Stops, and waits a little for what is being sent: what is not is sent by another process. */
  async close() {
    clearInterval(this.#timer);
    await Promise.race([Promise.all(this.#work), sleep(CLOSE_MS, undefined, { ref: false })]);
    (await this.#sqs)?.destroy();
  }

  /** The client, loaded with the first message: where there are no queues nobody pays for it. */
  #client() {
    // The endpoint comes from region and environment as for any AWS client; a queue's URL names the queue only.
    this.#sqs ??= import('@aws-sdk/client-sqs').then(({ SQS }) => new SQS({ useQueueUrlAsEndpoint: false }));
    return this.#sqs;
  }

  #track(promise) {
    const tracked = promise
      // A failure is no loss: the next sweep finds the listing again.
      .catch((error) => log.error('listings not announced yet', describeError(error.cause ?? error)))
      .finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }

  async #sweep(createdBefore) {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      let waiting;
      do {
        waiting = await this.#listings.toAnnounce(createdBefore, BATCH);
        if (waiting.length > 0) await this.#tell(waiting);
      } while (waiting.length === BATCH);
    } finally {
      this.#sweeping = false;
    }
  }

  async #tell(listings) {
    const { sent, failed } = await sendToAll(await this.#client(), this.#queueUrls, listings.map(createdEvent));
    await this.#listings.announced(sent);
    allTaken(failed);
  }
}
