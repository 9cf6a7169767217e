// Runs CloudFront Functions: one JSON request a line on standard input, one JSON answer a line on standard output.
//
// Request: {id, key, source (the first time a key is used), event (JSON text)}
// Answer:  {id, output (JSON text) | error (text), logs: [text], microseconds}
//
// A function sees what CloudFront's runtime (cloudfront-js-2.0) gives it: the language, console, Buffer, atob and btoa,
// require of crypto, querystring and buffer. No network, file system, timers, eval or environment.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-javascript-runtime-20.html
'use strict';

const { createInterface } = require('node:readline');
const vm = require('node:vm');

// CloudFront stops a function after about a millisecond of CPU time; a slow machine needs some patience.
const TIMEOUT_MS = 50;
const ASYNC_TIMEOUT_MS = 500;
const MODULES = ['crypto', 'querystring', 'buffer'];

const compiled = new Map();

function compile(source) {
  let logs = [];
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
  };
  const context = vm.createContext(globals, { codeGeneration: { strings: false, wasm: false } });
  new vm.Script(source, { filename: 'function.js' }).runInContext(context, { timeout: TIMEOUT_MS });
  if (!vm.runInContext("typeof handler === 'function'", context)) throw new Error('The function has no handler.');
  const call = new vm.Script('handler(JSON.parse(__event))');
  return {
    async run(event) {
      logs = [];
      context.__event = event;
      let result = call.runInContext(context, { timeout: TIMEOUT_MS });
      if (result && typeof result.then === 'function') {
        let timer;
        const late = new Promise((resolve, reject) => {
          timer = setTimeout(() => reject(new Error('The function timed out.')), ASYNC_TIMEOUT_MS);
        });
        result = await Promise.race([result, late]).finally(() => clearTimeout(timer));
      }
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
