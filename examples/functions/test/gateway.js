import { randomUUID } from 'node:crypto';
import http from 'node:http';

// What API Gateway takes for text; everything else reaches a function in base64.
const TEXT = /^(text\/|application\/(json|javascript|xml|x-www-form-urlencoded))/;

/**
 * As much of an HTTP API of API Gateway as the functions meet, as a server: it makes an event (payload format 2.0) of each request and
 * a response of what the handler returns.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
 *
 * @param {(event: object, context: object) => Promise<object>} handler
 */
export function createGateway(handler) {
  return http.createServer(async (request, response) => {
    const bytes = Buffer.concat(await request.toArray());
    const [rawPath, rawQueryString = ''] = request.url.split(/\?(.*)/s);
    const { cookie, ...headers } = request.headers;
    const text = TEXT.test(headers['content-type'] ?? '');
    const event = {
      version: '2.0',
      routeKey: '$default',
      rawPath,
      rawQueryString,
      ...(cookie && { cookies: cookie.split(/;\s*/) }),
      headers: { 'x-amzn-trace-id': `Root=1-${randomUUID().slice(0, 8)}-${randomUUID().replaceAll('-', '').slice(0, 24)}`, ...headers },
      requestContext: {
        http: { method: request.method, path: rawPath, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: headers['user-agent'] },
        requestId: randomUUID(),
        routeKey: '$default',
        stage: '$default',
        timeEpoch: Date.now(),
      },
      ...(bytes.length > 0 && { body: bytes.toString(text ? 'utf8' : 'base64') }),
      isBase64Encoded: bytes.length > 0 && !text,
    };
    let answer;
    try {
      answer = await handler(event, { awsRequestId: randomUUID() });
    } catch (error) {
      process.stderr.write(`${error.stack}\n`);
      answer = { statusCode: 500, headers: { 'Content-Type': 'application/json' }, body: '{"message":"Internal Server Error"}' };
    }
    const body = Buffer.from(answer.body ?? '', answer.isBase64Encoded ? 'base64' : 'utf8');
    response.writeHead(answer.statusCode, { ...answer.headers, 'Content-Length': body.length });
    response.end(body);
  });
}
