// Runs CloudFront Functions: one JSON request a line on standard input, one JSON answer a line on standard output.
//
// Request: {id, key, source (the first time a key is used), event (JSON text)}
// Answer:  {id, output (JSON text) | error (text), logs: [text], microseconds}
//
// A function sees what CloudFront's runtime (cloudfront-js-2.0) gives it: the language, console, Buffer, atob and btoa,
// require of crypto, querystring and buffer, and of CloudFront's own module the helper methods that choose origins. No
// network, file system, timers, eval or environment.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-javascript-runtime-20.html
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/helper-functions-origin-modification.html
'use strict';

const { createInterface } = require('node:readline');
const vm = require('node:vm');

// CloudFront stops a function after about a millisecond of CPU time; a busy machine needs patience.
const TIMEOUT_MS = 1000;
const ASYNC_TIMEOUT_MS = 500;
const MODULES = ['crypto', 'querystring', 'buffer'];

const compiled = new Map();

// The runtime knows this one import, on a line of its own.
const IMPORT = /^[ \t]*import\s+(\w+)\s+from\s+(['"])cloudfront\2;?[ \t]*$/m;

// What was chosen by a call of a function: a function that awaits something first is not told from one that runs meanwhile.
function helpers(choose) {
  const id = (origin) => (typeof origin === 'string' ? origin : origin.originId);
  return {
    selectRequestOriginById(origin, overrides) {
      if (overrides !== undefined) throw new Error('The lab knows no overrides of an origin.');
      choose({ origins: [id(origin)], codes: [] });
    },
    createRequestOriginGroup({ originIds, failoverCriteria, selectionCriteria = 'default' }) {
      if (!Array.isArray(originIds) || originIds.length !== 2) throw new Error('originIds must have two origins.');
      if (!failoverCriteria?.statusCodes?.length) throw new Error('failoverCriteria must have statusCodes.');
      if (selectionCriteria !== 'default') throw new Error('The lab knows the default selectionCriteria alone.');
      choose({ origins: originIds.map(id), codes: failoverCriteria.statusCodes });
    },
    updateRequestOrigin() {
      throw new Error('The lab does not know updateRequestOrigin.');
    },
  };
}

function compile(source) {
  let logs = [];
  let chosen = null;
  const log = (...words) => logs.push(words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' '));
  const globals = {
    console: { log, warn: log, error: log },
    Buffer,
    atob,
    btoa,
    require: (name) => {
      if (!MODULES.includes(name)) throw new Error(`Cannot find module '${name}'`);
      return require(`node:${name}`);
    },
    __cloudfront: helpers((choice) => { chosen = choice; }),
  };
  const context = vm.createContext(globals, { codeGeneration: { strings: false, wasm: false } });
  new vm.Script(source.replace(IMPORT, 'const $1 = __cloudfront;'), { filename: 'function.js' }).runInContext(context, { timeout: TIMEOUT_MS });
  if (!vm.runInContext("typeof handler === 'function'", context)) throw new Error('The function has no handler.');
  const call = new vm.Script('handler(JSON.parse(__event))');
  return {
    async run(event) {
      logs = [];
      chosen = null;
      context.__event = event;
      let result = call.runInContext(context, { timeout: TIMEOUT_MS });
      if (result && typeof result.then === 'function') {
        let timer;
        const late = new Promise((resolve, reject) => {
          timer = setTimeout(() => reject(new Error('The function timed out.')), ASYNC_TIMEOUT_MS);
        });
        result = await Promise.race([result, late]).finally(() => clearTimeout(timer));
      }
      if (chosen && result && !('statusCode' in result)) result.__origins = chosen;
      return { output: JSON.stringify(result ?? null), logs };
    },
    logs: () => logs,
  };
}

async function answer(line) {
  const { id, key, source, event } = JSON.parse(line);
  const start = process.hrtime.bigint();
  let reply;
  try {
    if (!compiled.has(key)) compiled.set(key, compile(source));
    reply = await compiled.get(key).run(event);
  } catch (error) {
    reply = { error: `${error.name}: ${error.message}`, logs: compiled.get(key)?.logs() ?? [] };
  }
  reply.microseconds = Number((process.hrtime.bigint() - start) / 1000n);
  process.stdout.write(`${JSON.stringify({ id, ...reply })}\n`);
}

createInterface({ input: process.stdin }).on('line', answer);
