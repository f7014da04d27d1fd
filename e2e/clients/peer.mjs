// The peer: npm's oidc-provider with the clients of FACTS. The scripts are tried against it as well
// (`run --peer`), so that a step which fails against Doorward fails for Doorward's sake.
//
//   node peer.mjs FACTS CERTIFICATE KEY

import { createServer } from 'node:https'
import { readFileSync } from 'node:fs'
import { Provider, errors } from 'oidc-provider'
import { randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair } from 'jose'

const [factsFile, certificate, keyFile] = process.argv.slice(2)
const facts = JSON.parse(readFileSync(factsFile, 'utf8'))

async function signingKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: alg }
}

const clients = Object.entries(facts.clients).map(([client_id, it]) => ({
  client_id,
  client_secret: it.own.secret,
  token_endpoint_auth_method: it.auth_method,
  grant_types: it.grant_types.filter((one) => !one.endsWith(':token-exchange')),
  response_types: it.redirect_uris ? ['code'] : [],
  redirect_uris: it.redirect_uris ?? [],
  post_logout_redirect_uris: it.post_logout_redirect_uris ?? [],
  application_type: it.kind === 'native' ? 'native' : 'web',
  jwks: it.jwks,
  id_token_signed_response_alg: it.profile === 'oidc_compat' ? 'RS256' : 'ES256',
  userinfo_signed_response_alg: it.userinfo_signed_response_alg,
  dpop_bound_access_tokens: it.dpop_bound_access_tokens,
  tls_client_certificate_bound_access_tokens: it.tls_client_certificate_bound_access_tokens,
  require_pushed_authorization_requests: it.profile === 'fapi2',
}))

const peerCertificate = (ctx) => {
  const { raw } = ctx.socket.getPeerCertificate()
  return raw && `-----BEGIN CERTIFICATE-----\n${raw.toString('base64')}\n-----END CERTIFICATE-----`
}
const profileOf = (client) => facts.clients[client.clientId].profile

const provider = new Provider(facts.issuer, {
  clients,
  clientAuthMethods: [...new Set(clients.map((it) => it.token_endpoint_auth_method))],
  jwks: { keys: [await signingKey('ES256'), await signingKey('RS256')] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
  async findAccount(ctx, sub) {
    return { accountId: sub, claims: () => ({ sub, ...facts.person.claims }) }
  },
  pkce: { required: (ctx, client) => profileOf(client) !== 'oidc_compat' },
  issueRefreshToken: (ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  rotateRefreshToken: (ctx) => profileOf(ctx.oidc.client) !== 'fapi2',
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    fapi: { enabled: true, profile: (ctx, client) => (client && profileOf(client) === 'fapi2' ? '2.0' : undefined) },
    introspection: { enabled: true },
    jwtUserinfo: { enabled: true },
    mTLS: { enabled: true, certificateBoundAccessTokens: true, selfSignedTlsClientAuth: true, getCertificate: peerCertificate },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => false,
      getResourceServerInfo(ctx, audience) {
        const api = Object.values(facts.apis).find((one) => one.audience === audience)
        if (!api) throw new errors.InvalidTarget()
        return { audience, scope: api.scopes.join(' '), accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
      },
    },
    revocation: { enabled: true },
  },
})
provider.on('server_error', (ctx, error) => console.error(error))

createServer(
  { cert: readFileSync(certificate), key: readFileSync(keyFile), requestCert: true, rejectUnauthorized: false },
  provider.callback(),
).listen(Number(new URL(facts.issuer).port), '127.0.0.1')
