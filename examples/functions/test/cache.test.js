import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';

process.env.AWS_LAMBDA_LOG_LEVEL = 'FATAL';
const { cachePlace, keepSearches, openCache } = await import('../src/cache.js');

const PASSWORD = 'open-sesame';

/** As much of Valkey as the cache asks: no TLS, the scripts by what they do. Its clock is the test's. */
async function valkey(t, password = PASSWORD) {
  const server = { us: 1_800_000_000_000_000, kept: new Map(), asked: [], sockets: new Set() };
  const text = (value) => (value === undefined ? '$-1\r\n' : `$${Buffer.byteLength(value)}\r\n${value}\r\n`);
  const answers = {
    AUTH: (given) => (given === password ? '+OK\r\n' : '-WRONGPASS no\r\n'),
    INFO: () => text('loading:0\r\n'),
    GET: (key) => text(server.kept.get(key)),
    SET: (key, value) => {
      server.kept.set(key, value);
      return '+OK\r\n';
    },
    EVAL: (script, _count, key) => {
      const written = server.kept.get(key);
      if (!script.includes("'SET'")) return `*2\r\n${text(written ?? '0')}${text(String(server.us))}`;
      server.kept.set(key, String(Math.max(server.us, Number(written ?? 0) + 1)));
      return '$-1\r\n';
    },
  };
  const listener = net.createServer((socket) => {
    server.sockets.add(socket);
    socket.on('error', () => {});
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
      for (;;) {
        const [head, ...rest] = received.split('\r\n');
        const count = Number(head.slice(1)) * 2;
        if (!head || rest.length <= count) return;
        // The scripts have lines of their own, with line feeds alone.
        const [name, ...words] = rest.slice(0, count).filter((_part, index) => index % 2 === 1);
        received = rest.slice(count).join('\r\n');
        server.asked.push(name.toUpperCase());
        socket.write((answers[name.toUpperCase()] ?? (() => '+OK\r\n'))(...words));
      }
    });
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  server.lose = () => {
    listener.close();
    for (const socket of server.sockets) socket.destroy();
  };
  server.place = { host: '127.0.0.1', port: listener.address().port, password: PASSWORD };
  t.after(server.lose);
  return server;
}

/** Listings that count how often they are searched. */
function table() {
  const rows = [];
  return {
    rows,
    searches: 0,
    async ping() {},
    get: async (id) => rows.find((row) => row.id === id),
    async create(id, fields) {
      return rows.some((row) => row.id === id) ? undefined : rows[rows.push({ id, ...fields }) - 1];
    },
    async replace(id, fields) {
      const row = rows.find((each) => each.id === id);
      return row && Object.assign(row, fields);
    },
    async remove(id) {
      const place = rows.findIndex((row) => row.id === id);
      return place >= 0 && Boolean(rows.splice(place, 1));
    },
    async search() {
      this.searches += 1;
      return { items: rows.map((row) => ({ ...row })), next: null };
    },
  };
}

async function open(t, where, listings) {
  const settings = { table: 'cars' };
  const cache = openCache(where, null);
  t.after(() => cache.close());
  await cache.ready;
  return { settings, visible: keepSearches(listings, cache, async () => settings) };
}

describe('a cache of searches', () => {
  test('answers what was asked before, until something is written', async (t) => {
    const server = await valkey(t);
    const listings = table();
    const { settings, visible } = await open(t, async () => server.place, listings);
    await visible.create('1', { price: 5 });
    server.us += 3_000_000;
    const writes = [
      () => visible.create('2', { price: 6 }),
      () => visible.replace('1', { price: 7 }),
      () => visible.remove('2'),
    ];
    for (const write of writes) {
      const first = await visible.search({ q: 'a' });
      const before = listings.searches;
      assert.deepEqual(await visible.search({ q: 'a' }), first);
      assert.equal(listings.searches, before);
      await visible.search({ q: 'b' });
      assert.equal(listings.searches, before + 1);
      await write();
      assert.notDeepEqual(await visible.search({ q: 'a' }), first);
      server.us += 3_000_000;
    }
    // A write that was none changes nothing.
    await visible.search({ q: 'a' });
    const before = listings.searches;
    assert.equal(await visible.remove('none'), false);
    await visible.search({ q: 'a' });
    assert.equal(listings.searches, before);
    // What was found in a table is nothing of the one in its place.
    settings.table = 'cars-restored';
    await visible.search({ q: 'a' });
    assert.equal(listings.searches, before + 1);
  });

  test('keeps nothing that an index may not have yet', async (t) => {
    const server = await valkey(t);
    const listings = table();
    const { visible } = await open(t, async () => server.place, listings);
    await visible.create('1', { price: 5 });
    server.us += 1_000_000;
    await visible.search({});
    await visible.search({});
    assert.equal(listings.searches, 2);
    server.us += 1_500_000;
    await visible.search({});
    await visible.search({});
    assert.equal(listings.searches, 3);
  });

  test('two writes are never at one position', async (t) => {
    const server = await valkey(t);
    const listings = table();
    const { visible } = await open(t, async () => server.place, listings);
    await visible.create('1', {});
    const first = server.kept.get('listings:written');
    await visible.create('2', {});
    assert.ok(Number(server.kept.get('listings:written')) > Number(first));
  });

  test('is missed by nobody when it is lost', async (t) => {
    const server = await valkey(t);
    const listings = table();
    const { visible } = await open(t, async () => server.place, listings);
    await visible.search({});
    server.lose();
    for (let round = 0; round < 3; round += 1) {
      const began = performance.now();
      assert.ok(await visible.create(`after-${round}`, {}));
      assert.equal((await visible.search({})).items.length, round + 1);
      assert.ok(performance.now() - began < 1000);
    }
  });

  const kinds = {
    'says where it is to nobody': async () => {
      throw new Error('AccessDeniedException');
    },
    'is at no place': async () => ({ host: '127.0.0.1', port: 1, password: PASSWORD }),
    'does not know the password': async (t) => (await valkey(t, 'another')).place,
  };
  for (const [kind, where] of Object.entries(kinds)) {
    test(`one that ${kind} is no error, and holds nobody up`, async (t) => {
      const began = performance.now();
      const listings = table();
      const { visible } = await open(t, () => where(t), listings);
      await visible.create('1', {});
      assert.equal((await visible.search({})).items.length, 1);
      assert.ok(performance.now() - began < 2000);
    });
  }

  test('is found by a parameter, and opened by a secret', async () => {
    const ssm = { send: async ({ input }) => ({ Parameter: { Value: JSON.stringify({ host: 'h', port: 6379, secret: input.Name }) } }) };
    const secrets = { send: async ({ input }) => ({ SecretString: JSON.stringify({ password: `of ${input.SecretId}` }) }) };
    assert.deepEqual(await cachePlace(ssm, secrets, '/cars/prod/cache')(), {
      host: 'h',
      port: 6379,
      password: 'of /cars/prod/cache',
    });
  });
});
