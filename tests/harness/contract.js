'use strict';
// api/openapi.yaml as an independent judge of the traffic: ajv knows nothing of our generator. Each request that a test
// sends as valid has to be valid here, each one sent as invalid has to be invalid here, and each answer has to be declared:
// its status, content type, headers and body.
const fs = require('node:fs');
const path = require('node:path');
const Ajv2020 = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;
const YAML = require('yaml');

const PREFIXES = Object.fromEntries([...fs.readFileSync(path.resolve(__dirname, '../../src/base/ids.def'), 'utf8')
  .matchAll(/^ID_KIND\((\w+), "(\w+)"\)/gm)].map((match) => [match[1], match[2]]));

/** x-id: order → the form of such an identifier, so that it is judged too. */
function spellIds(node) {
  if (Array.isArray(node)) node.forEach(spellIds);
  else if (node && typeof node === 'object') {
    if (typeof node['x-id'] === 'string') node.pattern ??= `^${PREFIXES[node['x-id']]}_[0-9a-f]{32}$`;
    Object.values(node).forEach(spellIds);
  }
}

const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options'];

class Contract {
  constructor(file = path.resolve(__dirname, '../../api/openapi.yaml')) {
    this.document = YAML.parse(fs.readFileSync(file, 'utf8'));
    spellIds(this.document);
    this.ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true, logger: false });
    addFormats(this.ajv);
    this.ajv.addSchema({ $id: 'contract:api', ...this.document });
    this.validators = new Map();
    this.operations = new Map();
    for (const [route, item] of Object.entries(this.document.paths)) {
      for (const method of METHODS) {
        if (!item[method]) continue;
        const pointer = ['paths', route, method];
        const operation = this.#operation(item[method], item, route, method, pointer);
        this.operations.set(operation.id, operation);
      }
    }
  }

  #operation(declared, item, route, method, pointer) {
    const parameters = [
      ...(item.parameters ?? []).map((value, index) => [value, ['paths', route, 'parameters', index]]),
      ...(declared.parameters ?? []).map((value, index) => [value, [...pointer, 'parameters', index]]),
    ].map(([value, at]) => this.#resolve(value, at)).map(({ value, at }) => ({ ...value, at }));
    return {
      id: declared.operationId, method: method.toUpperCase(), route, declared, pointer, parameters,
      roles: declared['x-role'] ?? [], idempotency: declared['x-idempotency'] ?? 'none',
    };
  }

  /** Follows a $ref of something that is not a schema; `at` is where it really stands. */
  #resolve(value, at) {
    let here = value;
    let where = at;
    while (here && here.$ref) {
      where = here.$ref.replace(/^#\//, '').split('/').map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'));
      here = where.reduce((node, key) => node[key], this.document);
    }
    return { value: here, at: where };
  }

  /** Follows the $refs of a schema. */
  schemaOf(schema) {
    return this.#resolve(schema, []).value;
  }

  /** The schema of an operation's JSON body, or undefined; and whether it has a body at all. */
  bodyOf(id) {
    const { value } = this.#resolve(this.operation(id).declared.requestBody, []);
    const content = value?.content ?? {};
    return { types: Object.keys(content), schema: content['application/json']?.schema };
  }

  operation(id) {
    const operation = this.operations.get(id);
    if (!operation) throw new Error(`the contract has no operation ${id}`);
    return operation;
  }

  /** Faults of a value under the schema at a place in the document, as lines of text. */
  #faults(value, at, what) {
    const pointer = at.map((part) => encodeURIComponent(String(part).replace(/~/g, '~0').replace(/\//g, '~1'))).join('/');
    let validate = this.validators.get(pointer);
    if (!validate) {
      validate = this.ajv.compile({ $ref: `contract:api#/${pointer}` });
      this.validators.set(pointer, validate);
    }
    if (validate(value)) return [];
    return validate.errors.map((error) => `${what}${error.instancePath}: ${error.message} ${JSON.stringify(error.params)}`);
  }

  /** request: {path, query, headers, body (parsed; undefined is none), contentType}. Faults, none where it is valid. */
  requestFaults(id, request) {
    const operation = this.operation(id);
    const faults = [];
    const known = { path: new Set(), query: new Set(), header: new Set() };
    for (const parameter of operation.parameters) {
      known[parameter.in]?.add(parameter.in === 'header' ? parameter.name.toLowerCase() : parameter.name);
      const value = parameter.in === 'path' ? request.path?.[parameter.name]
        : parameter.in === 'query' ? request.query?.[parameter.name]
          : headerOf(request.headers, parameter.name);
      const what = `${parameter.in} ${parameter.name}`;
      if (value === undefined || value === null) {
        if (parameter.required) faults.push(`${what}: is missing`);
        continue;
      }
      faults.push(...this.#faults(this.#typed(value, parameter), [...parameter.at, 'schema'], what));
    }
    for (const name of Object.keys(request.query ?? {})) {
      if (request.query[name] !== undefined && !known.query.has(name)) faults.push(`query ${name}: is not in the contract`);
    }
    const { value: body, at } = this.#resolve(operation.declared.requestBody, [...operation.pointer, 'requestBody']);
    if (request.body === undefined) {
      if (body?.required) faults.push('body: is missing');
    } else if (!body) {
      faults.push('body: is not in the contract');
    } else {
      const type = (request.contentType ?? 'application/json').split(';')[0].trim();
      const content = mediaType(body.content, type);
      if (!content) faults.push(`body: content type ${type} is not in the contract`);
      else if (body.content[content].schema && /json/.test(type)) {
        faults.push(...this.#faults(request.body, [...at, 'content', content, 'schema'], 'body'));
      }
    }
    return faults;
  }

  /** What a text in the address or a header stands for: numbers and booleans are written as text there. */
  #typed(value, parameter) {
    const { value: schema } = this.#resolve(parameter.schema, [...parameter.at, 'schema']);
    const one = (item, type) => {
      if (typeof item !== 'string') return item;
      if (type === 'integer' && /^-?\d+$/.test(item)) return Number(item);
      if (type === 'boolean' && (item === 'true' || item === 'false')) return item === 'true';
      return item;
    };
    if (schema.type === 'array') {
      const { value: items } = this.#resolve(schema.items, []);
      return (Array.isArray(value) ? value : [value]).map((item) => one(item, items.type));
    }
    return one(value, schema.type);
  }

  /** response: {status, headers, body (parsed JSON, or text), text, method}. Faults, none where it is as declared. */
  responseFaults(id, response) {
    const operation = this.operation(id);
    const responses = operation.declared.responses ?? {};
    const key = [String(response.status), `${String(response.status)[0]}XX`, 'default'].find((name) => responses[name]);
    if (!key) return [`status ${response.status} is not declared`];
    const { value: declared, at } = this.#resolve(responses[key], [...operation.pointer, 'responses', key]);
    const faults = [];
    for (const [name, header] of Object.entries(declared.headers ?? {})) {
      const { value: wanted, at: headerAt } = this.#resolve(header, [...at, 'headers', name]);
      const found = response.headers[name.toLowerCase()];
      if (found === undefined) {
        if (wanted.required) faults.push(`header ${name}: is missing`);
      } else if (wanted.schema) {
        faults.push(...this.#faults(this.#typed(found, { ...wanted, at: headerAt }), [...headerAt, 'schema'], `header ${name}`));
      }
    }
    const type = (response.headers['content-type'] ?? '').split(';')[0].trim();
    if (!declared.content) {
      if (response.text) faults.push(`status ${response.status} is declared without a body, and there is one`);
      return faults;
    }
    if (operation.method === 'HEAD') return faults;
    const content = mediaType(declared.content, type);
    if (!content) return [...faults, `content type "${type}" is not declared for status ${response.status}`];
    if (/json/.test(type)) {
      if (response.malformed) return [...faults, `the body is not JSON: ${response.malformed}`];
      if (declared.content[content].schema) faults.push(...this.#faults(response.body, [...at, 'content', content, 'schema'], 'answer'));
    }
    return faults;
  }
}

function mediaType(content, type) {
  if (!content) return undefined;
  const family = `${type.split('/')[0]}/*`;
  return [type, family, '*/*'].find((name) => content[name] !== undefined);
}

function headerOf(headers, name) {
  const key = Object.keys(headers ?? {}).find((one) => one.toLowerCase() === name.toLowerCase());
  return key === undefined ? undefined : headers[key];
}

module.exports = { Contract, PREFIXES };
