// The facts that server and clients share, made once per run.
//
//   node facts.mjs FOLDER ISSUER API [PEER]
//
// writes FOLDER/facts.json: the issuer, a person, the APIs, and the clients with their registration as
// RFC 7591 names it (what Doorward's documents name too) and, under `own`, what only the client knows.
// FOLDER/client.pem is the certificate of the clients that prove themselves by TLS.

import { X509Certificate, createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'

const [folder, issuer, api, peer] = process.argv.slice(2)

const CALLBACK = 'https://client.example/callback'
const OPENID = ['openid', 'profile', 'email', 'offline_access']
const ORDERS = { orders: ['orders:read', 'orders:write'] }
const CODE = ['authorization_code', 'refresh_token']

async function key(alg) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  const about = { kid, alg, use: 'sig' }
  return { jwks: { keys: [{ ...jwk, ...about }] }, own: { jwk: { ...(await exportJWK(privateKey)), ...about } } }
}

async function signing(alg, about) {
  const { jwks, own } = await key(alg)
  return { auth_method: 'private_key_jwt', ...about, jwks, own }
}

/** The key of the certificate, as a client registers it (RFC 8705 §2.2.2). */
function certificateKey() {
  const certificate = new X509Certificate(readFileSync(`${folder}/client.pem`))
  const jwk = certificate.publicKey.export({ format: 'jwk' })
  const kid = createHash('sha256').update(certificate.raw).digest('base64url')
  return { keys: [{ ...jwk, kid, use: 'sig', x5c: [certificate.raw.toString('base64')] }] }
}

const secret = (about, method = 'client_secret_basic') => ({
  auth_method: method, ...about, own: { secret: randomBytes(32).toString('base64url') },
})
const web = { kind: 'confidential', redirect_uris: [CALLBACK], grant_types: CODE, identity_scopes: OPENID, grants: { ...ORDERS, stock: ['stock:read'] } }
const fapi = { kind: 'confidential', profile: 'fapi2', redirect_uris: [CALLBACK], grant_types: CODE, identity_scopes: OPENID, grants: ORDERS }
const service = { kind: 'service', grant_types: ['client_credentials'], grants: { ...ORDERS, stock: ['stock:read'] } }

// Of APIs that the peer does not have.
const ours = {
  accounting: secret({ kind: 'service', grant_types: ['client_credentials'], grants: { sealed: ['sealed:read'], vault: ['vault:read'] } }),
}

const clients = {
  ...(peer ? {} : ours),
  web: secret({ ...web, post_logout_redirect_uris: ['https://client.example/bye'] }),
  'web-post': secret(web, 'client_secret_post'),
  'web-signed': await signing('ES256', web),
  'web-rsa': await signing('PS256', web),
  'web-old': secret({ ...web, profile: 'oidc_compat' }),
  'web-userinfo': secret({ ...web, userinfo_signed_response_alg: 'ES256' }),
  'old-userinfo': secret({ ...web, profile: 'oidc_compat', userinfo_signed_response_alg: 'RS256' }),
  desktop: {
    auth_method: 'none', kind: 'native', redirect_uris: ['http://127.0.0.1/callback'], grant_types: CODE,
    identity_scopes: OPENID, grants: ORDERS, own: {},
  },
  page: {
    auth_method: 'none', kind: 'browser', redirect_uris: ['https://page.example/callback'], grant_types: CODE,
    identity_scopes: OPENID, grants: ORDERS, dpop_bound_access_tokens: true, own: {},
  },
  tv: {
    auth_method: 'none', kind: 'device', identity_scopes: OPENID, grants: ORDERS,
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'], own: {},
  },
  bank: await signing('ES256', { ...fapi, dpop_bound_access_tokens: true }),
  'bank-certificate': {
    auth_method: 'self_signed_tls_client_auth', ...fapi, tls_client_certificate_bound_access_tokens: true,
    jwks: certificateKey(), own: {},
  },
  service: secret(service),
  'service-signed': await signing('Ed25519', service),
  'service-dpop': await signing('ES256', { ...service, dpop_bound_access_tokens: true }),
  'orders-api': secret({
    ...service, grants: { stock: ['stock:read'] }, introspects: ['orders'],
    grant_types: ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'],
  }),
}

const facts = {
  issuer,
  /** Whether the server is the peer: what is ours alone is left out. */
  peer: Boolean(peer),
  person: { username: 'alice', password: randomBytes(12).toString('base64url'), claims: { name: 'Alice Example', email: 'alice@example.com' } },
  apis: { orders: { audience: 'https://orders.example', url: `${api}/orders`, scopes: ORDERS.orders },
          sealed: { audience: 'https://sealed.example', url: `${api}/sealed`, scopes: ['sealed:read'] },
          vault: { audience: 'https://vault.example', url: `${api}/vault`, scopes: ['vault:read'] },
          stock: { audience: 'https://stock.example', url: `${api}/stock`, scopes: ['stock:read'] } },
  clients,
}
writeFileSync(`${folder}/facts.json`, JSON.stringify(facts, null, 1), { mode: 0o600 })

// The same clients as documents; a JSON text is a YAML text.
const documents = Object.entries(clients).map(([name, { own, ...spec }]) => JSON.stringify(
  { apiVersion: 'doorward/v1', kind: 'Client', metadata: { name }, spec: { application: 'shop', ...spec } },
))
writeFileSync(`${folder}/clients.yaml`, documents.map((one) => `---\n${one}\n`).join(''))
