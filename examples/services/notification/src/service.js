import { Inbox, usersOf } from '@vahana-example/shared';
import { Contacts } from './contacts.js';
import { Deliveries } from './deliveries.js';
import { SENDERS } from './senders/index.js';
import { TEMPLATES } from './templates.js';

export const service = {
  name: 'notification',
  directory: new URL('../', import.meta.url),
  tables: ['inbox'],

  async create({ settings, database, sqs }) {
    const Senders = SENDERS[settings.choice('SENDERS', 'log', Object.keys(SENDERS))];
    const contacts = new Contacts(database);
    const deliveries = new Deliveries({ database, senders: new Senders(settings) });
    const tell = (query, data, event) => deliveries.write(query, data, event);
    const inbox = new Inbox({
      database,
      sqs,
      queueUrl: settings.url('QUEUE_URL_NOTIFICATION'),
      handlers: {
        ...Object.fromEntries(Object.keys(TEMPLATES).map((type) => [type, tell])),
        async 'user.signed_up'(query, data, event) {
          await contacts.write(query, data);
          await tell(query, data, event);
        },
      },
      done: () => deliveries.kick(),
    });

    const handlers = {
      list: async ({ user, query }) => ({ body: await deliveries.list(user.id, query.page) }),
      listDevices: async ({ user }) => ({ body: { items: await contacts.devices(user.id) } }),
      addDevice: async ({ user, body }) => ({ status: 201, body: await contacts.addDevice(user.id, body.token) }),
      removeDevice: async ({ user, params }) => contacts.removeDevice(user.id, params.id),
    };
    return { handlers, authentications: { user: usersOf(settings) }, workers: [inbox, deliveries] };
  },
};
