import { randomUUID } from 'node:crypto';
import { describeError, log } from './log.js';
import { Loop } from './loop.js';

/** What SQS takes in one request. */
const BATCH = 10;
const SWEEP_MS = 5000;

/**
 * Tells other services what happened, through their queues.
 *
 * An event is written in the transaction of what it tells of: neither is there without the other, whatever SQS does and
 * wherever this process is killed. It is sent right after that by the process that wrote it, or by the next sweep of any. So an
 * event is sent at least once, and in no order; its id is how a consumer knows what it has seen.
 */
export class Outbox {
  #database;
  #sqs;
  #queueUrls;
  #loop;

  /**
   * @param {import('./database.js').Database} database with the table `outbox`
   * @param {import('@aws-sdk/client-sqs').SQS} sqs
   * @param {Record<string, string>} queueUrls by the name of the service that listens
   */
  constructor({ database, sqs, queueUrls, sweepMs = SWEEP_MS }) {
    this.#database = database;
    this.#sqs = sqs;
    this.#queueUrls = queueUrls;
    this.#loop = new Loop('outbox', () => this.#sendAll(), sweepMs);
  }

  start() {
    this.#loop.start();
  }

  /** Sends what is still to be sent, once: what fails is left to another process. */
  async stop() {
    await this.#loop.stop();
    await this.#sendAll().catch((error) => log.warn('outbox: left to another process', describeError(error)));
  }

  /**
   * Writes an event.
   *
   * @param {Function} query of the transaction
   * @param {string[]} listeners names of services
   */
  async write(query, listeners, type, data) {
    const event = { id: randomUUID(), type, time: new Date().toISOString(), data };
    for (const queue of listeners) await query('INSERT INTO outbox (queue, event) VALUES ($1, $2)', [queue, event]);
  }

  /** The transaction is committed: send. */
  kick() {
    this.#loop.kick();
  }

  async #sendAll() {
    let taken;
    do {
      // Taken for longer than SQS's client tries, and for longer with every failure. SKIP LOCKED: others go past what is just being taken.
      taken = await this.#database.query(
        `UPDATE outbox SET attempts = attempts + 1, taken_until = now() + interval '1 second' * 15 * 2 ^ least(attempts, 5)
         WHERE id IN (SELECT id FROM outbox WHERE taken_until <= now() ORDER BY id LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
         RETURNING id, queue, event`,
      );
      await Promise.all([...Map.groupBy(taken, (row) => row.queue)].map(([queue, rows]) => this.#send(queue, rows)));
    } while (taken.length === BATCH);
  }

  async #send(queue, rows) {
    try {
      const { Successful = [], Failed = [] } = await this.#sqs.sendMessageBatch({
        QueueUrl: this.#queueUrls[queue],
        Entries: rows.map(({ id, event }) => ({ Id: String(id), MessageBody: JSON.stringify(event) })),
      });
      await this.#database.query('DELETE FROM outbox WHERE id = ANY($1)', [Successful.map((entry) => entry.Id)]);
      if (Failed.length > 0) throw new Error(`SQS took ${Failed.length} events not: ${Failed[0].Code}: ${Failed[0].Message}`);
    } catch (error) {
      log.warn('outbox: events not sent yet', { queue, events: rows.length, ...describeError(error) });
    }
  }
}
