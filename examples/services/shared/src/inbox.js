import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, log } from './log.js';
import { Loop } from './loop.js';

const WAIT_SECONDS = 20;
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;
const HOUR_MS = 3600_000;

/**
 * Works on the events in this service's queue.
 *
 * SQS delivers at least once, and a message that came back from the dead letter queue has another message id: what was done is known by
 * the event's own id, kept in the transaction that does it. A message that cannot be worked on comes again, later each time, until
 * the queue's redrive policy takes it away.
 */
export class Inbox {
  #database;
  #sqs;
  #queueUrl;
  #handlers;
  #done;
  #abort = new AbortController();
  #receiving;
  #forgetting;
  #waitSeconds;

  /**
   * @param {import('./database.js').Database} database with the table `inbox`
   * @param {Record<string, (query: Function, data: object, event: object) => Promise>} handlers by the event's type
   * @param {() => void} done is told after each event that was worked on
   */
  constructor({ database, sqs, queueUrl, handlers, done = () => {}, waitSeconds = WAIT_SECONDS }) {
    this.#database = database;
    this.#sqs = sqs;
    this.#queueUrl = queueUrl;
    this.#handlers = handlers;
    this.#done = done;
    this.#waitSeconds = waitSeconds;
    // A queue keeps a message for 14 days at most, a dead letter queue for as long again.
    const forget = () => database.query("DELETE FROM inbox WHERE received_at < now() - interval '40 days'");
    this.#forgetting = new Loop('inbox', forget, HOUR_MS);
  }

  start() {
    this.#receiving = this.#receiveAll();
    this.#forgetting.start();
  }

  /** Takes no more messages, and ends those that it has. */
  async stop() {
    this.#abort.abort();
    await Promise.all([this.#receiving, this.#forgetting.stop()]);
  }

  async #receiveAll() {
    let failures = 0;
    while (!this.#abort.signal.aborted) {
      try {
        const { Messages = [] } = await this.#sqs.receiveMessage(
          {
            QueueUrl: this.#queueUrl,
            MaxNumberOfMessages: 10,
            WaitTimeSeconds: this.#waitSeconds,
            MessageSystemAttributeNames: ['ApproximateReceiveCount'],
          },
          { abortSignal: this.#abort.signal },
        );
        await Promise.all(Messages.map((message) => this.#work(message)));
        failures = 0;
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        failures += 1;
        log.warn('inbox: the queue does not answer', { failures, ...describeError(error) });
        await sleep(Math.min(1000 * 2 ** failures, 30_000), undefined, { signal: this.#abort.signal }).catch(() => {});
      }
    }
  }

  async #work({ MessageId, Body, ReceiptHandle, Attributes }) {
    const about = { message_id: MessageId };
    try {
      const event = parse(Body);
      Object.assign(about, { event_id: event.id, type: event.type });
      const handle = this.#handlers[event.type];
      // Of no concern here: producers may tell more than this release knows of.
      if (!handle) log.warn('inbox: unknown type of event', about);
      else if (await this.#once(event, handle)) log.info('inbox: done', about);
      else log.info('inbox: was done before', about);
      this.#done();
      await this.#sqs.deleteMessage({ QueueUrl: this.#queueUrl, ReceiptHandle });
    } catch (error) {
      const receives = Number(Attributes?.ApproximateReceiveCount ?? 1);
      log.error('inbox: failed, comes again', { ...about, receives, ...describeError(error) });
      const VisibilityTimeout = Math.min(2 ** receives, 300);
      await this.#sqs
        .changeMessageVisibility({ QueueUrl: this.#queueUrl, ReceiptHandle, VisibilityTimeout })
        // It comes again all the same, after the queue's own time.
        .catch(() => {});
    }
  }

  #once(event, handle) {
    return this.#database.transaction(async (query) => {
      const [first] = await query('INSERT INTO inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING event_id', [event.id]);
      if (first) await handle(query, event.data, event);
      return first !== undefined;
    });
  }
}

function parse(body) {
  let event;
  try {
    event = JSON.parse(body);
  } catch {
    // Its own message would repeat a part of the body in the log.
    throw new SyntaxError('the message is not JSON');
  }
  if (!UUID.test(event?.id ?? '')) throw new TypeError('the event has no usable id');
  if (typeof event.type !== 'string' || typeof event.data !== 'object' || event.data === null) {
    throw new TypeError('the event has no type or no data');
  }
  return event;
}
