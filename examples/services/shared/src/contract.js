import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';
import { notFound, Problem } from './problem.js';

const COMMON = new URL('../common.yaml', import.meta.url);
const METHODS = ['get', 'put', 'post', 'patch', 'delete'];
const pointer = (...parts) => `contract#/${parts.map((part) => encodeURIComponent(String(part).replace(/~/g, '~0').replace(/\//g, '~1'))).join('/')}`;
const typeOf = (header) => (header ?? '').split(';')[0].trim().toLowerCase();

function explain({ keyword, params, message }) {
  if (keyword === 'required') return 'is required';
  if (keyword === 'additionalProperties') return 'is not a field here';
  if (keyword === 'enum') return `must be one of ${params.allowedValues.join(', ')}`;
  return message;
}

/** PostgreSQL cannot store NUL; a lone surrogate is no Unicode text at all. */
const isText = (value) => !value.includes('\0') && value.isWellFormed();

function findBadText(value, path, fields) {
  if (typeof value === 'string' && !isText(value)) fields[path] = 'has characters that are not text';
  else if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) findBadText(inner, path ? `${path}.${key}` : key, fields);
  }
}

/** A contract with everything it refers to in itself. */
function read(file) {
  const text = readFileSync(file, 'utf8');
  const document = parse(text.replaceAll('../shared/common.yaml#/', '#/'));
  for (const [kind, items] of Object.entries(parse(readFileSync(COMMON, 'utf8')).components)) {
    document.components = { ...document.components, [kind]: { ...document.components?.[kind], ...items } };
  }
  return document;
}

/**
 * A service's openapi.yaml (OpenAPI 3.1, whose schemas are JSON Schema), which is what it goes by: it says which requests there are, who may
 * send them and what must be in them. Handlers see nothing that it does not allow.
 */
export class Contract {
  #ajv = addFormats(new Ajv2020({ allErrors: true, strict: true, strictRequired: false, allowUnionTypes: true }));
  // Text from a URL becomes the number or truth that it stands for.
  #urlAjv = addFormats(new Ajv2020({ allErrors: true, coerceTypes: true, useDefaults: true }));
  #operations = [];

  /** @param {URL} file */
  constructor(file) {
    this.document = read(file);
    // Whole documents are no schemas: these are OpenAPI's own words at the top of one.
    const words = Object.keys(this.document);
    for (const ajv of [this.#ajv, this.#urlAjv]) ajv.addVocabulary(words).addSchema(this.document, 'contract');
    for (const [path, reference] of Object.entries(this.document.paths)) {
      const item = this.#resolve(reference);
      for (const method of METHODS.filter((each) => item[each])) this.#operations.push(this.#operation(path, method, item));
    }
    // /cars/health before /cars/{id}
    this.#operations.sort((one, other) => one.variables.length - other.variables.length);
  }

  get operations() {
    return this.#operations;
  }

  #operation(path, method, item) {
    const definition = item[method];
    const parameters = [...(item.parameters ?? []), ...(definition.parameters ?? [])].map((each) => this.#resolve(each));
    const variables = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const urlSchema = (place) => ({
      type: 'object',
      properties: Object.fromEntries(
        parameters.filter((each) => each.in === place).map((each) => [each.name, this.#absolute(each.schema)]),
      ),
      required: parameters.filter((each) => each.in === place && each.required).map((each) => each.name),
    });
    return {
      id: definition.operationId,
      method: method.toUpperCase(),
      path,
      variables,
      pattern: new RegExp(`^${path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '([^/]+)')}$`),
      security: (definition.security ?? []).flatMap(Object.keys),
      takesBody: definition.requestBody !== undefined,
      responses: definition.responses,
      checkPath: this.#urlAjv.compile(urlSchema('path')),
      checkQuery: this.#urlAjv.compile(urlSchema('query')),
      checkHeaders: this.#urlAjv.compile(urlSchema('header')),
      checkBody:
        definition.requestBody &&
        this.#schemaAt(definition.requestBody, ['paths', path, method, 'requestBody'], ['content', 'application/json', 'schema']),
    };
  }

  /** The check of a schema in an item, which is either here or where it refers to. */
  #schemaAt(item, here, within) {
    const check = this.#ajv.getSchema(pointer(...(item.$ref ? item.$ref.slice(2).split('/') : here), ...within));
    if (!check) throw new Error(`the contract has no schema at ${here.join(' ')}`);
    return check;
  }

  /** References inside of a parameter's schema, written as seen from anywhere. */
  #absolute(schema) {
    return JSON.parse(JSON.stringify(schema), (key, value) => (key === '$ref' && value.startsWith('#') ? `contract${value}` : value));
  }

  #resolve(item) {
    if (!item.$ref) return item;
    return item.$ref.slice(2).split('/').reduce((inner, key) => inner[key], this.document);
  }

  /**
   * The operation that a request asks for.
   *
   * @returns {{operation: object, params: object}}
   * @throws {Problem} 404, 405
   */
  match(method, pathname) {
    const allowed = new Set();
    for (const operation of this.#operations) {
      const found = operation.pattern.exec(pathname);
      const params = Object.fromEntries(operation.variables.map((name, index) => [name, found?.[index + 1]]));
      // An id of another form names nothing.
      if (!found || !operation.checkPath(params)) continue;
      if (operation.method === (method === 'HEAD' ? 'GET' : method)) return { operation, params };
      allowed.add(operation.method);
    }
    if (allowed.size === 0) throw notFound();
    const Allow = [...allowed].join(', ');
    throw new Problem(405, 'method_not_allowed', `this address takes ${Allow}`, { headers: { Allow } });
  }

  /** The query of a request, with the defaults for what it leaves out. */
  parseQuery(operation, search) {
    const query = Object.fromEntries([...search].filter(([, value]) => value !== ''));
    this.#demand(operation.checkQuery, query);
    return query;
  }

  parseHeaders(operation, headers) {
    this.#demand(operation.checkHeaders, { ...headers });
  }

  parseBody(operation, body) {
    this.#demand(operation.checkBody, body);
    return body;
  }

  #demand(check, value) {
    const fields = {};
    findBadText(value, '', fields);
    if (!check(value)) {
      for (const error of check.errors) {
        const within = error.instancePath.slice(1).split('/').filter(Boolean);
        const last = error.params.missingProperty ?? error.params.additionalProperty;
        fields[[...within, ...(last === undefined ? [] : [last])].join('.') || 'body'] ??= explain(error);
      }
    }
    if (Object.keys(fields).length > 0) throw new Problem(400, 'invalid', 'some values are missing or wrong', { fields });
  }

  /**
   * What is wrong with a response, '' when it is as promised. For tests: a service does not check itself at work.
   *
   * @param {string} contentType of the response
   * @param {object | undefined} body undefined for none
   */
  faultOf(operation, status, contentType, body) {
    const key = operation.responses[status] ? String(status) : 'default';
    if (!operation.responses[key]) return `${operation.id} answers ${status}, which is not in its contract`;
    const response = this.#resolve(operation.responses[key]);
    if (!response.content) return body === undefined ? '' : `${operation.id} ${status} has a body, and none in its contract`;
    const type = typeOf(contentType);
    if (!response.content[type]) return `${operation.id} ${status} is of type '${type}'`;
    const here = ['paths', operation.path, operation.method.toLowerCase(), 'responses', key];
    const check = this.#schemaAt(operation.responses[key], here, ['content', type, 'schema']);
    return check(body) ? '' : `${operation.id} ${status}: ${this.#ajv.errorsText(check.errors)} in ${JSON.stringify(body)}`;
  }
}
