'use strict';
// The sandbox gateway, as tests press its buttons and break it.
const crypto = require('node:crypto');
const http = require('node:http');
const Stripe = require('stripe');
const { exchange } = require('./client');
const { SECRETS } = require('./environment');

/** The official client, talking to this environment's sandbox. */
function stripeClient(env, options = {}) {
  return new Stripe(SECRETS.stripe_key, { host: '127.0.0.1', port: env.ports.sandbox, protocol: 'http', maxNetworkRetries: 0, telemetry: false, ...options });
}

async function sandboxCall(env, method, path, body, expect = [200, 202]) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const answer = await exchange(`${env.sandboxUrl}${path}`, { method, body: text, headers: { 'content-type': 'application/json', 'content-length': text ? Buffer.byteLength(text) : 0 } });
  if (!expect.includes(answer.status)) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer.body;
}

const pay = (env, intentId) => sandboxCall(env, 'POST', `/sandbox/payment_intents/${intentId}/pay`);
const decline = (env, intentId) => sandboxCall(env, 'POST', `/sandbox/payment_intents/${intentId}/decline`);
const fault = (env, name, calls = 1, value = 0) => sandboxCall(env, 'POST', '/sandbox/faults', { partner: 'gateway', name, calls, value });
const faultsClear = (env) => sandboxCall(env, 'DELETE', '/sandbox/faults');
const resend = (env, eventId, times = 1, concurrently = true) => sandboxCall(env, 'POST', `/sandbox/events/${eventId}/resend`, { times, concurrently });
const deliveries = async (env, objectId) => (await sandboxCall(env, 'GET', `/sandbox/deliveries?object_id=${objectId}`)).data;

/** Stripe-Signature of a text. */
function signature(text, { secret = SECRETS.stripe_webhook_secret, seconds = Math.floor(Date.now() / 1000) } = {}) {
  return `t=${seconds},v1=${crypto.createHmac('sha256', secret).update(`${seconds}.${text}`).digest('hex')}`;
}

/** A server that keeps what is posted to it: {url, received: [{headers, text}], answer(status), close()}. */
async function listener() {
  const received = [];
  let status = 200;
  const server = http.createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk) => { text += chunk; }).on('end', () => {
      received.push({ headers: request.headers, text, path: request.url });
      response.writeHead(typeof status === 'function' ? status(received.length) : status).end();
    });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `http://127.0.0.1:${server.address().port}/hook`,
    received,
    answer: (value) => { status = value; },
    close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }),
  };
}

module.exports = { stripeClient, sandboxCall, pay, decline, fault, faultsClear, resend, deliveries, signature, listener };
