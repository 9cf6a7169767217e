import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseUnavailableError } from './database/errors.js';
import { isIdempotencyKey, newId, UUID } from './listings/identity.js';
import { FIELDS, parseFilter, parseListing, ValidationError } from './listings/validation.js';
import { describeError } from './log.js';

export const MAX_BODY_BYTES = 64 * 1024;

// A load balancer waits 3 s for the health: an answer that comes later counts as none, and an instance without an answer is
// replaced, which does not help a database that is failing over.
const PING_MS = 1500;
const REQUEST_ID = /^[\w.:=;-]{1,200}$/;
const HEADERS = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

class HttpError extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

async function readJson(request) {
  const type = (request.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (type !== 'application/json') {
    throw new HttpError(415, 'unsupported_media_type', 'send JSON with Content-Type: application/json');
  }
  const bytes = await request.body();
  if (!bytes) throw new HttpError(413, 'too_large', `the body may have at most ${MAX_BODY_BYTES} bytes`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new HttpError(400, 'invalid_json', 'the body is not valid JSON');
  }
}

function idempotencyKey(request) {
  const key = request.headers['idempotency-key'];
  if (key === undefined || isIdempotencyKey(key)) return key;
  throw new HttpError(400, 'invalid_idempotency_key', 'Idempotency-Key takes 1 to 200 visible ASCII characters');
}

function errorAnswer(error) {
  if (error instanceof ValidationError) {
    return { status: 400, body: { code: 'invalid', message: error.message, fields: error.fields } };
  }
  if (error instanceof HttpError) {
    return { status: error.status, body: { code: error.code, message: error.message }, headers: error.headers };
  }
  if (error instanceof DatabaseUnavailableError) {
    const body = { code: 'database_unavailable', message: 'the service is busy recovering; try again shortly' };
    return { status: 503, body, headers: { 'Retry-After': '2' } };
  }
  return { status: 500, body: { code: 'internal', message: 'something went wrong on our side' } };
}

/** The id that whoever asks gave a request, or one of our own. */
export function requestIdOf(headers) {
  const offered = headers['x-request-id'] ?? headers['x-amzn-trace-id'] ?? '';
  return REQUEST_ID.test(offered) ? offered : randomUUID();
}

/**
 * The REST interface (docs/example-api.md), whatever brings the requests and keeps the listings: app.js is its server on a host,
 * examples/functions a Lambda function.
 *
 * @param {object} options
 * @param {object} options.listings
 *   search(filter, seen)        Promise of {items, next} for a filter of listings/validation.js
 *   get(id), remove(id)         Promise of the listing, of whether there was one
 *   create(id, fields)          Promise of the listing, undefined when the id is taken
 *   replace(id, fields)         Promise of the listing, undefined when there is none
 * @param {() => Promise<void>} options.ping resolves when the database answers
 * @param {(listing: object) => Promise<void> | void} options.announce tells others of a listing that was just created
 * @param {string} options.version
 * @param {object} options.log as log.js
 * @param {(headers: object) => string} [options.seen] position (position.js) of what whoever asks has written
 * @param {() => Promise<object>} [options.written] headers that tell whoever has written of its position
 * @returns {(request: {id: string, method: string, path: string, search: string, headers: object, body: () => Promise<Buffer | undefined>})
 *   => Promise<{status: number, headers: object, body?: string}>} path without the query, search is the query; names of headers are in
 *   lower case; body is undefined for one of more than MAX_BODY_BYTES. Never rejects.
 */
export function createApi({ listings, ping, announce, version, log, seen = () => '', written = async () => ({}) }) {
  const json = (status, value, headers = {}) => ({ status, headers: { ...HEADERS, ...headers }, body: JSON.stringify(value) });
  const notFound = () => new HttpError(404, 'not_found', 'there is nothing at this address');

  async function health({ search }) {
    try {
      // Both promises are handled by the race, also the one that comes second.
      const late = sleep(PING_MS, undefined, { ref: false }).then(() => {
        throw new DatabaseUnavailableError(new Error(`no answer within ${PING_MS} ms`));
      });
      await Promise.race([ping(), late]);
    } catch (error) {
      log.warn('health: the database does not answer', describeError(error.cause ?? error));
      // Whether it serves is one question, whether it lives another: in its place another would not reach the database either.
      const live = new URLSearchParams(search).get('live') === 'true';
      return json(live ? 200 : 503, { status: 'unavailable', version, database: 'unreachable' });
    }
    return json(200, { status: 'ok', version });
  }

  async function create(request) {
    const key = idempotencyKey(request);
    const fields = parseListing(await readJson(request));
    const id = newId(key);
    let listing = await listings.create(id, fields);
    if (listing) await announce(listing);
    else {
      listing = await listings.get(id);
      if (!listing || FIELDS.some((name) => listing[name] !== fields[name])) {
        throw new HttpError(409, 'conflict', 'this Idempotency-Key came with another listing');
      }
    }
    return json(201, listing, { Location: `/api/listings/${id}`, ...(await written()) });
  }

  const routes = [
    { path: /^\/api\/health$/, GET: health },
    { path: /^\/api\/version$/, GET: async () => json(200, { version, node: process.versions.node }) },
    {
      path: /^\/api\/listings$/,
      GET: async ({ search, headers }) => json(200, await listings.search(parseFilter(new URLSearchParams(search)), seen(headers))),
      POST: create,
    },
    {
      path: /^\/api\/listings\/([^/]+)$/,
      GET: async (request, id) => {
        const listing = UUID.test(id) && (await listings.get(id));
        if (!listing) throw notFound();
        return json(200, listing);
      },
      PUT: async (request, id) => {
        const fields = parseListing(await readJson(request));
        const listing = UUID.test(id) && (await listings.replace(id, fields));
        if (!listing) throw notFound();
        return json(200, listing, await written());
      },
      DELETE: async (request, id) => {
        if (!UUID.test(id) || !(await listings.remove(id))) throw notFound();
        return { status: 204, headers: await written() };
      },
    },
  ];

  async function dispatch(request) {
    for (const route of routes) {
      const match = route.path.exec(request.path);
      if (!match) continue;
      const handler = route[request.method === 'HEAD' ? 'GET' : request.method];
      if (handler) return handler(request, match[1]);
      const allow = Object.keys(route).filter((key) => key !== 'path').join(', ');
      throw new HttpError(405, 'method_not_allowed', `this address takes ${allow}`, { Allow: allow });
    }
    throw notFound();
  }

  return async function answer(request) {
    try {
      return await dispatch(request);
    } catch (error) {
      const { status, body, headers } = errorAnswer(error);
      if (status >= 500) {
        log.error('request failed', { request_id: request.id, path: request.path, ...describeError(error.cause ?? error) });
      }
      return json(status, { error: body, request_id: request.id }, headers);
    }
  };
}
