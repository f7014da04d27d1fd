// Senders of webhooks by their own libraries: npm's standardwebhooks (both ways), stripe and
// @octokit/webhooks-methods; Slack and Shopify as their documents say.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHmac, createPrivateKey, randomUUID, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as github from '@octokit/webhooks-methods'
import { Webhook } from 'standardwebhooks'
import Stripe from 'stripe'
import { facts, seen, send } from './door.mjs'

const body = '{"type":"order.paid"}'
const own = facts.hooks
const now = () => Math.floor(Date.now() / 1000)
const at = (style, headers, text = body) => ({
  method: 'POST', url: `${facts.plain}/hooks/${style}`, headers: { 'content-type': 'application/json', ...headers }, body: text,
})
const hmac = (secret, text, encoding) => createHmac('sha256', secret).update(text).digest(encoding)
const stripe = new Stripe('sk_test_unused')

const senders = {
  standard: (text = body, { secret = own.standard.secret, time = now(), id = `msg_${randomUUID()}` } = {}) => at('standard', {
    'webhook-id': id, 'webhook-timestamp': String(time), 'webhook-signature': new Webhook(secret).sign(id, new Date(time * 1000), text),
  }, text),
  stripe: (text = body, { secret = own.stripe.secret, time = now() } = {}) => at('stripe', {
    'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload: text, secret, timestamp: time }),
  }, text),
  github: async (text = body, { secret = own.github.secret, id = randomUUID(), style = 'github' } = {}) => at(style, {
    'x-github-event': 'push', 'x-github-delivery': id, 'x-hub-signature-256': await github.sign(secret, text),
  }, text),
  slack: (text = body, { secret = own.slack.secret, time = now() } = {}) => at('slack', {
    'x-slack-request-timestamp': String(time), 'x-slack-signature': `v0=${hmac(secret, `v0:${time}:${text}`, 'hex')}`,
  }, text),
  shopify: (text = body, { secret = own.shopify.secret, id = randomUUID() } = {}) => at('shopify', {
    'x-shopify-webhook-id': id, 'x-shopify-topic': 'orders/paid', 'x-shopify-hmac-sha256': hmac(secret, text, 'base64'),
  }, text),
}
/** A body that no other test sends: where the id is not signed, the body counts. */
const fresh = () => JSON.stringify({ type: 'order.paid', event: randomUUID() })

for (const [style, sender] of Object.entries(senders)) {
  test(`${style}: a delivery passes, and its signature stays at the gateway`, async () => {
    const text = fresh()
    const call = await sender(text)
    const answer = await send(call)
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.text, text)
    assert.equal(answer.json.headers['doorward-principal'], 'service')
    const left = Object.keys(answer.json.headers).filter((name) => name.includes('signature') || name.includes('hmac'))
    assert.deepEqual(left, [])
  })

  test(`${style}: another body, secret or time is refused`, async () => {
    const before = await seen()
    const call = await sender(fresh())
    assert.equal((await send({ ...call, body: `${call.body} ` })).status, 401)
    assert.equal((await send(await sender(fresh(), { secret: `whsec_${Buffer.alloc(32).toString('base64')}` }))).status, 401)
    if (['standard', 'stripe', 'slack'].includes(style)) {
      assert.equal((await send(await sender(fresh(), { time: now() - 360 }))).status, 401)
      assert.equal((await send(await sender(fresh(), { time: now() + 360 }))).status, 401)
    }
    assert.deepEqual(await seen(), before)
  })

  test(`${style}: the same once more reaches the upstream once`, async () => {
    const before = await seen()
    const call = await sender(fresh())
    assert.equal((await send(call)).status, 200)
    // Where a time is signed, the exact signature is a replay; else a delivery is acknowledged.
    const again = ['github', 'shopify'].includes(style) ? 200 : 401
    assert.equal((await send(call)).status, again)
    assert.equal((await seen()).whole, before.whole + 1)
  })
}

for (const style of ['github', 'shopify']) {
  test(`${style}: whoever changes the id, which is not signed, changes nothing`, async () => {
    const before = await seen()
    const text = fresh()
    for (let n = 0; n < 3; n += 1) assert.equal((await send(await senders[style](text))).status, 200)
    assert.equal((await seen()).whole, before.whole + 1)
  })
}

test('a redelivery is answered by the route: refused, or forwarded', async () => {
  for (const [style, status, reached] of [['github-strict', 409, 1], ['github-again', 200, 2]]) {
    const before = await seen()
    const call = await senders.github(fresh(), { style })
    assert.equal((await send(call)).status, 200)
    assert.equal((await send(call)).status, status, style)
    assert.equal((await seen()).whole, before.whole + reached, style)
  }
})

test('v1a: a public key of the sender, and both versions at once', async () => {
  const key = createPrivateKey(readFileSync(own.public.file))
  const asymmetric = (id, time, text) => `v1a,${sign(null, Buffer.from(`${id}.${time}.${text}`), key).toString('base64')}`
  const [id, time] = [`msg_${randomUUID()}`, now()]
  const fields = { 'webhook-id': id, 'webhook-timestamp': String(time), 'webhook-signature': asymmetric(id, time, body) }
  assert.equal((await send(at('standard', { ...fields, 'webhook-signature': asymmetric(id, time, `${body} `) }))).status, 401)
  assert.equal((await send(at('standard', fields))).status, 200)
  const both = senders.standard()
  both.headers['webhook-signature'] = `v1,${Buffer.alloc(32).toString('base64')} ${asymmetric(both.headers['webhook-id'], both.headers['webhook-timestamp'], body)}`
  assert.equal((await send(both)).status, 200)
})

test('a body above the route\'s limit is refused before it is judged', async () => {
  const before = await seen()
  const call = senders.stripe(JSON.stringify({ text: 'x'.repeat(1024 * 1024) }))
  assert.equal((await send(call)).status, 413)
  assert.deepEqual(await seen(), before)
})

test('the former secret verifies while it overlaps', async () => {
  assert.equal((await send(await senders.stripe(fresh(), { secret: own.stripe.former }))).status, 200)
})

test('what doorward signs, the senders\' own libraries verify', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'doorward-')), 'body.json')
  writeFileSync(file, body)
  const signed = (style, secret) => {
    const ran = spawnSync(process.env.DOORWARD, ['sign', 'webhook', '--style', style, '--body-file', file, '--output', 'json', 'https://hooks.example/'], { input: secret, encoding: 'utf8' })
    assert.equal(ran.status, 0, ran.stderr)
    return Object.fromEntries(JSON.parse(ran.stdout).headers)
  }
  new Webhook(own.standard.secret).verify(body, signed('standard-webhooks', own.standard.secret))
  const header = signed('stripe', own.stripe.secret)['stripe-signature']
  assert.equal(stripe.webhooks.constructEvent(body, header, own.stripe.secret).type, 'order.paid')
  const hub = signed('github', own.github.secret)['x-hub-signature-256']
  assert.equal(await github.verify(own.github.secret, body, hub), true)
  const slack = signed('slack', own.slack.secret)
  assert.equal(slack['x-slack-signature'], `v0=${hmac(own.slack.secret, `v0:${slack['x-slack-request-timestamp']}:${body}`, 'hex')}`)
  assert.equal(signed('shopify', own.shopify.secret)['x-shopify-hmac-sha256'], hmac(own.shopify.secret, body, 'base64'))
})

const doorward = (args, input) => {
  const ran = spawnSync(process.env.DOORWARD, args, { input, encoding: 'utf8' })
  assert.equal(ran.status, 0, ran.stderr)
  return ran.stdout
}

test('what doorward sends, the library verifies: sent again until taken, under two secrets while one is replaced', async () => {
  const came = []
  const answers = [500, 204, 204]
  const receiver = createServer(async (request, response) => {
    let text = ''
    for await (const piece of request) text += piece
    came.push({ headers: request.headers, text })
    response.writeHead(answers.shift()).end()
    receiver.emit('came')
  }).listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  try {
    const made = JSON.parse(doorward(['secret', 'create', '--scheme', 'webhook', '--application', 'shop', '--label', 'node', '--output', 'json']))
    const file = join(mkdtempSync(join(tmpdir(), 'doorward-')), 'node.yaml')
    writeFileSync(file, JSON.stringify({
      apiVersion: 'doorward/v1', kind: 'WebhookEndpoint', metadata: { name: 'node' },
      spec: {
        url: `http://127.0.0.1:${receiver.address().port}/in`, application: 'shop', events: ['order.*'],
        signing_key: made.credential.signing.key_id, retries: ['200ms', '200ms'],
      },
    }))
    doorward(['apply', '--yes', '-f', file])
    const until = async (count) => { while (came.length < count) await once(receiver, 'came') }
    doorward(['webhook', 'send', 'node', '--type', 'order.paid'], '{"id": 17}')
    await until(2)
    for (const { headers, text } of came) {
      assert.deepEqual(new Webhook(made.secret).verify(text, headers).data, { id: 17 })
      assert.equal(text, came[0].text)
      assert.equal(headers['webhook-id'], came[0].headers['webhook-id'])
    }
    assert.throws(() => new Webhook(own.standard.secret).verify(came[0].text, came[0].headers))
    const next = JSON.parse(doorward(['secret', 'rotate', made.credential.id, '--overlap', '1h', '--output', 'json']))
    doorward(['webhook', 'send', 'node', '--type', 'order.paid'], '{"id": 18}')
    await until(3)
    for (const secret of [made.secret, next.secret]) {
      assert.deepEqual(new Webhook(secret).verify(came[2].text, came[2].headers).data, { id: 18 })
    }
  } finally {
    receiver.close()
    receiver.closeAllConnections()
  }
})
