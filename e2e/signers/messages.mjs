// npm's http-message-signatures signs requests (RFC 9421), in three algorithms.
import assert from 'node:assert/strict'
import { createHash, createPrivateKey, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createSigner, httpbis } from 'http-message-signatures'
import { facts, seen, send } from './door.mjs'

const url = `${facts.plain}/orders?dry=1`
const body = '{"item":"tea"}'
const digest = (text) => `sha-256=:${createHash('sha256').update(text).digest('base64')}:`

const signers = {
  'hmac-sha256': createSigner(Buffer.from(facts.messages.hmac.secret), 'hmac-sha256', facts.messages.hmac.id),
  ed25519: createSigner(createPrivateKey(readFileSync(facts.messages.ed25519.file)), 'ed25519', facts.messages.ed25519.id),
  'ecdsa-p256-sha256': createSigner(createPrivateKey(readFileSync(facts.messages.p256.file)), 'ecdsa-p256-sha256', facts.messages.p256.id),
}

async function signed(key, fields = ['@method', '@authority', '@path', '@query', 'content-type', 'content-digest']) {
  const request = { method: 'POST', url, headers: { host: new URL(url).host, 'content-type': 'application/json', 'content-digest': digest(body) } }
  const { headers } = await httpbis.signMessage(
    { key, fields, params: ['created', 'nonce', 'keyid', 'alg'], paramValues: { nonce: randomUUID() } }, request)
  return { method: 'POST', url, headers, body }
}

for (const [name, key] of Object.entries(signers)) {
  test(`${name} passes, once`, async () => {
    const call = await signed(key)
    const answer = await send(call)
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.text, body)
    assert.equal((await send(call)).status, 401)
  })

  test(`${name}: what is changed afterwards is refused`, async () => {
    const before = await seen()
    const call = await signed(key)
    const changed = {
      method: { ...call, method: 'PUT' },
      path: { ...call, url: url.replace('/orders', '/orders/1') },
      query: { ...call, url: url.replace('dry=1', 'dry=0') },
      body: { ...call, body: body.replace('tea', 'tee') },
      'body and digest': { ...call, body: body.replace('tea', 'tee'), headers: { ...call.headers, 'content-digest': digest(body.replace('tea', 'tee')) } },
      type: { ...call, headers: { ...call.headers, 'content-type': 'text/plain' } },
      'another call\'s signature': { ...call, headers: { ...call.headers, Signature: (await signed(key)).headers.Signature } },
      'too little covered': await signed(key, ['@method', '@authority', '@path', 'content-digest']),
    }
    for (const [what, one] of Object.entries(changed)) assert.equal((await send(one)).status, 401, what)
    assert.deepEqual(await seen(), before)
  })
}
