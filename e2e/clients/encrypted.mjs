// Resource servers that have their API's private key open what Doorward encrypted to it, and verify
// what is within by the issuer's published keys. npm's jose, and PyPI's joserfc (opened.py).

// ANCHOR: open
import { compactDecrypt, createRemoteJWKSet, jwtVerify } from 'jose'

/** What a good token says; `key` is the API's private key, `keys` are the issuer's published ones. */
async function claimsOf(token, key, keys, { issuer, audience }) {
  const { plaintext } = await compactDecrypt(token, key, {
    keyManagementAlgorithms: ['ECDH-ES', 'RSA-OAEP-256'],
    contentEncryptionAlgorithms: ['A256GCM'],
  })
  // It opened: that says nothing of who made it. The signature within does.
  const { payload } = await jwtVerify(plaintext, keys, {
    issuer, audience, typ: 'at+jwt', algorithms: ['ES256', 'EdDSA', 'PS256'],
  })
  return payload
}
// ANCHOR_END: open

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { before, test } from 'node:test'
import { CompactEncrypt, calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, exportJWK } from 'jose'
import * as client from 'openid-client'
import { facts } from './known.mjs'

const { issuer, apis } = facts
const tokens = {}
const keys = {}
let config, published

before(async () => {
  config = await client.discovery(new URL(issuer), 'accounting', undefined, client.ClientSecretBasic(facts.clients.accounting.own.secret))
  published = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
  for (const name of ['sealed', 'vault']) {
    const resource = apis[name].audience
    tokens[name] = (await client.clientCredentialsGrant(config, { resource })).access_token
    keys[name] = createPrivateKey(readFileSync(`${name}.key`))
  }
})

const call = async (name, token) =>
  (await fetch(`${apis[name].url}/all`, { headers: { authorization: `Bearer ${token}` } })).status

for (const [name, alg] of [['sealed', 'ECDH-ES'], ['vault', 'RSA-OAEP-256']]) {
  test(`${alg}: the API opens its token and knows who made it`, async () => {
    const { audience, scopes } = apis[name]
    const claims = await claimsOf(tokens[name], keys[name], published, { issuer, audience })
    assert.equal(claims.client_id, 'accounting')
    assert.equal(claims.scope, scopes[0])
    assert.equal(await call(name, tokens[name]), 200)
  })

  test(`${alg}: the header names the key and says nothing else`, async () => {
    const { epk, ...header } = decodeProtectedHeader(tokens[name])
    const kid = await calculateJwkThumbprint(await exportJWK(createPublicKey(keys[name])))
    assert.deepEqual(header, { alg, enc: 'A256GCM', kid, cty: 'JWT', typ: 'at+jwt' })
    assert.equal(epk === undefined, alg !== 'ECDH-ES')
    assert.throws(() => decodeJwt(tokens[name]))
  })

  test(`${alg}: another key, and a token that was changed, open nothing`, async () => {
    const { audience } = apis[name]
    const parts = tokens[name].split('.')
    parts[3] = [...parts[3]].reverse().join('')
    await assert.rejects(claimsOf(parts.join('.'), keys[name], published, { issuer, audience }), { code: 'ERR_JWE_DECRYPTION_FAILED' })
    const other = keys[name === 'sealed' ? 'vault' : 'sealed']
    await assert.rejects(claimsOf(tokens[name], other, published, { issuer, audience }))
    assert.equal(await call(name, parts.join('.')), 401)
  })

  test(`${alg}: what jose encrypts to the API's key, the gateway opens`, async () => {
    const { plaintext } = await compactDecrypt(tokens[name], keys[name])
    const again = await new CompactEncrypt(plaintext)
      .setProtectedHeader({ alg, enc: 'A128GCM', cty: 'JWT' })
      .encrypt(createPublicKey(keys[name]))
    assert.equal(await call(name, again), 200)
    // Signed alone it is refused, and so is one that is meant for the other API.
    assert.equal(await call(name, new TextDecoder().decode(plaintext)), 401)
    assert.equal(await call(name === 'sealed' ? 'vault' : 'sealed', tokens[name]), 401)
  })

  test(`${alg}: joserfc reads the same`, async () => {
    const { audience } = apis[name]
    const words = ['-B', 'opened.py', `${name}.key`, config.serverMetadata().jwks_uri, alg]
    const told = JSON.parse(execFileSync(process.env.PYTHON, words, { input: tokens[name], encoding: 'utf8' }))
    assert.deepEqual(told, { ...(await claimsOf(tokens[name], keys[name], published, { issuer, audience })) })
  })
}

test('the issuer answers for what it encrypted', async () => {
  const told = await client.tokenIntrospection(config, tokens.sealed)
  assert.equal(told.active, true)
  assert.equal(told.client_id, 'accounting')
  await client.tokenRevocation(config, tokens.sealed)
  assert.equal((await client.tokenIntrospection(config, tokens.sealed)).active, false)
  assert.equal(await call('sealed', tokens.sealed), 401)
})
