import { Loop, Outbox, userAuthentication } from '@vahana-example/shared';
import { Attempts } from './attempts.js';
import { SigningKeys } from './keys.js';
import { Logins } from './logins.js';
import { Users } from './users.js';

const FORGET_MS = 600_000;

export const service = {
  name: 'auth',
  directory: new URL('../', import.meta.url),
  tables: ['outbox'],

  async create({ settings, database, sqs }) {
    const issuer = settings.text('TOKEN_ISSUER', 'auth');
    const keys = await SigningKeys.from(settings.secret('TOKEN_KEYS'));
    const outbox = new Outbox({ database, sqs, queueUrls: { notification: settings.url('QUEUE_URL_NOTIFICATION') } });
    // log2 of scrypt's N: 15 takes 32 MiB for a password. Less is for tests.
    const users = new Users(database, outbox, settings.integer('PASSWORD_COST', 15, 10, 20));
    const logins = new Logins(database, keys, issuer);
    const attempts = new Attempts(database);
    const forgetting = new Loop('forgetting', () => Promise.all([logins.forget(), attempts.forget()]), FORGET_MS);

    const handlers = {
      keys: async () => ({ body: keys.published, headers: { 'Cache-Control': 'public, max-age=60' } }),
      signUp: async ({ body }) => ({ status: 201, body: await users.create(body) }),
      me: async ({ user }) => ({ body: await users.get(user.id) }),
      logIn: async ({ body, address }) => {
        const user = await attempts.limited(body.email, address, () => users.withPassword(body.email, body.password));
        return { status: 201, body: await logins.begin(user) };
      },
      refresh: async ({ body }) => ({ status: 201, body: await logins.renew(body.refresh_token) }),
      logOut: async ({ body }) => logins.end(body.refresh_token),
    };
    return { handlers, authentications: { user: userAuthentication(keys.verifying, issuer) }, workers: [forgetting], outbox };
  },
};
