'use strict';
// Makes up a request that fits the contract, for tests that walk over all operations. What only a rule of the shop knows (that a
// price is in force, that a slug is free) is not its business.
const crypto = require('node:crypto');
const { PREFIXES } = require('./contract');

const TEXTS = ['a', 'aa', 'sample', 'A1', 'HK', '+852 5555 0100', 'sample-text', '2026-01-01'];
// By format or x-text.
const FORMATS = {
  'date-time': () => new Date().toISOString(),
  date: () => '2026-01-01',
  email: () => `sample.${crypto.randomBytes(6).toString('hex')}@people.example`,
  uri: () => 'http://127.0.0.1/',
  uuid: () => crypto.randomUUID(),
  phone: () => '+852 5555 0100',
  password: () => 'correct horse battery staple',
};

function newId(kind) {
  return `${PREFIXES[kind]}_${Date.now().toString(16).padStart(12, '0')}7${crypto.randomBytes(10).toString('hex').slice(0, 19)}`;
}

/** ids: {kind: wire identifier} to use; others are made up. used, if given, collects the kinds that were taken from ids. */
class Sampler {
  constructor(contract, ids = {}) {
    this.contract = contract;
    this.ids = ids;
    this.used = new Set();
  }

  #id(kind) {
    if (!this.ids[kind]) return newId(kind);
    this.used.add(kind);
    return this.ids[kind];
  }

  value(declared) {
    const schema = this.contract.schemaOf(declared) ?? {};
    if (schema['x-id']) return this.#id(schema['x-id']);
    if (schema.const !== undefined) return schema.const;
    if (schema.enum) return schema.enum[0];
    if (schema.examples?.length) return schema.examples[0];
    if (schema.example !== undefined) return schema.example;
    if (schema.default !== undefined) return schema.default;
    for (const choice of ['oneOf', 'anyOf']) if (schema[choice]) return this.value(schema[choice][0]);
    if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => this.value(part)));
    const type = [schema.type ?? (schema.properties ? 'object' : 'string')].flat()[0];
    if (type === 'object') return this.#object(schema);
    if (type === 'array') return Array.from({ length: Math.max(1, schema.minItems ?? 0) }, () => this.value(schema.items ?? {}));
    if (type === 'integer' || type === 'number') return schema.minimum ?? (schema.exclusiveMinimum === undefined ? 1 : schema.exclusiveMinimum + 1);
    if (type === 'boolean') return true;
    return type === 'null' ? null : this.#text(schema);
  }

  #object(schema) {
    const required = new Set(schema.required ?? []);
    const members = Object.entries(schema.properties ?? {}).filter(([, member]) => this.#wanted(member))
      .map(([name]) => name).concat([...required]);
    const made = Object.fromEntries([...new Set(members)].map((name) => [name, this.value(schema.properties[name])]));
    if (Object.keys(made).length < (schema.minProperties ?? 0)) {
      const [name, member] = Object.entries(schema.properties).find(([other]) => !(other in made));
      made[name] = this.value(member);
    }
    return made;
  }

  /** Optional members that name a thing we have are what such a test is about. */
  #wanted(member) {
    return this.ids[this.contract.schemaOf(member)?.['x-id']] !== undefined;
  }

  #text(schema) {
    const form = FORMATS[schema.format] ?? FORMATS[schema['x-text']];
    if (form) return form();
    const pattern = schema.pattern && new RegExp(schema.pattern, 'u');
    const fits = (text) => text.length >= (schema.minLength ?? 0) && text.length <= (schema.maxLength ?? Infinity) && (!pattern || pattern.test(text));
    const found = TEXTS.find(fits) ?? TEXTS.map((text) => text.repeat(Math.ceil((schema.minLength ?? 1) / text.length))).find(fits);
    if (found === undefined) throw new Error(`no sample fits ${JSON.stringify(schema)}`);
    return found;
  }

  /** {path, query, headers, body, contentType} of an operation, with required parameters and those that name a thing we have. */
  request(id) {
    const operation = this.contract.operation(id);
    const made = { path: {}, query: {}, headers: {} };
    for (const parameter of operation.parameters) {
      const ifMatch = parameter.name.toLowerCase() === 'if-match';
      if (!parameter.required && !ifMatch && !this.#wanted(parameter.schema)) continue;
      const place = { path: made.path, query: made.query, header: made.headers }[parameter.in];
      if (parameter.in === 'header' && parameter.name === 'Idempotency-Key') continue;
      place[parameter.name] = ifMatch ? '"1"' : this.value(parameter.schema);
    }
    const { types, schema } = this.contract.bodyOf(id);
    if (schema) made.body = this.value(schema);
    else if (types.length > 0) Object.assign(made, { body: 'sample', contentType: types[0].includes('*') ? 'image/png' : types[0] });
    return made;
  }
}

module.exports = { Sampler, newId };
