import './quiet.js';
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import pg from 'pg';
import { AUDIENCE, Database, ServiceTokens } from '../src/index.js';
import { migrate } from '../src/migrations.js';
import { start } from '../src/service.js';
import { testCommon } from './common.js';
import { atEnd } from './end.js';
import { linkTo } from './link.js';
import { startSqs } from './sqs.js';
import { until } from './until.js';

export { atEnd, linkTo, startSqs, testCommon, until };

const HOST = '127.0.0.1';
export const SERVICE_SECRET = randomBytes(32).toString('base64url');
Object.assign(process.env, { AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });

/** An empty database on the server of DATABASE_URL, gone after the tests. @returns {Promise<string>} its URL */
export async function emptyDatabase() {
  const server = process.env.DATABASE_URL;
  assert.ok(server, 'give the URL of a PostgreSQL that may make databases: DATABASE_URL=postgres://user@127.0.0.1:5432/postgres');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const ask = async (sql) => {
    const client = new pg.Client(server);
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  await ask(`CREATE DATABASE ${name}`);
  atEnd(() => ask(`DROP DATABASE ${name} WITH (FORCE)`));
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

/** Lets a database take no writes from connections that are yet to be made, as if it were a replica, or again some. */
export async function setReadOnly(url, wanted) {
  // Of the server: a session of the database itself would be read-only, too.
  const client = new pg.Client(process.env.DATABASE_URL);
  await client.connect();
  const name = new URL(url).pathname.slice(1);
  await client.query(`ALTER DATABASE ${name} SET default_transaction_read_only = ${wanted ? 'on' : 'off'}`).finally(() => client.end());
}

/** A service's schema in a database of its own. @returns {Promise<Database>} */
export async function emptySchema(service) {
  const database = new Database(await emptyDatabase(), service.name);
  await migrate(database, service);
  atEnd(() => database.close());
  return database;
}

/** A server on loopback until the tests end. @returns {Promise<string>} its URL */
export async function serve(handle) {
  const server = http.createServer(handle);
  await once(server.listen(0, HOST), 'listening');
  atEnd(() => server.close() && server.closeAllConnections());
  return `http://${HOST}:${server.address().port}`;
}

/** Stands for auth: gives its keys, signs what it would sign. */
export async function startIssuer() {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { extractable: true });
  const key = { ...(await exportJWK(publicKey)), kid: 'test', alg: 'EdDSA', use: 'sig' };
  const issuer = { away: false };
  issuer.url = await serve((request, response) => {
    if (issuer.away) return response.writeHead(503).end();
    return response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ keys: [key] }));
  });
  issuer.token = ({ id = randomUUID(), roles = [], expires = '5m', audience = AUDIENCE, kid = 'test' } = {}) =>
    new SignJWT({ roles })
      .setProtectedHeader({ alg: 'EdDSA', kid })
      .setIssuer('auth')
      .setAudience(audience)
      .setSubject(id)
      .setIssuedAt()
      .setExpirationTime(expires)
      .sign(privateKey);
  return issuer;
}

/** The token of a service that calls another. */
export const serviceToken = (from, to, secret = SERVICE_SECRET) => new ServiceTokens(from, [secret]).sign(to);

/**
 * A client that takes nothing from a service but what its contract promises.
 *
 * @param {string} url
 * @param {import('../src/contract.js').Contract} contract
 */
export function clientOf(url, contract) {
  const seen = new Set();

  async function call(method, path, { body, token, headers = {}, raw } = {}) {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...(token && { Authorization: `Bearer ${await token}` }),
        ...headers,
      },
      body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
    });
    const text = await response.text();
    const type = response.headers.get('content-type');
    const json = text === '' ? undefined : JSON.parse(text);
    const pathname = path.split('?')[0];
    const operation = contract.operations.find((each) => each.method === method && each.pattern.test(pathname));
    if (operation) {
      assert.equal(contract.faultOf(operation, response.status, type, json), '');
      seen.add(`${operation.id} ${response.status}`);
    } else {
      assert.ok([404, 405].includes(response.status), `${method} ${path} is in no contract, and answers ${response.status}`);
    }
    return { status: response.status, headers: response.headers, body: json };
  }

  /** Fails when the contract promises an answer that no test has seen. */
  function assertAllSeen() {
    const promised = contract.operations.flatMap(({ id, responses }) =>
      Object.keys(responses).filter((status) => status !== 'default').map((status) => `${id} ${status}`),
    );
    assert.deepEqual(promised.filter((each) => !seen.has(each)), []);
  }
  return { url, call, assertAllSeen };
}

/**
 * Runs a service in this process, its schema new.
 *
 * @param {object} service as service.js describes it
 * @param {Record<string, string>} env its settings; those that all need are there
 */
export async function startService(service, env = {}) {
  const sqs = await startSqs();
  const issuer = await startIssuer();
  const databaseLink = await linkTo(await emptyDatabase());
  const settings = {
    HOST,
    PORT: '0',
    DRAIN_MS: '0',
    LINGER_MS: '0',
    APP_VERSION: '1.2.3-test',
    DATABASE_URL: databaseLink.url,
    AUTH_URL: issuer.url,
    SERVICE_SECRET,
    ...Object.fromEntries(sqs.names.map((name) => [`QUEUE_URL_${name.toUpperCase()}`, sqs.url(name)])),
    ...env,
  };
  const schema = new Database(settings.DATABASE_URL, service.name);
  await migrate(schema, service);
  await schema.close();
  const { port, database, contract, stop } = await start(service, settings);
  atEnd(stop);
  /** Lets the database take no writes, as a replica, or again some. */
  const readOnly = async (wanted) => {
    await setReadOnly(settings.DATABASE_URL, wanted);
    // What is connected has what was so when it began.
    databaseLink.cut();
    databaseLink.mend();
  };
  return { name: service.name, ...clientOf(`http://${HOST}:${port}`, contract), database, databaseLink, readOnly, sqs, issuer, settings };
}
