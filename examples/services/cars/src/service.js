import { notFound, Outbox, Problem, usersOf } from '@vahana-example/shared';
import { SearchCache } from './cache.js';
import { Cars } from './cars.js';

function checked(car) {
  const newest = new Date().getUTCFullYear() + 1;
  if (car.year > newest) throw new Problem(400, 'invalid', 'some values are missing or wrong', { fields: { year: `must be <= ${newest}` } });
  return car;
}

export const service = {
  name: 'cars',
  directory: new URL('../', import.meta.url),
  tables: ['outbox'],

  async create({ settings, database, sqs }) {
    const outbox = new Outbox({ database, sqs, queueUrls: { notification: settings.url('QUEUE_URL_NOTIFICATION') } });
    const cache = new SearchCache(settings.text('REDIS_URL', ''), settings.text('REDIS_PASSWORD', ''));
    const cars = new Cars(database, outbox, cache);

    async function own(user, id) {
      const car = await cars.get(id);
      if (!car) throw notFound();
      if (car.owner_id !== user.id) throw new Problem(403, 'not_yours', 'only who listed a car may change it');
    }
    const handlers = {
      search: async ({ query }) => ({ body: await cars.search(query) }),
      async create({ user, body }) {
        const car = await cars.create(user.id, checked(body));
        return { status: 201, body: car, headers: { Location: `/api/cars/${car.id}` } };
      },
      async get({ params }) {
        const car = await cars.get(params.car_id);
        if (!car) throw notFound();
        return { body: car };
      },
      async replace({ user, params, body }) {
        await own(user, params.car_id);
        return { body: await cars.replace(params.car_id, checked(body)) };
      },
      async remove({ user, params }) {
        await own(user, params.car_id);
        await cars.remove(params.car_id);
      },
    };
    return { handlers, authentications: { user: usersOf(settings) }, helpers: [cache], outbox };
  },
};
