// An API that checks Doorward's access tokens by itself: plain Node and npm's jose. It needs two facts,
// the issuer's URL and its own audience, and fetches the keys when it meets one it does not know.
//
//   node jose-server.mjs PORT ISSUER AUDIENCE

import { createServer } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [port, issuer, audience] = process.argv.slice(2)

// The address of the keys stands in the metadata (RFC 8414 §2), which must be the issuer's own (§3.3).
const about = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
if (about.issuer !== issuer) throw new Error(`${issuer} calls itself ${about.issuer}`)
const keys = createRemoteJWKSet(new URL(about.jwks_uri))

const NEEDED = { GET: 'orders:read', POST: 'orders:write' }

/** The claims of a good token, or what to answer (RFC 6750 §3). */
async function judge(request) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  if (scheme.toLowerCase() !== 'bearer' || !token) return { status: 401, challenge: 'Bearer' }
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      typ: 'at+jwt', // RFC 9068 §4: an ID token is no access token
      algorithms: ['ES256', 'EdDSA', 'Ed25519', 'PS256'],
      requiredClaims: ['exp', 'sub', 'client_id'],
    })
    // A token bound to a key proves nothing to somebody who does not ask for that key.
    if (payload.cnf) return { status: 401, challenge: 'Bearer error="invalid_token"' }
    const scopes = (payload.scope ?? '').split(' ')
    const needed = NEEDED[request.method]
    if (!needed || !scopes.includes(needed)) return { status: 403, challenge: `Bearer error="insufficient_scope", scope="${needed}"` }
    return { status: 200, claims: payload }
  } catch (error) {
    if (error.code?.startsWith('ERR_J')) return { status: 401, challenge: 'Bearer error="invalid_token"' }
    return { status: 503 } // the keys could not be fetched
  }
}

createServer(async (request, response) => {
  const { status, challenge, claims } = await judge(request)
  response.writeHead(status, { 'content-type': 'application/json', ...(challenge && { 'www-authenticate': challenge }) })
  response.end(JSON.stringify(claims ? { hello: claims.sub, client: claims.client_id } : { status }))
}).listen(Number(port), '127.0.0.1')
