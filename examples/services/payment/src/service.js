import { Inbox, Outbox, Problem, ServiceTokens, usersOf } from '@vahana-example/shared';
import { Intents } from './intents.js';
import { Orders } from './orders.js';
import { PROVIDERS } from './providers/index.js';

export const service = {
  name: 'payment',
  directory: new URL('../', import.meta.url),
  tables: ['outbox', 'inbox'],

  async create({ settings, database, sqs, port }) {
    const tokens = new ServiceTokens('payment', settings.secrets('SERVICE_SECRET'));
    // Those who may ask for payments have a queue for what becomes of them.
    const queueUrls = { insurance: settings.url('QUEUE_URL_INSURANCE'), notification: settings.url('QUEUE_URL_NOTIFICATION') };
    const Provider = PROVIDERS[settings.choice('PROVIDER', 'fake', Object.keys(PROVIDERS))];
    const timeoutMs = settings.integer('PROVIDER_TIMEOUT_MS', 3000, 10, 10000);
    const provider = new Provider({
      timeoutMs,
      secrets: settings.secrets('WEBHOOK_SECRET'),
      webhookUrl: () => settings.text('WEBHOOK_URL', `http://127.0.0.1:${port()}/api/payment/webhooks/provider`),
    });
    const outbox = new Outbox({ database, sqs, queueUrls });
    const orders = new Orders({ database, outbox, provider, timeoutMs });
    const intents = new Intents(database, orders);
    const inbox = new Inbox({
      database,
      sqs,
      queueUrl: settings.url('QUEUE_URL_PAYMENT'),
      handlers: { 'refund.requested': (query, data) => intents.refund(query, data) },
      done: () => orders.kick(),
    });

    const handlers = {
      async create({ service: caller, headers, body }) {
        if (!Object.hasOwn(queueUrls, caller)) throw new Problem(403, 'not_for_you', `${caller} has no queue to be told of payments by`);
        return { status: 201, body: await intents.create(caller, headers['idempotency-key'], body) };
      },
      list: async ({ user }) => ({ body: { items: await intents.list(user.id) } }),
      get: async ({ user, params }) => ({ body: await intents.get(user.id, params.intent_id) }),
      async confirm({ user, params, headers, body }) {
        const intent = await intents.confirm(user.id, params.intent_id, headers['idempotency-key'], body.payment_method);
        return { status: intent.status === 'succeeded' ? 200 : 202, body: intent };
      },
      async webhook({ rawBody, headers }) {
        const { charge_id: id, outcome, reason } = provider.parseEvent(rawBody, headers['provider-signature']);
        await orders.settle(id, outcome, reason);
      },
    };
    const authentications = { user: usersOf(settings), service: (request) => tokens.verify(request) };
    return { handlers, authentications, workers: [inbox, orders], outbox };
  },
};
