// Two resource servers that know nothing of Doorward check its access tokens: an API with npm's jose,
// and HAProxy in front of one. Both must let the same tokens pass and refuse the same ones.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer as listenOn } from 'node:net'
import { tmpdir } from 'node:os'
import { after, before, test } from 'node:test'
import * as client from 'openid-client'
import { SignJWT, decodeJwt, decodeProtectedHeader, generateKeyPair } from 'jose'
import { Browser } from './person.mjs'
import { facts, redirectUri } from './known.mjs'

const { issuer, apis, person } = facts
const { orders, stock } = apis
const folder = mkdtempSync(`${tmpdir()}/doorward-recipes-`)
const started = []
const servers = {}
const here = import.meta.dirname

async function freePort() {
  const probe = listenOn().listen(0, '127.0.0.1')
  await new Promise((done) => probe.once('listening', done))
  const { port } = probe.address()
  await new Promise((done) => probe.close(done))
  return port
}

async function untilOpen(port) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const open = await new Promise((done) => {
      const socket = connect(port, '127.0.0.1', () => { socket.destroy(); done(true) })
      socket.on('error', () => done(false))
    })
    if (open) return
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`nothing listens on ${port}`)
}

function start(command, ...words) {
  started.push(spawn(command, words.map(String), { stdio: ['ignore', 'ignore', 'inherit'] }))
}

async function asService(scope, resource) {
  const config = await client.discovery(new URL(issuer), 'service', undefined, client.ClientSecretBasic(facts.clients.service.own.secret))
  return (await client.clientCredentialsGrant(config, { scope, resource })).access_token
}

async function idToken() {
  const config = await client.discovery(new URL(issuer), 'web', undefined, client.ClientSecretBasic(facts.clients.web.own.secret))
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const to = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri('web'), scope: 'openid', state: 's',
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
  })
  const { url } = await new Browser(person).go(to, redirectUri('web'))
  return (await client.authorizationCodeGrant(config, url, { pkceCodeVerifier, expectedState: 's' })).id_token
}

async function boundToken() {
  const config = await client.discovery(new URL(issuer), 'service', undefined, client.ClientSecretBasic(facts.clients.service.own.secret))
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  return (await client.clientCredentialsGrant(config, { scope: 'orders:read', resource: orders.audience }, { DPoP })).access_token
}

before(async () => {
  servers.jose = await freePort()
  start(process.execPath, `${here}/recipes/jose-server.mjs`, servers.jose, issuer, orders.audience)

  const api = createServer((request, response) => response.end(request.headers['x-client'])).listen(0, '127.0.0.1')
  await new Promise((done) => api.once('listening', done))
  started.push({ kill: () => api.close() })
  servers.haproxy = await freePort()
  execFileSync(process.execPath, [`${here}/recipes/haproxy.mjs`, folder, servers.haproxy, api.address().port, issuer, orders.audience])
  start('haproxy', '-db', '-f', `${folder}/haproxy.cfg`)
  await Promise.all(Object.values(servers).map(untilOpen))
})

after(() => {
  for (const one of started) one.kill()
  rmSync(folder, { recursive: true, force: true })
})

/** What each server answers to a token. */
async function answers(token, method = 'GET') {
  const found = {}
  for (const [name, port] of Object.entries(servers)) {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    found[name] = (await fetch(`http://127.0.0.1:${port}/`, { method, headers })).status
  }
  return found
}
const all = (status) => ({ jose: status, haproxy: status })

test('a token for this API passes, with the scope that the method needs', async () => {
  const reading = await asService('orders:read', orders.audience)
  assert.deepEqual(await answers(reading), all(200))
  assert.deepEqual(await answers(reading, 'POST'), all(403))
  const both = await asService('orders:read orders:write', orders.audience)
  assert.deepEqual(await answers(both, 'POST'), all(200))
})

test('what is missing, malformed, tampered with or forged is refused', async () => {
  const good = await asService('orders:read', orders.audience)
  const [header, , signature] = good.split('.')
  const claims = Buffer.from(JSON.stringify({ ...decodeJwt(good), scope: 'orders:read orders:write' })).toString('base64url')
  const stranger = await generateKeyPair('ES256')
  const forged = await new SignJWT(decodeJwt(good)).setProtectedHeader(decodeProtectedHeader(good)).sign(stranger.privateKey)
  const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${good.split('.')[1]}.`
  for (const [what, token] of Object.entries({ missing: undefined, garbage: 'garbage', tampered: [header, claims, signature].join('.'), forged, none })) {
    assert.deepEqual(await answers(token), all(401), what)
  }
})

test('a token for another API is refused', async () => {
  assert.deepEqual(await answers(await asService('stock:read', stock.audience)), all(401))
})

test('an ID token is no access token', async () => {
  assert.deepEqual(await answers(await idToken()), all(401))
})

test('a token that is bound to a key is refused by who can’t check the key', async () => {
  assert.deepEqual(await answers(await boundToken()), all(401))
})
