import { Inbox, Outbox, Peer, ServiceTokens, usersOf } from '@vahana-example/shared';
import { Claims } from './claims.js';
import { Policies } from './policies.js';
import { Quotes } from './quotes.js';

export const service = {
  name: 'insurance',
  directory: new URL('../', import.meta.url),
  tables: ['outbox', 'inbox'],

  async create({ settings, database, sqs }) {
    const tokens = new ServiceTokens('insurance', settings.secrets('SERVICE_SECRET'));
    const deadlineMs = settings.integer('PEER_DEADLINE_MS', 3000, 100, 60000);
    const [cars, payment] = ['cars', 'payment'].map((name) => new Peer(name, settings.url(`${name.toUpperCase()}_URL`), tokens, { deadlineMs }));
    const queueUrls = { payment: settings.url('QUEUE_URL_PAYMENT'), notification: settings.url('QUEUE_URL_NOTIFICATION') };
    const outbox = new Outbox({ database, sqs, queueUrls });
    const quotes = new Quotes({ database, cars, payment, validHours: settings.integer('QUOTE_VALID_HOURS', 168, 1, 720) });
    const policies = new Policies(database, outbox);
    const claims = new Claims(database, outbox, policies);
    const inbox = new Inbox({
      database,
      sqs,
      queueUrl: settings.url('QUEUE_URL_INSURANCE'),
      handlers: {
        'payment.succeeded': (query, data) => policies.issue(query, data),
        // The quote stays as it is: it can be paid until it expires.
        'payment.failed': async () => {},
        'payment.refunded': (query, data) => policies.refunded(query, data, 'paid'),
        'payment.refund_failed': (query, data) => policies.refunded(query, data, 'failed'),
      },
      done: () => outbox.kick(),
    });

    const handlers = {
      quote: async ({ user, body, requestId }) => ({ status: 201, body: await quotes.create(user.id, body, requestId) }),
      getQuote: async ({ user, params }) => ({ body: await quotes.get(user.id, params.id) }),
      accept: async ({ user, params, requestId }) => ({ body: await quotes.accept(user.id, params.id, requestId) }),
      listPolicies: async ({ user }) => ({ body: { items: await policies.list(user.id) } }),
      getPolicy: async ({ user, params }) => ({ body: await policies.get(user.id, params.id) }),
      cancel: async ({ user, params }) => ({ body: await policies.cancel(user.id, params.id) }),
      claim: async ({ user, params, body }) => ({ status: 201, body: await claims.create(user, params.id, body) }),
      listClaims: async ({ user, query }) => ({ body: { items: await claims.list(user, query.status) } }),
      getClaim: async ({ user, params }) => ({ body: await claims.get(user, params.id) }),
      moveClaim: async ({ user, params, body }) => ({ body: await claims.move(user, params.id, body) }),
    };
    return { handlers, authentications: { user: usersOf(settings) }, workers: [inbox], outbox };
  },
};
