// What server and calls share: node facts.mjs FOLDER ISSUER writes FOLDER/facts.json and clients.yaml.

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'

const [folder, issuer] = process.argv.slice(2)
const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
const jwk = await exportJWK(publicKey)
const about = { kid: await calculateJwkThumbprint(jwk), alg: 'ES256', use: 'sig' }
const secret = () => ({ secret: randomBytes(32).toString('base64url') })
const grants = { orders: ['orders:read'] }

const clients = {
  robot: { auth_method: 'client_secret_basic', kind: 'service', grants, own: secret() },
  signer: {
    auth_method: 'private_key_jwt', kind: 'service', grants,
    jwks: { keys: [{ ...jwk, ...about }] }, own: { jwk: { ...(await exportJWK(privateKey)), ...about } },
  },
  api: { auth_method: 'client_secret_basic', kind: 'service', introspects: ['orders'], own: secret() },
  web: {
    auth_method: 'client_secret_basic', kind: 'confidential', redirect_uris: ['https://client.bench.test/callback'],
    grant_types: ['authorization_code', 'refresh_token'], identity_scopes: ['openid'], grants, own: secret(),
  },
}
const facts = {
  issuer,
  audience: 'https://orders.bench.test',
  scope: 'orders:read',
  person: { username: 'alice', password: randomBytes(12).toString('base64url') },
  clients,
}
writeFileSync(`${folder}/facts.json`, JSON.stringify(facts, null, 1), { mode: 0o600 })
const documents = Object.entries(clients).map(([name, { own, ...spec }]) => JSON.stringify(
  { apiVersion: 'doorward/v1', kind: 'Client', metadata: { name }, spec: { application: 'bench', ...spec } },
))
writeFileSync(`${folder}/clients.yaml`, documents.map((one) => `---\n${one}\n`).join(''))
