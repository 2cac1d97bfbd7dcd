'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { Contract } = require('./contract');

const EXAMPLE = `
openapi: 3.1.0
info: { title: example, version: '1' }
paths:
  /things/{thing_id}:
    parameters:
      - { name: thing_id, in: path, required: true, schema: { $ref: '#/components/schemas/ThingId' } }
    post:
      operationId: thing_change
      x-role: [customer]
      x-idempotency: required
      parameters:
        - { name: Idempotency-Key, in: header, required: true, schema: { type: string, minLength: 1, maxLength: 255 } }
        - { name: count, in: query, schema: { type: integer, minimum: 1 } }
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [name]
              properties:
                name: { type: string, minLength: 1 }
                due: { type: string, format: date-time }
              additionalProperties: false
      responses:
        '200':
          description: changed
          headers:
            ETag: { required: true, schema: { type: string } }
          content: { application/json: { schema: { $ref: '#/components/schemas/Thing' } } }
        '204': { description: nothing }
        default: { $ref: '#/components/responses/Problem' }
components:
  responses:
    Problem:
      description: wrong
      content: { application/problem+json: { schema: { type: object, required: [code] } } }
  schemas:
    ThingId: { type: string, pattern: '^thg_[0-9a-f]{4}$', x-id: thing }
    Thing: { type: object, required: [id], properties: { id: { $ref: '#/components/schemas/ThingId' } }, additionalProperties: false }
`;

const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'contract-')), 'openapi.yaml');
fs.writeFileSync(file, EXAMPLE);
const contract = new Contract(file);
fs.rmSync(path.dirname(file), { recursive: true });

const good = { path: { thing_id: 'thg_00af' }, query: { count: '3' }, headers: { 'idempotency-key': 'k' }, body: { name: 'n', due: '2026-01-01T00:00:00Z' } };

function faults(change) {
  return contract.requestFaults('thing_change', { ...good, ...change });
}

test('a request that fits has no faults', () => {
  assert.deepStrictEqual(faults({}), []);
});

for (const [what, change, fault] of [
  ['a path parameter of another pattern', { path: { thing_id: 'thg_00AF' } }, /path thing_id.*pattern/],
  ['a query parameter below its minimum', { query: { count: 0 } }, /query count.*>= 1/],
  ['a query parameter that is no number', { query: { count: 'x' } }, /query count.*integer/],
  ['a query parameter that is not declared', { query: { colour: 'red' } }, /query colour: is not in the contract/],
  ['a required header that is missing', { headers: {} }, /Idempotency-Key: is missing/],
  ['a member that is missing', { body: {} }, /required property 'name'/],
  ['a member that is not declared', { body: { name: 'n', extra: 1 } }, /additional properties/],
  ['a time that is none', { body: { name: 'n', due: 'tomorrow' } }, /date-time/],
  ['a body that is missing', { body: undefined }, /body: is missing/],
  ['another content type', { contentType: 'text/plain' }, /content type text\/plain/],
]) {
  test(`a request fails for ${what}`, () => {
    assert.match(faults(change).join('\n'), fault);
  });
}

function answerFaults(status, headers, body) {
  return contract.responseFaults('thing_change', { status, headers, body, text: body === undefined ? '' : JSON.stringify(body) });
}
const json = { 'content-type': 'application/json', etag: '"1"' };

test('answers that fit have no faults', () => {
  assert.deepStrictEqual(answerFaults(200, json, { id: 'thg_0001' }), []);
  assert.deepStrictEqual(answerFaults(204, {}), []);
  assert.deepStrictEqual(answerFaults(404, { 'content-type': 'application/problem+json' }, { code: 'not_found' }), []);
});

test('answers fail for status, header, content type, schema, or a body where none is declared', () => {
  assert.match(answerFaults(200, { 'content-type': 'application/json' }, { id: 'thg_0001' }).join(), /header ETag: is missing/);
  assert.match(answerFaults(200, json, { id: 'x' }).join(), /pattern/);
  assert.match(answerFaults(200, json, { id: 'thg_0001', more: 1 }).join(), /additional properties/);
  assert.match(answerFaults(404, { 'content-type': 'application/json' }, { code: 'x' }).join(), /content type/);
  assert.match(answerFaults(404, { 'content-type': 'application/problem+json' }, {}).join(), /required property 'code'/);
  assert.match(answerFaults(204, {}, {}).join(), /without a body/);
});

test('the contract of the shop compiles: every schema of every operation', () => {
  const own = new Contract();
  assert.ok(own.operations.size > 0);
  for (const id of own.operations.keys()) {
    own.requestFaults(id, { path: {}, query: {}, headers: {}, body: {} });
    for (const status of Object.keys(own.operation(id).declared.responses)) {
      if (/^\d+$/.test(status)) own.responseFaults(id, { status: Number(status), headers: { 'content-type': 'application/json' }, body: {}, text: '{}' });
    }
  }
});
