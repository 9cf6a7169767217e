import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_CACHE } from './cache.js';
import { DatabaseUnavailableError } from './database/errors.js';
import { Reads } from './database/reads.js';
import { Announcer } from './events.js';
import { ListingRepository } from './listings/repository.js';
import { parseFilter, parseListing, ValidationError } from './listings/validation.js';
import { describeError, log } from './log.js';
import { positionOf, rememberPosition } from './position.js';
import { createStaticHandler } from './static.js';

// A load balancer waits 3 s for the health: an answer that comes later counts as none, and an instance without an answer is
// replaced, which does not help a database that is failing over.
const PING_MS = 1500;
const MAX_BODY_BYTES = 64 * 1024;
const REQUEST_ID = /^[\w.:=;-]{1,200}$/;

class HttpError extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

function sendJson(response, status, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

async function readJson(request) {
  const type = (request.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (type !== 'application/json') {
    throw new HttpError(415, 'unsupported_media_type', 'send JSON with Content-Type: application/json');
  }
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      throw new HttpError(413, 'too_large', `the body may have at most ${MAX_BODY_BYTES} bytes`, { Connection: 'close' });
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    throw new HttpError(400, 'invalid_json', 'the body is not valid JSON');
  }
}

function errorResponse(error) {
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

/**
 * The request handler of the application.
 *
 * @param {{database: object, reads: object, cache: object, announcer: Announcer, version: string, publicDirectory: URL}} options
 *   as database/index.js, database/reads.js, cache.js and events.js describe them; without `reads` and `cache` all comes from the
 *   database, without `announcer` nobody is told
 */
export function createApp({
  database,
  reads = new Reads(database),
  cache = NO_CACHE,
  announcer = new Announcer({ database, queueUrls: [] }),
  version,
  publicDirectory,
}) {
  const listings = new ListingRepository(database, reads, cache);
  const oneTruth = !reads.replicated && cache === NO_CACHE;
  const serveStatic = createStaticHandler(publicDirectory);
  const notFound = () => new HttpError(404, 'not_found', 'there is nothing at this address');

  async function health(request, response) {
    try {
      // Both promises are handled by the race, also the one that comes second.
      const late = sleep(PING_MS, undefined, { ref: false }).then(() => {
        throw new DatabaseUnavailableError(new Error(`no answer within ${PING_MS} ms`));
      });
      await Promise.race([database.ping(), late]);
    } catch (error) {
      log.warn('health: the database does not answer', describeError(error.cause ?? error));
      sendJson(response, 503, { status: 'unavailable', version, database: 'unreachable' });
      return;
    }
    sendJson(response, 200, { status: 'ok', version });
  }

  async function written() {
    if (oneTruth) return {};
    try {
      return rememberPosition(await listings.position());
    } catch (error) {
      // What was written is written, whatever becomes of the question how far it is.
      log.warn('the position of a write is not known', describeError(error.cause ?? error));
      return {};
    }
  }

  const routes = [
    { path: /^\/api\/health$/, GET: health },
    {
      path: /^\/api\/version$/,
      GET: async (request, response) => sendJson(response, 200, { version, node: process.versions.node }),
    },
    {
      path: /^\/api\/listings$/,
      GET: async (request, response, { query }) =>
        sendJson(response, 200, await listings.search(parseFilter(query), positionOf(request))),
      POST: async (request, response) => {
        const listing = await listings.create(parseListing(await readJson(request)), announcer.enabled);
        announcer.announce(listing);
        sendJson(response, 201, listing, { Location: `/api/listings/${listing.id}`, ...(await written()) });
      },
    },
    {
      path: /^\/api\/listings\/([^/]+)$/,
      GET: async (request, response, { id }) => {
        const listing = await listings.get(id);
        if (!listing) throw notFound();
        sendJson(response, 200, listing);
      },
      PUT: async (request, response, { id }) => {
        const listing = await listings.replace(id, parseListing(await readJson(request)));
        if (!listing) throw notFound();
        sendJson(response, 200, listing, await written());
      },
      DELETE: async (request, response, { id }) => {
        if (!(await listings.remove(id))) throw notFound();
        response.writeHead(204, await written()).end();
      },
    },
  ];

  async function dispatch(request, response, pathname, query) {
    for (const route of routes) {
      const match = route.path.exec(pathname);
      if (!match) continue;
      const handler = route[request.method === 'HEAD' ? 'GET' : request.method];
      if (!handler) {
        const allow = Object.keys(route).filter((key) => key !== 'path').join(', ');
        throw new HttpError(405, 'method_not_allowed', `this address takes ${allow}`, { Allow: allow });
      }
      await handler(request, response, { query, id: match[1] });
      return;
    }
    if (pathname === '/api' || pathname.startsWith('/api/') || !serveStatic(request, response, pathname)) throw notFound();
  }

  return async function handle(request, response) {
    const started = performance.now();
    const offered = request.headers['x-request-id'] ?? request.headers['x-amzn-trace-id'] ?? '';
    const requestId = REQUEST_ID.test(offered) ? offered : randomUUID();
    response.setHeader('X-Request-Id', requestId);
    // Only the path: a query may hold what a person searched for.
    const [pathname, search = ''] = request.url.split(/\?(.*)/s);
    response.once('close', () => {
      // Load balancers ask every few seconds; what they are told when it is bad news is logged above.
      if (pathname === '/api/health') return;
      log.info('request', {
        request_id: requestId,
        method: request.method,
        path: pathname,
        status: response.statusCode,
        duration_ms: Math.round((performance.now() - started) * 10) / 10,
        ...(!response.writableFinished && { aborted: true }),
      });
    });
    try {
      await dispatch(request, response, pathname, new URLSearchParams(search));
    } catch (error) {
      const { status, body, headers } = errorResponse(error);
      if (status >= 500) {
        log.error('request failed', { request_id: requestId, path: pathname, ...describeError(error.cause ?? error) });
      }
      if (response.headersSent || response.destroyed) response.destroy();
      else sendJson(response, status, { error: body, request_id: requestId }, headers);
    }
  };
}
