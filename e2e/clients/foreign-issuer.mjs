// Opaque tokens of a foreign issuer at Doorward's gateway: npm's oidc-provider issues them, twice, once
// answering in JSON (RFC 7662) and once signed (RFC 9701). Doorward asks it about each.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { after, before, test } from 'node:test'
import { exportJWK, generateKeyPair } from 'jose'
import { Provider, errors } from 'oidc-provider'
import { facts } from './known.mjs'

const audience = (name) => `https://${name}.orders.example`
const elsewhere = 'https://stock.example'
const doorSecret = readFileSync('partner.secret', 'utf8')
const servers = []
const asked = {}

/** An issuer of opaque tokens; `brief` gets tokens that live for two seconds. */
async function issuer(name, port) {
  const expected = audience(name)
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const client = (client_id, more) => ({
    client_id, client_secret: 'partner-secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    id_token_signed_response_alg: 'ES256', introspection_signed_response_alg: 'ES256', ...more,
  })
  const provider = new Provider(`https://localhost:${port}`, {
    clients: [
      client('shop'), client('brief'),
      client('door', { client_secret: doorSecret }),
    ],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: name }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    ttl: { ClientCredentials: (ctx, token, client) => (client.clientId === 'brief' ? 2 : 600) },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(ctx, resource) {
          if (![expected, elsewhere].includes(resource)) throw new errors.InvalidTarget()
          return { audience: resource, scope: 'orders:read', accessTokenFormat: 'opaque' }
        },
      },
    },
  })
  provider.on('server_error', (ctx, error) => console.error(error))
  asked[name] = 0
  const answer = provider.callback()
  const server = createServer({ cert: readFileSync('door.pem'), key: readFileSync('door.key') }, (request, response) => {
    if (request.url.endsWith('/introspection')) asked[name] += 1
    return answer(request, response)
  })
  servers.push(server)
  await new Promise((done) => server.listen(port, '127.0.0.1', done))
}

before(async () => {
  for (const [name, port] of Object.entries(facts.partners)) await issuer(name, port)
  // Doorward was here first and looked for the keys of `signed` in vain; it looks again in ten seconds.
  for (let attempt = 0; attempt < 60; attempt += 1) {
    if (await status('signed', await token('signed')) !== 503) return
    await pause(250)
  }
})

after(() => {
  for (const server of servers) server.close()
})

async function post(name, path, client, form) {
  const authorization = `Basic ${Buffer.from(`${client}:partner-secret`).toString('base64')}`
  return fetch(`https://localhost:${facts.partners[name]}${path}`, { method: 'POST', headers: { authorization }, body: new URLSearchParams(form) })
}

async function token(name, { client = 'shop', resource = audience(name), scope = 'orders:read' } = {}) {
  const answer = await (await post(name, '/token', client, { grant_type: 'client_credentials', resource, ...(scope && { scope }) })).json()
  assert.ok(answer.access_token, JSON.stringify(answer))
  assert.ok(!answer.access_token.includes('.'))
  return answer.access_token
}

async function status(name, sent) {
  const answer = await fetch(`${new URL(facts.apis.orders.url).origin}/${name}/mine`, { headers: { authorization: `Bearer ${sent}` } })
  await answer.arrayBuffer()
  return answer.status
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds))

for (const name of ['plain', 'signed']) {
  test(`${name}: a good token passes, and its issuer is asked once`, async () => {
    const good = await token(name)
    const before = asked[name]
    const all = await Promise.all(Array.from({ length: 20 }, () => status(name, good)))
    assert.deepEqual(new Set(all), new Set([200]))
    assert.equal(asked[name] - before, 1)
  })

  test(`${name}: what is made up, for another API, without the scope, or of the other issuer is refused`, async () => {
    const other = name === 'plain' ? 'signed' : 'plain'
    assert.equal(await status(name, 'made-up'), 401)
    assert.equal(await status(name, await token(name, { resource: elsewhere })), 401)
    assert.equal(await status(name, await token(name, { scope: '' })), 403)
    assert.equal(await status(name, await token(other)), 401)
  })

  test(`${name}: an end by time or by revocation is felt within the answer's second`, async () => {
    const [brief, revoked] = [await token(name, { client: 'brief' }), await token(name)]
    assert.equal(await status(name, brief), 200)
    assert.equal(await status(name, revoked), 200)
    assert.equal((await post(name, '/token/revocation', 'shop', { token: revoked })).status, 200)
    await pause(3100)
    assert.equal(await status(name, brief), 401)
    assert.equal(await status(name, revoked), 401)
  })
}
