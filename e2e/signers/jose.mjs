// npm's jose signs JWTs for calls: with a key that the client registered, and with keys that a CA
// certifies, whose certificates stand in the header (x5c).
import assert from 'node:assert/strict'
import { X509Certificate, createHash, createPrivateKey, createPublicKey, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { SignJWT, calculateJwkThumbprint, exportJWK } from 'jose'
import { facts, seen, send } from './door.mjs'

const url = `${facts.plain}/exports/cups`
const file = (name) => readFileSync(join(facts.work, name), 'utf8')
const key = (name) => createPrivateKey(file(`${name}.key`))
const chain = (name) => file(`${name}.pem`)
  .match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  .map((pem) => new X509Certificate(pem).raw)

const kid = await calculateJwkThumbprint(await exportJWK(createPublicKey(key('p256'))))
const certified = (name) => ({
  client: 'certified',
  key: key(name),
  header: {
    x5c: chain(name).map((der) => der.toString('base64')),
    'x5t#S256': createHash('sha256').update(chain(name)[0]).digest('base64url'),
  },
})
const signers = {
  'a registered key': { client: 'registered', key: key('p256'), header: { kid } },
  'a certified key': certified('export'),
  'another key, certified by a CA below': certified('next'),
}

async function signed({ client, key: own, header }, claims = {}) {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', typ: 'client-call+jwt', ...header })
    .setIssuer(client).setSubject(client).setAudience('https://exports.example')
    .setIssuedAt().setExpirationTime('1m').setJti(randomUUID())
    .sign(own)
}

const get = (token) => send({ method: 'GET', url, headers: { authorization: `Bearer ${token}` } })

/** The text with one bit of one part flipped: of what it spells, not of its letters. */
function flipped(token, part, at) {
  const parts = token.split('.')
  const bytes = Buffer.from(parts[part], 'base64url')
  bytes[at < 0 ? bytes.length + at : at] ^= 1
  parts[part] = bytes.toString('base64url')
  return parts.join('.')
}

for (const [name, signer] of Object.entries(signers)) {
  test(`${name} passes, once`, async () => {
    const token = await signed(signer)
    const answer = await get(token)
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.headers['doorward-subject'], signer.client)
    assert.equal(answer.json.headers.authorization, undefined)
    assert.equal((await get(token)).status, 401)
  })

  test(`${name}: a body by its digest`, async () => {
    const body = '{"item":"tea"}'
    const claims = { htm: 'POST', htu: url, body_sha256: createHash('sha256').update(body).digest('base64url') }
    const call = async (sent) => send({ method: 'POST', url, headers: { authorization: `Bearer ${await signed(signer, claims)}` }, body: sent })
    assert.equal((await call(body)).json.text, body)
    assert.equal((await call(body.replace('tea', 'tee'))).status, 401)
  })

  test(`${name}: what is changed afterwards is refused`, async () => {
    const before = await seen()
    const token = await signed(signer)
    // The last byte of the header and of the payload is a brace; those before it are text.
    for (const [part, at] of [[0, 10], [0, -4], [1, 10], [1, -4], [2, 0], [2, -1]]) {
      assert.equal((await get(flipped(token, part, at))).status, 401, `part ${part}, byte ${at}`)
    }
    assert.equal((await get(await signed({ ...signer, key: key('door') }))).status, 401, 'another key')
    assert.deepEqual(await seen(), before)
    assert.equal((await get(token)).status, 200, 'it was not spent')
  })
}

test('nobody else\'s certificate, and no key of the other way', async () => {
  const before = await seen()
  const own = signers['a certified key']
  const registered = signers['a registered key']
  const refused = {
    'another client\'s certificate': { ...certified('import') },
    'a stranger\'s': { ...certified('stranger') },
    'a certificate, and another key': { ...own, key: key('p256') },
    'no certificate': { ...own, header: { kid } },
    'the certificate of a client that registered its keys': { ...own, client: 'registered' },
    'base64url': { ...own, header: { x5c: chain('export').map((der) => der.toString('base64url')) } },
    'the thumbprint of another': { ...own, header: { ...own.header, 'x5t#S256': certified('import').header['x5t#S256'] } },
    'a key of its own in the header': { ...registered, header: { jwk: await exportJWK(createPublicKey(key('p256'))) } },
  }
  for (const [what, signer] of Object.entries(refused)) assert.equal((await get(await signed(signer))).status, 401, what)
  assert.deepEqual(await seen(), before)
})
