// The runtime of a Lambda function: events come as lines of JSON on standard input, answers go as lines to another file
// descriptor; what the function writes to standard output and error is its log.
//
// Arguments: folder of the code, handler (src/email.handler), number of that descriptor; of a function in a VPC its name server.
// Event:  {id, deadline (ms since 1970), event, arn, name, memory, group, stream}
// Answer: {result} | {error: {errorType, errorMessage, trace}}; a first {ready: true} once the handler is loaded.
//
// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html, nodejs-context.html. As of nodejs24.x a handler is an
// async function, or returns a promise or a value; callbacks are gone.
import dns from 'node:dns';
import { existsSync, writeSync } from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [folder, name, descriptor, nameServer] = process.argv.slice(2);
const answer = (value) => writeSync(Number(descriptor), `${JSON.stringify(value)}\n`);

function described(error) {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error), trace: [] };
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') };
}

function failed(error, kind) {
  const details = described(error);
  process.stderr.write(`${JSON.stringify({ level: 'ERROR', message: kind, ...details })}\n`);
  answer({ error: details });
}

// Node asks the machine for names. In a VPC its resolver is asked, which passes on what it does not know.
if (nameServer) {
  const resolver = new dns.Resolver();
  resolver.setServers([nameServer]);
  const machine = dns.lookup;
  dns.lookup = (host, options, callback = options) => {
    if (isIP(host) || host === 'localhost') return machine(host, options, callback);
    return resolver.resolve4(host, (error, addresses) => {
      if (error) callback(error);
      else if (options.all) callback(null, addresses.map((address) => ({ address, family: 4 })));
      else callback(null, addresses[0], 4);
    });
  };
}

async function load(folder, name) {
  const [, module, exported] = /^(.*)\.([^.]+)$/.exec(name) ?? [];
  if (!module) throw new Error(`Bad handler ${name}`);
  const file = ['.js', '.mjs', '.cjs', ''].map((end) => path.join(folder, module + end)).find((each) => existsSync(each));
  if (!file) throw Object.assign(new Error(`Cannot find module '${module}'`), { name: 'Runtime.ImportModuleError' });
  const loaded = await import(pathToFileURL(file).href);
  const handler = loaded[exported] ?? loaded.default?.[exported];
  if (typeof handler !== 'function') {
    throw Object.assign(new Error(`${name} is undefined or not exported`), { name: 'Runtime.HandlerNotFound' });
  }
  if (handler.length > 2) throw Object.assign(new Error('handlers with a callback are not supported'), { name: 'Runtime.CallbackHandler' });
  return handler;
}

let handler;
try {
  handler = await load(folder, name);
} catch (error) {
  failed(error, 'init failed');
  process.exit(1);
}
answer({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, deadline, event, arn, name: functionName, memory, group, stream } = JSON.parse(line);
  const context = {
    awsRequestId: id,
    functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: arn,
    memoryLimitInMB: String(memory),
    logGroupName: group,
    logStreamName: stream,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
  try {
    answer({ result: (await handler(event, context)) ?? null });
  } catch (error) {
    failed(error, 'invocation failed');
  }
}
process.exit(0);
