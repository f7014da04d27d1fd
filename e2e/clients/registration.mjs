// npm's openid-client as a partner's program: it registers itself with an initial access token, does
// what it registered for, and manages itself (RFC 7591, RFC 7592). Then everything that it must not.

import assert from 'node:assert/strict'
import { test as run } from 'node:test'
import * as client from 'openid-client'
import { calculateJwkThumbprint, decodeJwt, exportJWK, generateKeyPair } from 'jose'
import { Browser, Stopped } from './person.mjs'
import { facts } from './known.mjs'

const { issuer, person, apis, peer, registration } = facts
const { orders } = apis
const test = (name, body) => run(name, { skip: peer && 'the peer was not told of registration' }, body)

const callback = 'https://partner.example/callback'
const web = {
  client_name: 'Partner',
  redirect_uris: [callback],
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  scope: 'openid email orders:read',
  id_token_signed_response_alg: 'ES256',
}

// ANCHOR: register
/** Registers a client; the answer is a configuration that is ready to use. */
async function registered(metadata = {}, proof = client.ClientSecretBasic()) {
  const config = await client.dynamicClientRegistration(new URL(issuer), { ...web, ...metadata }, proof, {
    initialAccessToken: registration.token,
  })
  client.enableNonRepudiationChecks(config)
  return { config, mine: config.clientMetadata() }
}
// ANCHOR_END: register

// ANCHOR: manage
/** What a client asks about itself, at the place and with the token that it was told. */
async function manage({ registration_client_uri: place, registration_access_token: token }, method = 'GET', metadata = undefined) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const answer = await fetch(place, { method, headers, body: metadata && JSON.stringify(metadata) })
  return { status: answer.status, told: answer.status === 204 ? {} : await answer.json() }
}
// ANCHOR_END: manage

/** Registers by hand, for what a library would not send. */
async function post(metadata, authorization) {
  const headers = { 'content-type': 'application/json', ...(authorization && { authorization }) }
  const answer = await fetch(`${issuer}/oauth/register`, { method: 'POST', headers, body: JSON.stringify(metadata) })
  return { status: answer.status, challenge: answer.headers.get('www-authenticate'), told: await answer.json() }
}

async function loggedIn(config, redirect_uri = callback) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const checks = { pkceCodeVerifier, expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true }
  const to = client.buildAuthorizationUrl(config, {
    redirect_uri,
    scope: 'openid email orders:read',
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
  })
  const { url } = await new Browser(person).go(to, redirect_uri)
  return client.authorizationCodeGrant(config, url, checks)
}

const refused = (promise, error) => assert.rejects(promise, (thrown) => {
  assert.equal(thrown.error ?? thrown.cause?.error, error, String(thrown.stack))
  return true
})

test('a partner registers itself and logs a person in', async () => {
  const { config, mine } = await registered()
  assert.equal(config.serverMetadata().registration_endpoint, `${issuer}/oauth/register`)
  assert.match(mine.client_id, /^dyn-/)
  assert(mine.client_secret_expires_at > Date.now() / 1000)
  const tokens = await loggedIn(config)
  const claims = tokens.claims()
  assert.equal([claims.aud].flat()[0], mine.client_id)
  const about = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
  assert.equal(about.email, person.claims.email)
  // Only what it registered for: the profile was not.
  assert.equal(about.name, undefined)
  await client.refreshTokenGrant(config, tokens.refresh_token)
})

test('a service registers its key and gets tokens for the API of the policy', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  const service = {
    redirect_uris: undefined,
    grant_types: ['client_credentials'],
    scope: 'orders:read',
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [{ ...jwk, kid, alg: 'ES256', use: 'sig' }] },
  }
  const { config, mine } = await registered(service, client.PrivateKeyJwt({ key: privateKey, kid }))
  assert.equal(mine.client_secret, undefined)
  const tokens = await client.clientCredentialsGrant(config, { resource: orders.audience })
  const claims = decodeJwt(tokens.access_token)
  assert.equal(claims.client_id, mine.client_id)
  assert.equal(claims.scope, 'orders:read')
  const answer = await client.fetchProtectedResource(config, tokens.access_token, new URL(`${orders.url}/mine`), 'GET')
  assert.equal(answer.status, 200)
  await refused(client.clientCredentialsGrant(config, { resource: apis.stock.audience }), 'invalid_target')
})

test('a client reads, changes and removes itself', async () => {
  const { config, mine } = await registered()
  const tokens = await loggedIn(config)
  const own = await client.clientCredentialsGrant(config, { resource: orders.audience })

  const read = await manage(mine)
  assert.equal(read.status, 200)
  assert.equal(read.told.client_name, 'Partner')
  assert.equal(read.told.client_secret, undefined)

  const moved = 'https://partner.example/moved'
  const changed = await manage(mine, 'PUT', { ...web, client_id: mine.client_id, client_secret: mine.client_secret, redirect_uris: [moved] })
  assert.equal(changed.status, 200, JSON.stringify(changed.told))
  assert.deepEqual(changed.told.redirect_uris, [moved])
  assert.equal(changed.told.client_secret, undefined)
  // The token is another one from now on.
  assert.notEqual(changed.told.registration_access_token, mine.registration_access_token)
  assert.equal((await manage(mine)).status, 401)
  assert.equal((await manage(changed.told)).status, 200)
  await loggedIn(config, moved)
  await assert.rejects(loggedIn(config), Stopped)

  assert.equal((await manage(changed.told, 'DELETE')).status, 204)
  assert.equal((await manage(changed.told)).status, 401)
  await assert.rejects(client.clientCredentialsGrant(config, { resource: orders.audience }), /WWW-Authenticate/i)
  await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), /WWW-Authenticate/i)
  for (const { access_token: token } of [tokens, own]) {
    const answer = await fetch(`${orders.url}/mine`, { headers: { authorization: `Bearer ${token}` } })
    assert.equal(answer.status, 401)
  }
})

test('nobody registers without a token that is valid for it', async () => {
  const { mine } = await registered()
  const nobody = await post(web)
  assert.deepEqual([nobody.status, nobody.challenge], [401, 'Bearer realm="registration"'])
  const wrong = registration.token.slice(0, -1) + (registration.token.endsWith('0') ? '1' : '0')
  for (const authorization of [
    `Bearer ${wrong}`,
    'Bearer x',
    // What manages a client registers none, nor does a client's secret.
    `Bearer ${mine.registration_access_token}`,
    `Bearer ${mine.client_secret}`,
    `Basic ${btoa(`${mine.client_id}:${mine.client_secret}`)}`,
  ]) {
    const seen = await post(web, authorization)
    assert.deepEqual([seen.status, seen.told.error], [401, 'invalid_token'], authorization)
  }
  // A token of one use.
  assert.equal((await post(web, `Bearer ${registration.once}`)).status, 201)
  assert.equal((await post(web, `Bearer ${registration.once}`)).status, 401)
})

test('a token of registration opens nothing else', async () => {
  const { mine } = await registered()
  for (const token of [registration.token, mine.registration_access_token]) {
    const headers = { authorization: `Bearer ${token}` }
    for (const place of [`${orders.url}/mine`, `${issuer}/oauth/userinfo`]) {
      const answer = await fetch(place, { headers })
      assert.equal(answer.status, 401, place)
    }
  }
})

test('a client manages itself and no other', async () => {
  const { mine } = await registered()
  const { mine: other } = await registered()
  const foreign = { ...mine, registration_access_token: other.registration_access_token }
  const initial = { ...mine, registration_access_token: registration.token }
  const declared = { ...other, registration_client_uri: `${issuer}/oauth/register/web` }
  const missing = { ...other, registration_client_uri: `${issuer}/oauth/register/dyn-nobody` }
  const update = { ...web, client_id: mine.client_id }
  for (const who of [foreign, initial, declared, missing]) {
    for (const [method, metadata] of [['GET'], ['PUT', update], ['DELETE']]) {
      const seen = await manage(who, method, metadata)
      assert.deepEqual([seen.status, seen.told.error], [401, 'invalid_token'], `${method} ${who.registration_client_uri}`)
    }
  }
  assert.equal((await manage(mine)).status, 200)
})

test('nothing beyond the policy is registered, at first or later', async () => {
  const { mine } = await registered()
  const [redirect, metadata] = ['invalid_redirect_uri', 'invalid_client_metadata']
  for (const [change, error] of [
    [{ redirect_uris: ['https://evil.example/callback'] }, redirect],
    [{ redirect_uris: [callback, 'https://partner.example.evil.example/callback'] }, redirect],
    [{ redirect_uris: ['https://partner.example@evil.example/callback'] }, redirect],
    [{ redirect_uris: ['http://partner.example/callback'] }, redirect],
    [{ redirect_uris: [`${callback}#here`] }, redirect],
    [{ redirect_uris: ['javascript:alert(1)'] }, redirect],
    [{ post_logout_redirect_uris: ['https://evil.example/bye'] }, metadata],
    [{ grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:token-exchange'] }, metadata],
    [{ grant_types: ['implicit'], response_types: ['token'] }, metadata],
    [{ grant_types: ['password'] }, metadata],
    [{ scope: 'openid orders:write' }, metadata],
    [{ scope: 'openid stock:read' }, metadata],
    [{ scope: 'openid profile' }, metadata],
    [{ token_endpoint_auth_method: 'client_secret_jwt' }, metadata],
    [{ token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=bank' }, metadata],
    [{ subject_type: 'pairwise' }, metadata],
    [{ sector_identifier_uri: 'https://169.254.169.254/sector' }, metadata],
    [{ logo_uri: 'javascript:alert(1)' }, metadata],
    [{ jwks_uri: 'http://169.254.169.254/latest/meta-data', token_endpoint_auth_method: 'private_key_jwt' }, metadata],
    [{ client_name: 'x'.repeat(1000) }, metadata],
    [{ software_statement: 'eyJhbGciOiJub25lIn0.e30.' }, 'unapproved_software_statement'],
  ]) {
    const what = JSON.stringify(change).slice(0, 100)
    const first = await post({ ...web, ...change }, `Bearer ${registration.token}`)
    assert.deepEqual([first.status, first.told.error], [400, error], `${what}: ${JSON.stringify(first.told)}`)
    const later = await manage(mine, 'PUT', { ...web, client_id: mine.client_id, ...change })
    assert.deepEqual([later.status, later.told.error], [400, error], `${what}: ${JSON.stringify(later.told)}`)
  }
  // Who it is, is not its own to say.
  for (const change of [{ client_id: 'web' }, { client_secret: 'guessed' }, { registration_access_token: mine.registration_access_token }]) {
    const seen = await manage(mine, 'PUT', { ...web, client_id: mine.client_id, ...change })
    assert.deepEqual([seen.status, seen.told.error], [400, metadata], JSON.stringify(change))
  }
  // What only an operator decides is passed over.
  const wished = { skip_consent: true, roles: ['admin'], introspects: ['orders'], application: 'shop', token_lifetime: '60m' }
  const { status, told } = await manage(mine, 'PUT', { ...web, client_id: mine.client_id, ...wished })
  assert.equal(status, 200, JSON.stringify(told))
  for (const name of Object.keys(wished)) assert.equal(told[name], undefined, name)
})
