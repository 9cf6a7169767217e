import { existsSync, readFileSync } from 'node:fs';
import { createApi, MAX_BODY_BYTES, requestIdOf } from '../../backend/src/api.js';
import packageJson from '../package.json' with { type: 'json' };
import { announce } from './announcing.js';
import { log } from './log.js';
import { visible } from './visible.js';

// The archive of a release says which one it is: a published version keeps its environment for ever.
const release = `${import.meta.dirname}/release.json`;

const api = createApi({
  listings: visible,
  ping: () => visible.ping(),
  announce,
  version: existsSync(release) ? JSON.parse(readFileSync(release, 'utf8')).version : packageJson.version,
  log,
});

async function bodyOf({ body = '', isBase64Encoded }) {
  const bytes = Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');
  return bytes.length > MAX_BODY_BYTES ? undefined : bytes;
}

/**
 * The Lambda handler of all requests of an HTTP API, payload format 2.0.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
 */
export async function handler(event, context) {
  const started = performance.now();
  const { rawPath: path, rawQueryString: search, headers } = event;
  const { method } = event.requestContext.http;
  const id = requestIdOf(headers);
  const answer = await api({ id, method, path, search, headers, body: () => bodyOf(event) });
  if (path !== '/api/health') {
    log.info('request', {
      request_id: id,
      requestId: context.awsRequestId,
      method,
      path,
      status: answer.status,
      duration_ms: Math.round((performance.now() - started) * 10) / 10,
    });
  }
  return {
    statusCode: answer.status,
    headers: { ...answer.headers, 'X-Request-Id': id },
    body: method === 'HEAD' ? '' : (answer.body ?? ''),
  };
}
