import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd } from './end.js';

const md5 = (text) => createHash('md5').update(text).digest('hex');

/**
 * As much of SQS as the services need, in memory; it fails as it is told.
 *
 *   url(name)         of a queue
 *   events(name)      what was ever sent to a queue
 *   put(name, event)  sends an event, or a text that is none
 *   waiting(name)     how many messages are still in a queue, received or not
 *   away              true: it answers nothing; 'half': the first of each batch is refused
 */
export async function startSqs(names = ['insurance', 'payment', 'notification']) {
  const queues = new Map(names.map((name) => [name, []]));
  const sent = new Map(names.map((name) => [name, []]));
  const sqs = { names, away: false };
  const put = (name, body) => {
    queues.get(name).push({ MessageId: randomUUID(), Body: body, receives: 0, visibleAt: 0 });
  };

  const actions = {
    SendMessageBatch(name, { Entries }) {
      const refused = sqs.away === 'half' ? Entries.splice(0, 1) : [];
      for (const { MessageBody } of Entries) {
        sent.get(name).push(JSON.parse(MessageBody));
        put(name, MessageBody);
      }
      return {
        // The client compares the digest with what it sent.
        Successful: Entries.map(({ Id, MessageBody }) => ({ Id, MessageId: randomUUID(), MD5OfMessageBody: md5(MessageBody) })),
        Failed: refused.map(({ Id }) => ({ Id, Code: 'InternalError', Message: 'later', SenderFault: false })),
      };
    },
    async ReceiveMessage(name, { MaxNumberOfMessages }) {
      for (let wait = 0; wait < 20; wait += 1) {
        const ready = queues.get(name).filter((message) => message.visibleAt <= Date.now()).slice(0, MaxNumberOfMessages);
        if (ready.length > 0) {
          return {
            Messages: ready.map((message) => {
              message.visibleAt = Date.now() + 30_000;
              message.receives += 1;
              const { MessageId, Body } = message;
              const Attributes = { ApproximateReceiveCount: String(message.receives) };
              return { MessageId, Body, ReceiptHandle: MessageId, MD5OfBody: md5(Body), Attributes };
            }),
          };
        }
        await sleep(25);
      }
      return {};
    },
    DeleteMessage(name, { ReceiptHandle }) {
      queues.set(name, queues.get(name).filter((message) => message.MessageId !== ReceiptHandle));
      return {};
    },
    ChangeMessageVisibility(name, { ReceiptHandle, VisibilityTimeout }) {
      const found = queues.get(name).find((message) => message.MessageId === ReceiptHandle);
      // A hundredth of the time: nobody wants to wait for it.
      if (found) found.visibleAt = Date.now() + VisibilityTimeout * 10;
      return {};
    },
  };

  const server = http.createServer(async (request, response) => {
    const parameters = JSON.parse(Buffer.concat(await request.toArray()).toString());
    const action = request.headers['x-amz-target'].split('.')[1];
    response.setHeader('Content-Type', 'application/x-amz-json-1.0');
    if (sqs.away === true) return response.writeHead(400).end('{"__type": "AccessDeniedException", "message": "no"}');
    return response.end(JSON.stringify(await actions[action](parameters.QueueUrl.split('/').at(-1), parameters)));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  atEnd(() => server.close() && server.closeAllConnections());
  process.env.AWS_ENDPOINT_URL = `http://127.0.0.1:${server.address().port}`;
  return Object.assign(sqs, {
    url: (name) => `https://sqs.us-east-1.amazonaws.com/123456789012/${name}`,
    events: (name) => sent.get(name),
    put: (name, event) => put(name, typeof event === 'string' ? event : JSON.stringify(event)),
    waiting: (name) => queues.get(name).length,
  });
}
