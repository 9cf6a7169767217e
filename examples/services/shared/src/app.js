import { randomUUID } from 'node:crypto';
import { DatabaseUnavailableError } from './database.js';
import { describeError, log } from './log.js';
import { Problem, unavailable } from './problem.js';

const MAX_BODY_BYTES = 64 * 1024;
const REQUEST_ID = /^[\w.:=;-]{1,200}$/;
const COMMON = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

function send(response, status, value, headers, type = 'application/json') {
  if (value === undefined) return response.writeHead(status, { ...COMMON, ...headers }).end();
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': body.length, ...COMMON, ...headers });
  return response.end(response.req.method === 'HEAD' ? undefined : body);
}

async function readBody(request) {
  const type = (request.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (type !== 'application/json') throw new Problem(415, 'unsupported_media_type', 'send JSON with Content-Type: application/json');
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      throw new Problem(413, 'too_large', `the body may have at most ${MAX_BODY_BYTES} bytes`, { headers: { Connection: 'close' } });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJson(raw) {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(raw));
  } catch {
    throw new Problem(400, 'invalid_json', 'the body is not valid JSON');
  }
}

function problemOf(error) {
  if (error instanceof Problem) return error;
  if (error instanceof DatabaseUnavailableError) return unavailable('database', error.cause);
  return new Problem(500, 'internal', 'something went wrong on our side', { cause: error });
}

/**
 * The request handler of a service.
 *
 * @param {object} options
 * @param {import('./contract.js').Contract} options.contract
 * @param {Record<string, (context: object) => Promise<{status?: number, body?: object, headers?: object}>>} options.handlers by operationId.
 *   A context has params, query, body, rawBody, headers, address, requestId, and under the name of the security scheme who sends it.
 * @param {Record<string, (request: object) => Promise<object>>} options.authentications by name of the contract's security scheme
 * @param {string} options.healthPath whose requests are not logged: load balancers ask every few seconds
 * @param {number} options.trustedProxies how many proxies before us add the address of whom they serve (X-Forwarded-For)
 * @throws {Error} when contract and handlers do not fit
 */
export function createApp({ contract, handlers, authentications, healthPath, trustedProxies = 0 }) {
  const promised = contract.operations.map((operation) => operation.id);
  const odd = [...promised.filter((id) => !handlers[id]), ...Object.keys(handlers).filter((id) => !promised.includes(id))];
  if (odd.length > 0) throw new Error(`in the contract or in the handlers only: ${odd.join(', ')}`);

  function addressOf(request) {
    const path = [...(request.headers['x-forwarded-for'] ?? '').split(',').map((each) => each.trim()), request.socket.remoteAddress];
    return path.at(-1 - trustedProxies) || path[0] || request.socket.remoteAddress;
  }

  async function authenticate(operation, request) {
    const [scheme] = operation.security;
    return scheme && { [scheme]: await authentications[scheme](request) };
  }

  async function answer(request, response, pathname, search, requestId) {
    const { operation, params } = contract.match(request.method, pathname);
    // First who, then what: strangers learn nothing about a request's form.
    const who = await authenticate(operation, request);
    contract.parseHeaders(operation, request.headers);
    const query = contract.parseQuery(operation, new URLSearchParams(search));
    const rawBody = operation.takesBody ? await readBody(request) : undefined;
    const body = operation.takesBody ? contract.parseBody(operation, parseJson(rawBody)) : undefined;
    const context = { ...who, params, query, body, rawBody, headers: request.headers, address: addressOf(request), requestId };
    const { status = 200, body: value, headers } = (await handlers[operation.id](context)) ?? { status: 204 };
    send(response, status, value, headers);
  }

  return async function handle(request, response) {
    const started = performance.now();
    const offered = request.headers['x-request-id'] ?? request.headers['x-amzn-trace-id'] ?? '';
    const requestId = REQUEST_ID.test(offered) ? offered : randomUUID();
    response.setHeader('X-Request-Id', requestId);
    // Only the path: a query may hold what a person searched for.
    const [pathname, search = ''] = request.url.split(/\?(.*)/s);
    response.once('close', () => {
      if (pathname === healthPath) return;
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
      await answer(request, response, pathname, search, requestId);
    } catch (error) {
      const { status, code, message: detail, fields, headers } = problemOf(error);
      if (status >= 500) log.error('request failed', { request_id: requestId, path: pathname, problem: code, ...describeError(error) });
      if (response.headersSent || response.destroyed) return response.destroy();
      const problem = { type: 'about:blank', title: code.replaceAll('_', ' '), status, code, detail, ...(fields && { fields }), request_id: requestId };
      return send(response, status, problem, headers, 'application/problem+json');
    }
  };
}
