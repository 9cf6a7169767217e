import { createApi, MAX_BODY_BYTES, requestIdOf } from './api.js';
import { NO_CACHE } from './cache.js';
import { Reads } from './database/reads.js';
import { Announcer } from './events.js';
import { ListingRepository } from './listings/repository.js';
import { describeError, log } from './log.js';
import { positionOf, rememberPosition } from './position.js';
import { createStaticHandler } from './static.js';

async function readBody(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(response, { status, headers, body }) {
  response.writeHead(status, {
    ...headers,
    ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }),
    // Of a body that is too large the rest was not read.
    ...(status === 413 && { Connection: 'close' }),
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

/**
 * The request handler of the application: its API and its pages.
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
  const listings = new ListingRepository(database, reads, cache, announcer.enabled);
  const oneTruth = !reads.replicated && cache === NO_CACHE;
  const serveStatic = createStaticHandler(publicDirectory);

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

  const api = createApi({
    listings,
    ping: () => database.ping(),
    announce: (listing) => announcer.announce(listing),
    version,
    log,
    seen: positionOf,
    written,
  });

  return async function handle(request, response) {
    const started = performance.now();
    const id = requestIdOf(request.headers);
    response.setHeader('X-Request-Id', id);
    // Only the path: a query may hold what a person searched for.
    const [path, search = ''] = request.url.split(/\?(.*)/s);
    response.once('close', () => {
      // Load balancers ask every few seconds; what they are told when it is bad news is logged by the API.
      if (path === '/api/health') return;
      log.info('request', {
        request_id: id,
        method: request.method,
        path,
        status: response.statusCode,
        duration_ms: Math.round((performance.now() - started) * 10) / 10,
        ...(!response.writableFinished && { aborted: true }),
      });
    });
    const ofApi = path === '/api' || path.startsWith('/api/');
    if (!ofApi && serveStatic(request, response, path)) return;
    const { method, headers } = request;
    const answer = await api({ id, method, path, search, headers, body: () => readBody(request) });
    if (!response.destroyed) send(response, answer);
  };
}
