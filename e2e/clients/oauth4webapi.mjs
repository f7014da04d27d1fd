// npm's oauth4webapi, the FAPI 2.0 profile by hand: pushed requests, clients that prove themselves with
// a key, tokens that are bound to one: to a DPoP key, or to the certificate of the TLS connection.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createHash, X509Certificate } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import { decodeJwt, importJWK } from 'jose'
import { Agent, fetch as fetchWith } from 'undici'
import { Browser, Stopped } from './person.mjs'
import { facts, redirectUri } from './known.mjs'

const { issuer, person, apis, peer } = facts
const { orders } = apis

async function discovered(options) {
  const url = new URL(issuer)
  return oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: 'oidc', ...options }))
}

// ANCHOR: by_key
/** Once more with the nonce, if the server asks for one (RFC 9449 §8); tells whether it did. */
async function nonced(send) {
  try {
    return { result: await send(), asked: false }
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return { result: await send(), asked: true }
  }
}

/** One way of being bound: how a client proves itself, and what it adds to its requests. */
async function byKey() {
  const { own } = facts.clients.bank
  const client = { client_id: 'bank', id_token_signed_response_alg: 'ES256' }
  const keyPair = await oauth.generateKeyPair('ES256')
  const key = { key: await importJWK(own.jwk, own.jwk.alg), kid: own.jwk.kid }
  return { client, auth: oauth.PrivateKeyJwt(key), options: { DPoP: oauth.DPoP(client, keyPair) } }
}
// ANCHOR_END: by_key

// ANCHOR: by_certificate
const dispatcher = () => new Agent({ connect: { cert: readFileSync(process.env.CLIENT_CERT), key: readFileSync(process.env.CLIENT_KEY), ca: readFileSync(process.env.NODE_EXTRA_CA_CERTS) } })

async function byCertificate() {
  const agent = dispatcher()
  const client = { client_id: 'bank-certificate', id_token_signed_response_alg: 'ES256', use_mtls_endpoint_aliases: true }
  const customFetch = (url, init) => fetchWith(url, { ...init, dispatcher: agent })
  return { client, auth: oauth.TlsClientAuth(), options: { [oauth.customFetch]: customFetch }, agent }
}
// ANCHOR_END: by_certificate

async function requested() {
  const verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  const parameters = {
    response_type: 'code',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    scope: 'openid profile offline_access orders:read',
    prompt: 'consent',
    resource: orders.audience,
    state,
    nonce,
  }
  return { verifier, state, nonce, parameters }
}

// ANCHOR: push
/** Pushes the request, lets the person decide, and returns what the redirect URI was called with. */
async function authorized(as, { client, auth, options }, asked) {
  const parameters = { ...asked.parameters, redirect_uri: redirectUri(client.client_id) }
  const push = async () => oauth.processPushedAuthorizationResponse(as, client,
    await oauth.pushedAuthorizationRequest(as, client, auth, parameters, options))
  const { result: pushed, asked: nonce } = await nonced(push)
  const to = new URL(as.authorization_endpoint)
  to.searchParams.set('client_id', client.client_id)
  to.searchParams.set('request_uri', pushed.request_uri)
  const { url } = await new Browser(person).go(to, parameters.redirect_uri)
  return { url, nonce }
}
// ANCHOR_END: push

// ANCHOR: redeem
async function redeemed(as, { client, auth, options }, { verifier, nonce }, answer, more = {}) {
  const send = async () => {
    const response = await oauth.authorizationCodeGrantRequest(as, client, auth, answer, redirectUri(client.client_id), verifier,
      { ...options, additionalParameters: more })
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true })
    await oauth.validateApplicationLevelSignature(as, response)
    return tokens
  }
  return (await nonced(send)).result
}
// ANCHOR_END: redeem

async function refreshed(as, { client, auth, options }, token, more = {}) {
  const send = async () => oauth.processRefreshTokenResponse(as, client,
    await oauth.refreshTokenGrantRequest(as, client, auth, token, { ...options, additionalParameters: more }))
  return (await nonced(send)).result
}

const wants = (error) => (thrown) => {
  assert.equal(thrown.error ?? thrown.cause?.[0]?.parameters?.error, error, String(thrown.stack))
  return true
}

for (const [what, way] of [['DPoP', byKey], ['a certificate', byCertificate]]) {
  test(`FAPI 2.0: PAR, ${what}, ID token, UserInfo, refresh without rotation`, async () => {
    const as = await discovered()
    assert.equal(as.authorization_response_iss_parameter_supported, true)
    const bank = await way()
    const asked = await requested()
    const { url, nonce } = await authorized(as, bank, asked)
    // The proof goes with a nonce of the server's from the first request on.
    if (bank.options.DPoP) assert.equal(nonce, true)
    assert.equal(url.searchParams.get('iss'), issuer)
    assert.throws(() => oauth.validateAuthResponse(as, bank.client, url, 'another state'))
    const answer = oauth.validateAuthResponse(as, bank.client, url, asked.state)
    const tokens = await redeemed(as, bank, asked, answer)
    assert.equal(tokens.token_type, bank.options.DPoP ? 'dpop' : 'bearer')
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    const userInfo = async () => oauth.processUserInfoResponse(as, bank.client, claims.sub,
      await oauth.userInfoRequest(as, bank.client, tokens.access_token, bank.options))
    assert.equal((await nonced(userInfo)).result.name, person.claims.name)

    // The API's own token, bound to the same key.
    const next = await refreshed(as, bank, tokens.refresh_token, { resource: orders.audience })
    const { cnf } = decodeJwt(next.access_token)
    if (bank.options.DPoP) assert.equal(cnf.jkt, await bank.options.DPoP.calculateThumbprint())
    else assert.equal(cnf['x5t#S256'], createHash('sha256').update(new X509Certificate(readFileSync(process.env.CLIENT_CERT)).raw).digest('base64url'))
    if (!peer) {
      const call = (options) => oauth.protectedResourceRequest(next.access_token, 'GET', new URL(`${orders.url}/mine`), undefined, undefined, options)
      assert.equal((await nonced(() => call(bank.options))).result.status, 200)
      await assert.rejects(call({}), /WWW-Authenticate|challenge/i)
    }
    // FAPI 2.0 §5.3.2.1: no rotation, so the token goes on being good.
    assert.equal(next.refresh_token ?? tokens.refresh_token, tokens.refresh_token)
    await refreshed(as, bank, tokens.refresh_token)
    await bank.agent?.close()
  })
}

test('FAPI 2.0: a request that was not pushed is refused', async () => {
  const as = await discovered()
  const { parameters } = await requested()
  const to = new URL(as.authorization_endpoint)
  to.search = new URLSearchParams({ ...parameters, client_id: 'bank', redirect_uri: redirectUri('bank') })
  try {
    const { url } = await new Browser(person).go(to, redirectUri('bank'))
    assert.equal(url.searchParams.get('error'), 'invalid_request')
  } catch (error) {
    assert(error instanceof Stopped, String(error.stack))
  }
})

test('FAPI 2.0: no token without a proof, none for a code with another’s key', async () => {
  const as = await discovered()
  const bank = await byKey()
  const asked = await requested()
  const { url } = await authorized(as, bank, asked)
  const answer = oauth.validateAuthResponse(as, bank.client, url, asked.state)
  await assert.rejects(redeemed(as, { ...bank, options: {} }, asked, answer), (thrown) => /invalid_(request|grant|dpop_proof)/.test(thrown.error))
  const other = await byKey()
  await assert.rejects(redeemed(as, other, asked, answer), wants('invalid_grant'))
})

test('FAPI 2.0: a code is good for nothing with a wrong verifier, and the nonce is compared', async () => {
  const as = await discovered()
  const bank = await byKey()
  const asked = await requested()
  const { url } = await authorized(as, bank, asked)
  const answer = oauth.validateAuthResponse(as, bank.client, url, asked.state)
  const wrong = { ...asked, verifier: oauth.generateRandomCodeVerifier() }
  await assert.rejects(redeemed(as, bank, wrong, answer), wants('invalid_grant'))
  const again = await requested()
  const { url: second } = await authorized(as, bank, again)
  const its = oauth.validateAuthResponse(as, bank.client, second, again.state)
  await assert.rejects(redeemed(as, bank, { ...again, nonce: 'another' }, its), /unexpected/)
})

test('mix-up: a client that thinks it asked another server keeps the code to itself (RFC 9207)', async () => {
  const as = await discovered()
  const bank = await byKey()
  const asked = await requested()
  const { url } = await authorized(as, bank, asked)
  // The attacker's server names our endpoints as its own, and its own token endpoint.
  const attacker = { ...as, issuer: 'https://attacker.example', token_endpoint: 'https://attacker.example/token' }
  assert.throws(() => oauth.validateAuthResponse(attacker, bank.client, url, asked.state), /unexpected "iss"/)
  const answer = oauth.validateAuthResponse(as, bank.client, url, asked.state)
  assert.ok((await redeemed(as, bank, asked, answer)).access_token)
})

test('a client certificate of a stranger proves nothing', async () => {
  const as = await discovered()
  const { client, auth } = await byCertificate()
  const send = oauth.pushedAuthorizationRequest(as, client, auth, { ...(await requested()).parameters, redirect_uri: redirectUri('bank-certificate') })
  await assert.rejects(send.then((response) => oauth.processPushedAuthorizationResponse(as, client, response)), (thrown) => {
    assert.equal(thrown.status, 401, String(thrown.stack))
    return true
  })
})
