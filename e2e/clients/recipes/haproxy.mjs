// Writes the settings of an HAProxy that checks Doorward's access tokens in front of an API. HAProxy
// takes keys as PEM files and knows no key sets, so each key of `jwks.json` becomes a file and a rule.
// Run it again, and reload HAProxy, more often than keys change: a new key is published a day before
// it signs.
//
//   node haproxy.mjs FOLDER LISTEN-PORT UPSTREAM-PORT ISSUER AUDIENCE

import { createPublicKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'

const [folder, listen, upstream, issuer, audience] = process.argv.slice(2)
const about = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
if (about.issuer !== issuer) throw new Error(`${issuer} calls itself ${about.issuer}`)
const { keys } = await (await fetch(about.jwks_uri)).json()

// What HAProxy's `jwt_verify` can do.
const usable = keys.filter((key) => /^(ES|RS|PS)(256|384|512)$/.test(key.alg) && /^[\w-]+$/.test(key.kid))
const rules = usable.map((key) => {
  const file = `${folder}/${key.kid}.pem`
  writeFileSync(file, createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }))
  const chosen = `{ var(txn.kid) -m str ${key.kid} } { var(txn.alg) -m str ${key.alg} }`
  return `    http-request set-var(txn.verified) var(txn.bearer),jwt_verify(txn.alg,"${file}") if ${chosen}`
})

writeFileSync(`${folder}/haproxy.cfg`, `
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s

frontend orders
    bind 127.0.0.1:${listen}
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.typ) var(txn.bearer),jwt_header_query('$.typ')
    http-request set-var(txn.kid) var(txn.bearer),jwt_header_query('$.kid')
    # The signature first; each key with its own algorithm and no other.
${rules.join('\n')}
    http-request deny deny_status 401 unless { var(txn.verified) -m int 1 }
    # RFC 9068 §4: an access token of this issuer, for this API, still alive, not bound to a key.
    http-request deny deny_status 401 unless { var(txn.typ) -m str at+jwt }
    http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.iss') -m str ${issuer} }
    http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
    http-request deny deny_status 401 unless { var(txn.aud) -m str ${audience} } or { var(txn.aud) -m sub '"${audience}"' }
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless { var(txn.exp),sub(txn.now) -m int gt 0 }
    http-request set-var(txn.payload) var(txn.bearer),word(2,.),ub64dec
    http-request deny deny_status 401 if { var(txn.payload) -m sub '"cnf":' }
    # One scope per method.
    http-request set-var(txn.scope) var(txn.bearer),jwt_payload_query('$.scope'),concat(" ")
    http-request deny deny_status 403 if METH_GET !{ var(txn.scope) -m reg (^|\\ )orders:read\\  }
    http-request deny deny_status 403 if METH_POST !{ var(txn.scope) -m reg (^|\\ )orders:write\\  }
    http-request deny deny_status 405 unless METH_GET or METH_POST
    # What the API may believe, whatever the caller sent.
    http-request set-header x-client %[var(txn.bearer),jwt_payload_query('$.client_id')]
    default_backend api

backend api
    server one 127.0.0.1:${upstream}
`)
console.log(`${rules.length} of ${keys.length} keys`)
