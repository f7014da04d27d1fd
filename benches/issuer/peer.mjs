// npm's oidc-provider with the clients of FACTS: node peer.mjs FACTS

import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { Provider, errors } from 'oidc-provider'
import { exportJWK, generateKeyPair } from 'jose'

const facts = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { privateKey } = await generateKeyPair('ES256', { extractable: true })

/** The adapter that comes along keeps 1 000 entries, fewer than a measurement makes; this keeps all. */
const entries = new Map()
class InMemory {
  constructor(model) { this.model = model }
  async upsert(id, payload) {
    entries.set(`${this.model} ${id}`, payload)
    if (payload.uid && this.model === 'Session') entries.set(`uid ${payload.uid}`, `Session ${id}`)
    if (payload.grantId) {
      const of = `grant ${payload.grantId}`
      if (!entries.has(of)) entries.set(of, new Set())
      entries.get(of).add(`${this.model} ${id}`)
    }
  }
  async find(id) { return entries.get(`${this.model} ${id}`) }
  async findByUid(uid) { return entries.get(entries.get(`uid ${uid}`)) }
  async consume(id) { entries.get(`${this.model} ${id}`).consumed = Math.floor(Date.now() / 1000) }
  async destroy(id) { entries.delete(`${this.model} ${id}`) }
  async revokeByGrantId(grantId) {
    for (const key of entries.get(`grant ${grantId}`) ?? []) entries.delete(key)
    entries.delete(`grant ${grantId}`)
  }
}

const provider = new Provider(facts.issuer, {
  adapter: InMemory,
  clients: Object.entries(facts.clients).map(([client_id, it]) => ({
    client_id,
    client_secret: it.own.secret,
    token_endpoint_auth_method: it.auth_method,
    grant_types: it.grant_types ?? ['client_credentials'],
    response_types: it.redirect_uris ? ['code'] : [],
    redirect_uris: it.redirect_uris ?? [],
    jwks: it.jwks,
    id_token_signed_response_alg: 'ES256',
  })),
  jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'ES256' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  scopes: ['openid', 'orders:read'],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo(ctx, audience) {
        if (audience !== facts.audience) throw new errors.InvalidTarget()
        return { audience, scope: facts.scope, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
      },
    },
  },
})
createServer(provider.callback()).listen(Number(new URL(facts.issuer).port), '127.0.0.1')
