// npm's openid-client, as an application uses it: each flow from discovery to the last token.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as client from 'openid-client'
import { createRemoteJWKSet, decodeJwt, importJWK, jwtVerify } from 'jose'
import { Browser, Stopped } from './person.mjs'
import { facts, redirectUri } from './known.mjs'

const { issuer, person, apis, peer } = facts
const { orders, stock } = apis

// ANCHOR: configured
const proofs = {
  client_secret_basic: ({ own }) => client.ClientSecretBasic(own.secret),
  client_secret_post: ({ own }) => client.ClientSecretPost(own.secret),
  private_key_jwt: async ({ own }) => client.PrivateKeyJwt({ key: await importJWK(own.jwk, own.jwk.alg), kid: own.jwk.kid }),
  none: () => client.None(),
}

/** Discovers the issuer on behalf of a client; the signatures of ID tokens are verified in all flows. */
async function configured(name) {
  const it = facts.clients[name]
  const metadata = {
    id_token_signed_response_alg: it.profile === 'oidc_compat' ? 'RS256' : 'ES256',
    userinfo_signed_response_alg: it.userinfo_signed_response_alg,
  }
  const config = await client.discovery(new URL(issuer), name, metadata, await proofs[it.auth_method](it))
  client.enableNonRepudiationChecks(config)
  return config
}
// ANCHOR_END: configured

// ANCHOR: code
/** A request for a code, and what the client remembers of it. */
async function request(name, parameters = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const checks = { pkceCodeVerifier, expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true }
  return {
    checks,
    parameters: {
      redirect_uri: redirectUri(name),
      scope: 'openid profile email offline_access',
      prompt: 'consent',
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
      ...parameters,
    },
  }
}

/** From the first redirect to the answer of the browser. */
async function authorized(config, name, { parameters, checks }, { browser = new Browser(person), push, options } = {}) {
  const to = push ? await client.buildAuthorizationUrlWithPAR(config, parameters, options) : client.buildAuthorizationUrl(config, parameters)
  const arrived = await browser.go(to, parameters.redirect_uri)
  return { ...arrived, checks, browser }
}

/** The whole code flow. */
async function loggedIn(name, parameters, { push, options, browser, resource } = {}) {
  const config = await configured(name)
  const arrived = await authorized(config, name, await request(name, parameters), { push, options, browser })
  const at = arrived.request.method === 'POST' ? arrived.request : arrived.url
  const tokens = await client.authorizationCodeGrant(config, at, arrived.checks, resource ? { resource } : undefined, options)
  return { config, tokens, ...arrived }
}
// ANCHOR_END: code

/** The client itself refuses what it was answered, for a reason that reads like `why`. */
const clientRefuses = (promise, why) => assert.rejects(promise, (thrown) => {
  const causes = []
  for (let at = thrown; at instanceof Error; at = at.cause) causes.push(at.message)
  assert.match(causes.join(': '), why)
  return true
})

/** The promise is refused by the server with this `error`. */
const refused = (promise, error) => assert.rejects(promise, (thrown) => {
  assert.equal(thrown.error ?? thrown.cause?.error, error, String(thrown.stack))
  return true
})

function isAlice({ tokens }, name) {
  const claims = tokens.claims()
  assert.equal(claims.iss, issuer)
  assert.equal([claims.aud].flat()[0], name)
  return claims
}

/** What a token allows at an API: its scopes without those of identity. */
const rights = ({ scope }) => scope.split(' ').filter((one) => one.includes(':'))

for (const name of ['web', 'web-post', 'web-signed', 'web-rsa', 'web-old']) {
// ANCHOR: login
  test(`code with PKCE, ${facts.clients[name].auth_method} (${name}): login, UserInfo, refresh`, async () => {
    const { config, tokens, url } = await loggedIn(name)
    assert.equal(config.serverMetadata().authorization_response_iss_parameter_supported, true)
    assert.equal(url.searchParams.get('iss'), issuer)
    const claims = isAlice({ tokens }, name)
    const about = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
    assert.equal(about.name, person.claims.name)
    assert.equal(about.email, person.claims.email)
    const next = await client.refreshTokenGrant(config, tokens.refresh_token)
    assert.notEqual(next.access_token, tokens.access_token)
    assert.notEqual(next.refresh_token, tokens.refresh_token)
    await client.fetchUserInfo(config, next.access_token, claims.sub)
  })
// ANCHOR_END: login
}

for (const name of ['web-userinfo', 'old-userinfo']) {
  const alg = facts.clients[name].userinfo_signed_response_alg
  test(`UserInfo signed with ${alg}, verified by the client and by jose`, async () => {
    const { config, tokens } = await loggedIn(name)
    const { sub } = isAlice({ tokens }, name)
    const about = await client.fetchUserInfo(config, tokens.access_token, sub)
    assert.equal(about.name, person.claims.name)
    assert.equal(about.email, person.claims.email)

    const { userinfo_endpoint: endpoint, jwks_uri: keys } = config.serverMetadata()
    const answer = await fetch(endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } })
    assert.match(answer.headers.get('content-type'), /^application\/jwt/)
    const signed = await answer.text()
    const { payload } = await jwtVerify(signed, createRemoteJWKSet(new URL(keys)), { issuer, audience: name, algorithms: [alg] })
    assert.equal(payload.sub, sub)

    // Somebody on the way changed the name.
    config[client.customFetch] = async (url, init) => {
      const answer = await fetch(url, init)
      if (String(url) !== endpoint) return answer
      const [header, , signature] = (await answer.text()).split('.')
      const claims = Buffer.from(JSON.stringify({ ...payload, name: 'Mallory' })).toString('base64url')
      return new Response([header, claims, signature].join('.'), { headers: { 'content-type': 'application/jwt' } })
    }
    await clientRefuses(client.fetchUserInfo(config, tokens.access_token, sub), /signature/)
    if (peer) return
    const mine = await fetch(`${orders.url}/mine`, { headers: { authorization: `Bearer ${signed}` } })
    assert.equal(mine.status, 401, 'c04: it is no access token')
  })
}

test('a client of old: no PKCE, no nonce, an ID token with RS256', async () => {
  const config = await configured('web-old')
  const to = client.buildAuthorizationUrl(config, { redirect_uri: redirectUri('web-old'), scope: 'openid', state: 'as-it-was' })
  const { url } = await new Browser(person).go(to, redirectUri('web-old'))
  const tokens = await client.authorizationCodeGrant(config, url, { expectedState: 'as-it-was', idTokenExpected: true })
  isAlice({ tokens }, 'web-old')
})

test('PKCE is demanded of everybody else', async () => {
  const config = await configured('web')
  const to = client.buildAuthorizationUrl(config, { redirect_uri: redirectUri('web'), scope: 'openid', state: 's' })
  const { url } = await new Browser(person).go(to, redirectUri('web'))
  await refused(client.authorizationCodeGrant(config, url, { expectedState: 's' }), 'invalid_request')
})

test('the client refuses an answer with a state, a nonce or an issuer that it did not expect', async () => {
  const config = await configured('web')
  const { url, checks } = await authorized(config, 'web', await request('web'))
  const foreign = new URL(url)
  foreign.searchParams.set('iss', 'https://elsewhere.example')
  await clientRefuses(client.authorizationCodeGrant(config, foreign, checks), /"iss"/)
  await clientRefuses(client.authorizationCodeGrant(config, url, { ...checks, expectedState: 'another' }), /"state"/)
  await clientRefuses(client.authorizationCodeGrant(config, url, { ...checks, expectedNonce: 'another' }), /"nonce"/)
})

test('mix-up: an answer that another issuer gave, or nobody says who, is refused, be it a code or an error (RFC 9207)', async () => {
  const config = await configured('web')
  for (const [decision, more] of [['allow', {}], ['deny', {}], ['allow', { response_mode: 'form_post' }], ['deny', { response_mode: 'form_post' }]]) {
    const asked = await request('web', more)
    const { request: answer, url, checks } = await authorized(config, 'web', asked, { browser: new Browser(person, { decision }) })
    const told = answer.method === 'POST' ? new URLSearchParams(await answer.text()) : url.searchParams
    assert.deepEqual(told.getAll('iss'), [issuer])
    const again = (change) => {
      const changed = new URLSearchParams(told)
      change(changed)
      if (answer.method === 'POST') return new Request(url, { method: 'POST', body: changed })
      return new URL(`${url.origin}${url.pathname}?${changed}`)
    }
    for (const elsewhere of ['https://elsewhere.example', `${issuer}/`, issuer.toUpperCase()]) {
      await clientRefuses(client.authorizationCodeGrant(config, again((told) => told.set('iss', elsewhere)), checks), /"iss"/)
    }
    await clientRefuses(client.authorizationCodeGrant(config, again((told) => told.delete('iss')), checks), /"iss"/)
    // As it came it is good: what was refused above was refused for its issuer.
    const good = client.authorizationCodeGrant(config, again(() => {}), checks)
    if (decision === 'deny') await refused(good, 'access_denied')
    else isAlice({ tokens: await good }, 'web')
  }
})

test('a code is redeemed once: the second time it ends what the first had got', async () => {
  const { config, tokens, url, checks } = await loggedIn('web')
  await refused(client.authorizationCodeGrant(config, url, checks), 'invalid_grant')
  await refused(client.refreshTokenGrant(config, tokens.refresh_token), 'invalid_grant')
})

test('a wrong verifier and another client get nothing for a code', async () => {
  const config = await configured('web')
  const { url, checks } = await authorized(config, 'web', await request('web'))
  const wrong = { ...checks, pkceCodeVerifier: client.randomPKCECodeVerifier() }
  await refused(client.authorizationCodeGrant(config, url, wrong), 'invalid_grant')
  await refused(client.authorizationCodeGrant(await configured('web-post'), url, checks), 'invalid_grant')
})

test('a person who says no sends the client access_denied', async () => {
  const config = await configured('web')
  const browser = new Browser(person, { decision: 'deny' })
  const asked = await request('web')
  const { url } = await authorized(config, 'web', asked, { browser })
  assert.equal(url.searchParams.get('error'), 'access_denied')
  await refused(client.authorizationCodeGrant(config, url, asked.checks), 'access_denied')
})

test('a wrong password leads nowhere', async (t) => {
  if (peer) return t.skip('the peer knows no passwords')
  const config = await configured('web')
  const browser = new Browser({ ...person, password: 'wrong' })
  await assert.rejects(authorized(config, 'web', await request('web'), { browser }), Stopped)
})

test('a redirect URI that is not registered gets an error page and no answer', async () => {
  const config = await configured('web')
  const asked = await request('web', { redirect_uri: 'https://client.example/callback/' })
  await assert.rejects(authorized(config, 'web', asked), (thrown) => {
    assert(thrown instanceof Stopped, String(thrown.stack))
    assert.equal(thrown.page.status, 400)
    assert.match(thrown.page.text, /redirect_uri/)
    return true
  })
})

test('single sign-on: who is logged in is not asked again, prompt=login asks, prompt=none answers without a page', async () => {
  const browser = new Browser(person)
  await loggedIn('web', {}, { browser })
  assert.equal(browser.met.login, 1)
  await loggedIn('web', { prompt: 'none' }, { browser })
  assert.equal(browser.met.login, 1)
  const config = await configured('web')
  const nobody = await request('web', { prompt: 'none' })
  const { url } = await authorized(config, 'web', nobody)
  assert.equal(url.searchParams.get('error'), 'login_required')
  browser.met.login = 0
  await loggedIn('web', { prompt: 'login' }, { browser })
  assert.equal(browser.met.login, 1)
})

// ANCHOR: form_post
test('form_post: the answer comes in the body of a POST', async () => {
  const { request: answer, tokens } = await loggedIn('web', { response_mode: 'form_post' })
  assert.equal(answer.method, 'POST')
  isAlice({ tokens }, 'web')
})
// ANCHOR_END: form_post

// ANCHOR: native
test('a native program comes back to a port of its own on loopback', async () => {
  const { tokens, config } = await loggedIn('desktop', { redirect_uri: 'http://127.0.0.1:49321/callback' })
  isAlice({ tokens }, 'desktop')
  const next = await client.refreshTokenGrant(config, tokens.refresh_token)
  assert.notEqual(next.refresh_token, tokens.refresh_token)
  // A bearer token of a public client: the first use replaced it, the second is a thief's or the owner's.
  await refused(client.refreshTokenGrant(config, tokens.refresh_token), 'invalid_grant')
  await refused(client.refreshTokenGrant(config, next.refresh_token), 'invalid_grant')
})
// ANCHOR_END: native

// ANCHOR: par
test('PAR: the browser carries a reference and nothing else', async () => {
  const config = await configured('web-signed')
  const { parameters, checks } = await request('web-signed')
  const to = await client.buildAuthorizationUrlWithPAR(config, parameters)
  assert.deepEqual([...to.searchParams.keys()].sort(), ['client_id', 'request_uri'])
  const { url } = await new Browser(person).go(to, parameters.redirect_uri)
  isAlice({ tokens: await client.authorizationCodeGrant(config, url, checks) }, 'web-signed')
  // What was pushed was answered; the reference is spent. (The peer lets it be used again.)
  if (peer) return
  await assert.rejects(new Browser(person).go(to, parameters.redirect_uri), (thrown) => {
    assert(thrown instanceof Stopped, String(thrown.stack))
    assert.match(thrown.page.text, /request_uri/)
    return true
  })
})
// ANCHOR_END: par

// ANCHOR: dpop
test('DPoP with server nonces: bound tokens, and nobody else uses them', async () => {
  const config = await configured('page')
  const options = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) }
  const { tokens } = await loggedIn('page', {}, { options })
  assert.equal(tokens.token_type, 'dpop')
  const claims = isAlice({ tokens }, 'page')
  await client.fetchUserInfo(config, tokens.access_token, claims.sub, options)
  const thief = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) }
  await assert.rejects(client.fetchUserInfo(config, tokens.access_token, claims.sub, thief), /WWW-Authenticate/i)
  await assert.rejects(client.fetchUserInfo(config, tokens.access_token, claims.sub), /WWW-Authenticate/i)
  await refused(client.refreshTokenGrant(config, tokens.refresh_token, undefined, thief), 'invalid_grant')
  const next = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options)
  await client.fetchUserInfo(config, next.access_token, claims.sub, options)
})
// ANCHOR_END: dpop

test('a page’s script reads the token endpoint’s answers at its own origin and at no other', async (t) => {
  if (peer) return t.skip('the peer was not told of origins')
  const config = await configured('page')
  const options = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) }
  const { tokens } = await loggedIn('page', {}, { options })
  // As a browser does: it sends its origin, and hides from the script what is not allowed to it.
  const seen = []
  const from = (origin) => async (url, init) => {
    const asks = { origin, 'access-control-request-method': init.method, 'access-control-request-headers': 'dpop' }
    const preflight = await fetch(url, { method: 'OPTIONS', headers: asks })
    const answer = await fetch(url, { ...init, headers: { ...init.headers, origin } })
    seen.push(preflight.headers.get('access-control-allow-origin'), answer.headers.get('access-control-allow-origin'))
    const exposed = (answer.headers.get('access-control-expose-headers') ?? '').toLowerCase()
    if (answer.headers.get('dpop-nonce')) seen.push(exposed.includes('dpop-nonce'))
    return answer
  }
  config[client.customFetch] = from('https://page.example')
  await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options)
  assert.deepEqual(new Set(seen), new Set(['https://page.example', true]))
  seen.length = 0
  config[client.customFetch] = from('https://elsewhere.example')
  await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options).catch(() => {})
  assert(!seen.some((one) => one === '*' || one === 'https://elsewhere.example'), String(seen))
})

test('DPoP and PAR: dpop_jkt holds the code to the key', async () => {
  const config = await configured('web-signed')
  const options = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('EdDSA')) }
  const asked = await request('web-signed')
  const { url, checks } = await authorized(config, 'web-signed', asked, { push: true, options })
  const thief = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('EdDSA')) }
  await refused(client.authorizationCodeGrant(config, url, checks, undefined, thief), 'invalid_grant')
})

// ANCHOR: resources
test('resource indicators: each API gets a token that another can’t use', async () => {
  const ask = new URLSearchParams()
  const { parameters, checks } = await request('web', { scope: 'openid offline_access orders:read stock:read' })
  for (const [name, value] of Object.entries(parameters)) ask.append(name, value)
  ask.append('resource', orders.audience)
  ask.append('resource', stock.audience)
  const config = await configured('web')
  const to = client.buildAuthorizationUrl(config, ask)
  const { url } = await new Browser(person).go(to, parameters.redirect_uri)
  const first = await client.authorizationCodeGrant(config, url, checks, { resource: orders.audience })
  const claims = decodeJwt(first.access_token)
  assert.deepEqual([claims.aud].flat(), [orders.audience])
  assert.deepEqual(rights(claims), ['orders:read'])
  assert.equal(claims.client_id, 'web')
  const next = await client.refreshTokenGrant(config, first.refresh_token, { resource: stock.audience })
  const others = decodeJwt(next.access_token)
  assert.deepEqual([others.aud].flat(), [stock.audience])
  assert.deepEqual(rights(others), ['stock:read'])
  await refused(client.refreshTokenGrant(config, next.refresh_token, { resource: 'https://elsewhere.example' }), 'invalid_target')
})
// ANCHOR_END: resources

// ANCHOR: gateway
test('the gateway takes a person’s token, and a bound one only with its key', async (t) => {
  if (peer) return t.skip('the peer has no gateway')
  const mine = new URL(`${orders.url}/mine`)
  const get = async (config, token, options) => {
    const answer = await client.fetchProtectedResource(config, token, mine, 'GET', undefined, undefined, options)
    assert.equal(answer.status, 200)
    return answer.json()
  }
  const asked = { scope: 'openid orders:read', resource: orders.audience }
  const { config, tokens } = await loggedIn('web', asked, { resource: orders.audience })
  const told = await get(config, tokens.access_token)
  assert.equal(told['doorward-subject'], tokens.claims().sub)

  const page = await configured('page')
  const options = { DPoP: client.getDPoPHandle(page, await client.randomDPoPKeyPair('EdDSA')) }
  const bound = (await loggedIn('page', asked, { options, resource: orders.audience })).tokens
  await get(page, bound.access_token, options)
  const thief = { DPoP: client.getDPoPHandle(page, await client.randomDPoPKeyPair('EdDSA')) }
  await assert.rejects(get(page, bound.access_token, thief), /WWW-Authenticate/i)
  await assert.rejects(get(page, bound.access_token), /WWW-Authenticate/i)
})
// ANCHOR_END: gateway

// ANCHOR: revocation
test('introspection and revocation: a revoked token is dead, and the family with its refresh token', async () => {
  const { config, tokens } = await loggedIn('web')
  const about = await client.tokenIntrospection(config, tokens.access_token)
  assert.equal(about.active, true)
  assert.equal(about.client_id, 'web')
  assert.equal((await client.tokenIntrospection(config, tokens.refresh_token)).active, true)
  await client.tokenRevocation(config, tokens.refresh_token)
  assert.equal((await client.tokenIntrospection(config, tokens.refresh_token)).active, false)
  assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, false)
  await refused(client.refreshTokenGrant(config, tokens.refresh_token), 'invalid_grant')
})
// ANCHOR_END: revocation

// ANCHOR: logout
test('logout at the client’s request ends the session', async () => {
  const { config, tokens, browser } = await loggedIn('web')
  const to = client.buildEndSessionUrl(config, {
    id_token_hint: tokens.id_token, post_logout_redirect_uri: 'https://client.example/bye', state: 'bye',
  })
  const { url } = await browser.go(to, 'https://client.example/bye')
  assert.equal(url.searchParams.get('state'), 'bye')
  const { url: after } = await authorized(config, 'web', await request('web', { prompt: 'none' }), { browser })
  assert.equal(after.searchParams.get('error'), 'login_required')
})
// ANCHOR_END: logout

// ANCHOR: device
test('the device flow: a television asks, a person at a browser allows', async () => {
  const config = await configured('tv')
  const asked = await client.initiateDeviceAuthorization(config, { scope: 'openid offline_access orders:read', resource: orders.audience })
  const poll = client.pollDeviceAuthorizationGrant(config, { ...asked, interval: 1 }, undefined, { signal: AbortSignal.timeout(60_000) })
  const browser = new Browser(person, { user_code: asked.user_code })
  const page = await browser.rest(asked.verification_uri)
  assert.equal(page.status, 200)
  const tokens = await poll
  assert.equal(tokens.claims().iss, issuer)
  await client.refreshTokenGrant(config, tokens.refresh_token)
  await refused(client.pollDeviceAuthorizationGrant(config, { ...asked, interval: 1 }), 'invalid_grant')
})
// ANCHOR_END: device

test('the device flow: a person who says no', async () => {
  const config = await configured('tv')
  const asked = await client.initiateDeviceAuthorization(config, { scope: 'openid' })
  const browser = new Browser(person, { user_code: asked.user_code, decision: 'deny' })
  await browser.rest(asked.verification_uri_complete ?? asked.verification_uri)
  await refused(client.pollDeviceAuthorizationGrant(config, { ...asked, interval: 1 }), 'access_denied')
})

// ANCHOR: exchange
test('an API exchanges the token it was shown for one to act at another', async (t) => {
  if (peer) return t.skip('the peer exchanges no tokens')
  const ask = new URLSearchParams()
  const { parameters, checks } = await request('web', { scope: 'openid orders:read stock:read' })
  for (const [name, value] of Object.entries(parameters)) ask.append(name, value)
  ask.append('resource', orders.audience)
  ask.append('resource', stock.audience)
  const config = await configured('web')
  const { url } = await new Browser(person).go(client.buildAuthorizationUrl(config, ask), parameters.redirect_uri)
  const shown = await client.authorizationCodeGrant(config, url, checks)

  const api = await configured('orders-api')
  const about = await client.tokenIntrospection(api, shown.access_token)
  assert.equal(about.active, true)
  assert.equal(about.sub, shown.claims().sub)
  const type = 'urn:ietf:params:oauth:token-type:access_token'
  const exchanged = await client.genericGrantRequest(api, 'urn:ietf:params:oauth:grant-type:token-exchange', {
    subject_token: shown.access_token, subject_token_type: type, resource: stock.audience,
  })
  assert.equal(exchanged.issued_token_type, type)
  const claims = decodeJwt(exchanged.access_token)
  assert.equal(claims.sub, shown.claims().sub)
  assert.equal(claims.act.sub, 'orders-api')
  assert.deepEqual([claims.aud].flat(), [stock.audience])
  assert.deepEqual(rights(claims), ['stock:read'])
})
// ANCHOR_END: exchange

for (const name of ['service', 'service-signed', 'service-dpop']) {
// ANCHOR: client_credentials
  test(`client credentials, ${facts.clients[name].auth_method} (${name})`, async () => {
    const config = await configured(name)
    const bound = facts.clients[name].dpop_bound_access_tokens
    const options = bound ? { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) } : {}
    const asked = { resource: orders.audience, scope: 'orders:read' }
    const tokens = await client.clientCredentialsGrant(config, asked, options)
    const claims = decodeJwt(tokens.access_token)
    assert.deepEqual([claims.aud].flat(), [orders.audience])
    assert.equal(claims.scope, 'orders:read')
    assert.equal(Boolean(claims.cnf?.jkt), Boolean(bound))
    await refused(client.clientCredentialsGrant(config, { ...asked, resource: 'https://elsewhere.example' }, options), 'invalid_target')
  })
// ANCHOR_END: client_credentials
}

test('a wrong secret and an unknown client are refused alike', async () => {
  const answers = []
  for (const name of ['service', 'nobody']) {
    const config = await client.discovery(new URL(issuer), name, undefined, client.ClientSecretBasic('wrong'))
    await assert.rejects(client.clientCredentialsGrant(config, {}), (thrown) => {
      answers.push([thrown.status ?? thrown.cause?.status, thrown.error ?? JSON.stringify(thrown.cause)])
      return true
    })
  }
  assert.deepEqual(answers[0], answers[1])
})
