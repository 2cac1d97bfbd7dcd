'use strict';
// Values that a schema of the contract allows, at its bounds and between them, and values just beyond them.
const { PREFIXES } = require('../harness/contract');

/** Numbers by seed (mulberry32): the same seed walks the same way. */
class Chance {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** 0 <= x < 1 */
  fraction() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  below(count) {
    return Math.floor(this.fraction() * count);
  }

  between(least, most) {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  happens(probability) {
    return this.fraction() < probability;
  }

  of(list) {
    return list[this.below(list.length)];
  }

  hex(digits) {
    return Array.from({ length: digits }, () => this.below(16).toString(16)).join('');
  }

  /** A UUIDv7 without dashes, of about now. */
  id(kind) {
    return `${PREFIXES[kind]}_${Date.now().toString(16).padStart(12, '0')}7${this.hex(3)}8${this.hex(15)}`;
  }
}

const WORDS = ['jade', 'silk', 'teapot', 'Harbour', 'lantern', '絲綢', '茶壺', 'é', 'M', '10', 'red'];
const WIDE = ['😀', '𠮷', '𝄞', '🧧']; // four bytes each in UTF-8, one code point
const ODD = ['\u0000', '\u001f', '\u200b', '\u202e', '\u3000', '\u0301', '"', '\\', '\'', '<', '%', '\ufeff', '\ud83d\ude00'];
const TIMES = ['2026-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999Z', '2038-01-19T03:14:08Z', '2016-12-31T23:59:60Z',
  '2026-06-30T12:00:00+14:00', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59-14:00'];

/**
 * How a value stands in its bounds: `least` and `most` are at them, `plain` is what people send, `mixed` draws for each
 * member anew.
 */
const STYLES = ['plain', 'least', 'most', 'mixed'];

class Values {
  constructor(contract, chance) {
    this.contract = contract;
    this.chance = chance;
  }

  /** pick(kind) gives an identifier that is there. */
  make(declared, style, pick) {
    const schema = this.contract.schemaOf(declared) ?? {};
    const here = style === 'mixed' ? this.chance.of(['plain', 'plain', 'least', 'most', 'between']) : style;
    if (schema['x-id']) return pick(schema['x-id']);
    if (schema.const !== undefined) return schema.const;
    if (schema.enum) return here === 'least' ? schema.enum[0] : here === 'most' ? schema.enum.at(-1) : this.chance.of(schema.enum);
    for (const choice of ['oneOf', 'anyOf']) if (schema[choice]) return this.make(this.chance.of(schema[choice]), style, pick);
    const types = [schema.type ?? (schema.properties ? 'object' : 'string')].flat();
    const type = types.length > 1 && this.chance.happens(0.2) ? types.at(-1) : types[0];
    if (type === 'object') return this.#object(schema, style, pick);
    if (type === 'array') return this.#array(schema, style, here, pick);
    if (type === 'integer' || type === 'number') return this.#integer(schema, here);
    if (type === 'boolean') return here === 'least' ? false : here === 'most' ? true : this.chance.happens(0.5);
    return type === 'null' ? null : this.#text(schema, here);
  }

  #object(schema, style, pick) {
    if (schema['x-json']) return this.anything(style === 'plain' || style === 'least' ? 0 : 3, true);
    const required = new Set(schema.required ?? []);
    const likely = { least: 0, plain: 0.35, most: 1, mixed: 0.6 }[style];
    const names = Object.keys(schema.properties ?? {}).filter((name) => required.has(name) || this.chance.happens(likely));
    for (const name of Object.keys(schema.properties ?? {})) {
      if (names.length >= (schema.minProperties ?? 0)) break;
      if (!names.includes(name)) names.push(name);
    }
    return Object.fromEntries(names.map((name) => [name, this.make(schema.properties[name], style, pick)]));
  }

  #array(schema, style, here, pick) {
    const least = schema.minItems ?? 0;
    const most = schema.maxItems ?? 3;
    const count = here === 'least' ? least : here === 'most' ? most : this.chance.between(least, Math.min(most, Math.max(least, 3)));
    const items = Array.from({ length: count }, () => this.make(schema.items ?? {}, style, pick));
    return schema.uniqueItems ? items.filter((item, index) => items.indexOf(item) === index) : items;
  }

  #integer(schema, here) {
    const least = schema.minimum ?? 0;
    const most = schema.maximum ?? Number.MAX_SAFE_INTEGER;
    if (here === 'least') return least;
    if (here === 'most') return most;
    if (here === 'between') return this.chance.between(least, most);
    return this.chance.between(Math.max(least, Math.min(1, most)), Math.min(most, Math.max(least, 50)));
  }

  #text(schema, here) {
    if (schema.format === 'date-time') return here === 'plain' ? new Date(Date.now() + this.chance.between(-1e7, 1e7)).toISOString() : this.chance.of(TIMES);
    if (schema.format === 'password' && here === 'plain') return `blue harbour ${this.chance.hex(8)}`;
    const least = schema.minLength ?? 0;
    const most = Math.min(schema.maxLength ?? 60, 20000);
    if (schema.pattern) return this.#fromPattern(schema.pattern, here, schema.maxLength ?? 200);
    if (here === 'least') return 'a'.repeat(least);
    if (here === 'most') return this.chance.of(WIDE).repeat(most);
    let text = this.chance.of(WORDS);
    if (here === 'between') for (let i = this.chance.below(6); i > 0; i -= 1) text += this.chance.of(ODD.concat(WIDE, WORDS));
    while ([...text].length < least) text += this.chance.of(WORDS);
    return [...text].slice(0, Math.max(most, 1)).join('');
  }

  /** The patterns of the contract are sequences of classes, groups and counts. */
  #fromPattern(pattern, here, most) {
    let at = 0;
    let text = '';
    const source = pattern.replace(/^\^|\$$/g, '');
    const { chance } = this;
    const classOf = (inside) => {
      const chars = [];
      for (let i = 0; i < inside.length; i += 1) {
        if (inside[i + 1] === '-' && i + 2 < inside.length) {
          for (let code = inside.charCodeAt(i); code <= inside.charCodeAt(i + 2); code += 1) chars.push(String.fromCharCode(code));
          i += 2;
        } else chars.push(inside[i]);
      }
      return () => chance.of(chars);
    };
    const sequence = (end) => {
      const parts = [];
      while (at < source.length && source[at] !== end) {
        let one;
        if (source[at] === '[') {
          const close = source.indexOf(']', at + 1);
          one = classOf(source.slice(at + 1, close));
          at = close + 1;
        } else if (source[at] === '(') {
          at += 1;
          const inner = sequence(')');
          at += 1;
          one = () => inner.map((part) => part()).join('');
        } else if (source[at] === '\\') {
          const literal = source[at + 1];
          one = literal === 'd' ? () => String(chance.below(10)) : () => literal;
          at += 2;
        } else {
          const literal = source[at];
          one = literal === '.' ? () => (here === 'most' ? WIDE[0] : chance.of(['a', '1', ' ', 'é'])) : () => literal;
          at += 1;
        }
        const counted = /^(?:\{(\d+)(?:,(\d*))?\}|[*+?])/.exec(source.slice(at));
        let from = 1;
        let to = 1;
        if (counted) {
          at += counted[0].length;
          const open = parts.some((part) => part.open);
          if (counted[0] === '?') [from, to] = [0, 1];
          else if (counted[0] === '*' || counted[0] === '+') [from, to] = [counted[0] === '+' ? 1 : 0, open ? 0 : most];
          else [from, to] = [Number(counted[1]), counted[2] === undefined ? Number(counted[1]) : Number(counted[2] || most)];
        }
        const repeat = () => {
          const count = here === 'least' ? from : here === 'most' ? to : chance.between(from, Math.max(from, Math.min(to, from + 6)));
          return Array.from({ length: count }, one).join('');
        };
        repeat.open = to === most;
        parts.push(repeat);
      }
      return parts;
    };
    for (const part of sequence(undefined)) text += part();
    return text.slice(0, most);
  }

  /** Any JSON, nested at most so deep; an object at the top where asked. */
  anything(depth, object = false) {
    const { chance } = this;
    const kind = object ? 6 : chance.below(depth > 0 ? 8 : 6);
    if (kind === 0) return null;
    if (kind === 1) return chance.happens(0.5);
    if (kind === 2) return chance.of([0, -1, 1.5, 1e30, -1e-30, 9007199254740991, 1e308, 123456789012345]);
    if (kind <= 5) return chance.of(WORDS.concat(WIDE, ODD)).repeat(chance.of([0, 1, 1, 2, 50, 400]));
    if (kind === 6) {
      const count = depth > 0 ? chance.of([0, 1, 2, 5, 40]) : 0;
      return Object.fromEntries(Array.from({ length: count }, () => [chance.of(['size', 'colour', 'material', `k${chance.below(99)}`, '', '__proto__x', '茶']), this.anything(depth - 1)]));
    }
    return Array.from({ length: chance.below(6) }, () => this.anything(depth - 1));
  }
}

/** Where values stand in a schema, as [{path: ['lines', 0, 'quantity'], schema, required}]; arrays by their first item. */
function places(contract, declared, path = [], required = true) {
  const schema = contract.schemaOf(declared) ?? {};
  const found = [{ path, schema, required }];
  if (schema['x-json']) return found;
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    found.push(...places(contract, member, [...path, name], (schema.required ?? []).includes(name)));
  }
  if (schema.items && path.length < 4) found.push(...places(contract, schema.items, [...path, 0]));
  return found;
}

/** Values at the bounds of one place: [[what, value]]. */
function atBounds(values, schema, pick) {
  const types = [schema.type].flat();
  if (schema['x-id']) return [];
  if (schema.enum) return schema.enum.map((value) => [`is ${value}`, value]);
  const found = [];
  if (types.includes('integer') || types.includes('string') || types.includes('array')) {
    for (const style of ['least', 'most']) found.push([`at its ${style}`, values.make({ ...schema, type: types[0] }, style, pick)]);
  }
  if (types.includes('boolean')) found.push(['is true', true], ['is false', false]);
  if (types.includes('null')) found.push(['is null', null]);
  return found;
}

/** Values that the schema of one place does not allow: [[what, value]]. */
function beyondBounds(values, schema, pick) {
  const types = [schema.type ?? 'object'].flat();
  const found = [['is of another type', types.includes('string') ? 7 : 'seven'], ['is a list', [[1]]]];
  if (!types.includes('null')) found.push(['is null', null]);
  if (schema['x-id']) {
    const prefix = PREFIXES[schema['x-id']];
    found.push(['has no prefix', '0'.repeat(32)], ['is too short', `${prefix}_${'0'.repeat(31)}`], ['is too long', `${prefix}_${'0'.repeat(33)}`],
      ['is in capitals', `${prefix}_${'A'.repeat(32)}`], ['is of another kind', `zzz_${'0'.repeat(32)}`]);
  } else if (schema.enum) found.push(['is none of the list', 'none-of-them'], ['is empty', '']);
  else if (types.includes('integer')) {
    if (schema.minimum !== undefined) found.push(['is below its minimum', schema.minimum - 1]);
    if (schema.maximum !== undefined) found.push(['is above its maximum', schema.maximum + 1]);
    found.push(['is a fraction', 1.5], ['is far above', 1e300], ['is far below', -1e300], ['is beside int64', 9223372036854775808]);
  } else if (types.includes('string')) {
    if (schema.maxLength !== undefined) found.push(['is too long by one', 'a'.repeat(schema.maxLength + 1)], ['is too long in wide letters', WIDE[0].repeat(schema.maxLength + 1)]);
    if (schema.minLength > 0) found.push(['is too short by one', 'a'.repeat(schema.minLength - 1)]);
    if (schema.pattern) found.push(['breaks its pattern', '\u0001 !'], ['is empty', '']);
    if (schema.format === 'date-time') found.push(['is no time', '2026-13-40T25:61:61Z'], ['has no zone', '2026-01-01T00:00:00']);
  } else if (types.includes('array')) {
    const item = () => values.make(schema.items ?? {}, 'plain', pick);
    if (schema.maxItems !== undefined) found.push(['has too many items', Array.from({ length: schema.maxItems + 1 }, item)]);
    if (schema.minItems > 0) found.push(['has too few items', []]);
    if (schema.uniqueItems) { const twice = item(); found.push(['has the same item twice', [twice, twice]]); }
  }
  return found;
}

/** The value with another at the path; undefined takes the member away. Values between are copied. */
function changed(value, path, other) {
  if (path.length === 0) return other;
  const [name, ...rest] = path;
  const copy = Array.isArray(value) ? [...value] : { ...value };
  const inner = changed(copy[name] ?? (typeof rest[0] === 'number' ? [] : {}), rest, other);
  if (inner === undefined) delete copy[name];
  else copy[name] = inner;
  return copy;
}

module.exports = { Chance, Values, STYLES, WIDE, places, atBounds, beyondBounds, changed };
