import { log } from './log.js';
import { keepOnce } from './output.js';

// It becomes part of an object's key.
const EVENT_ID = /^[\w-]{1,128}$/;

/**
 * The Lambda handler of one queue.
 *
 * SQS delivers at least once, and a message that came back from the dead letter queue has another message id: what a
 * message is about is known by the id that its producer gave the event. What is made of an event is kept under that id, by a
 * write that only the first one wins, so doing it and remembering that it is done are one step. An effect outside (an
 * e-mail service) belongs before that write and is given the same id as its own idempotency key.
 *
 * Messages of a batch are worked on by themselves: those that failed are named and come again, the others are done.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 *
 * @param {string} queue name of the queue, part of the output's key
 * @param {(event: object) => object} produce makes the output of an event; throws for one that it cannot take
 */
export function consumer(queue, produce) {
  async function work(record, requestId) {
    const about = { queue, request_id: requestId, message_id: record.messageId };
    try {
      const event = parse(record.body);
      about.event_id = event.id;
      const output = { event_id: event.id, message_id: record.messageId, queue, output: produce(event) };
      const first = await keepOnce(`${queue}/${event.id}.json`, output);
      log('INFO', first ? 'done' : 'was done before', about);
      return true;
    } catch (error) {
      const receives = Number(record.attributes?.ApproximateReceiveCount ?? 1);
      log('ERROR', 'failed', { ...about, receives, error: error.message, code: error.name });
      return false;
    }
  }

  return async ({ Records: records }, context) => {
    const done = await Promise.all(records.map((record) => work(record, context?.awsRequestId)));
    return {
      batchItemFailures: records.filter((_, index) => !done[index]).map(({ messageId }) => ({ itemIdentifier: messageId })),
    };
  };
}

function parse(body) {
  let event;
  try {
    event = JSON.parse(body);
  } catch {
    // Its own message would repeat a part of the body in the log.
    throw new SyntaxError('the message is not JSON');
  }
  if (!EVENT_ID.test(event?.id ?? '')) throw new TypeError('the event has no usable id');
  if (event.type !== 'listing.created') throw new TypeError(`unknown type of event '${event.type}'`);
  if (typeof event.listing?.id !== 'string') throw new TypeError('the event has no listing');
  return event;
}
