// Makes what the calls of one measurement carry, from a running server, and proves what it refuses.
//
//   node prepare.mjs FACTS FOLDER OPERATION COUNT CHAINS
//
// writes into FOLDER what `calls.lua` reads: `call` (method, path, header fields, body; @ is replaced
// by a line) and `lines` (COUNT of them, or one per chain).

import { createPrivateKey, randomUUID, sign } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { Browser } from './person.mjs'

const [factsFile, folder, operation, count, chains] = process.argv.slice(2)
const facts = JSON.parse(readFileSync(factsFile, 'utf8'))
const { issuer, audience, scope, clients } = facts
const about = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
const path = (url) => new URL(url).pathname

const basic = (name, secret = clients[name].own.secret) => ({ authorization: `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}` })
const form = (parameters) => new URLSearchParams(parameters).toString()

async function post(url, parameters, headers = {}) {
  const answer = await fetch(url, {
    method: 'POST', headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' }, body: form(parameters),
  })
  const text = await answer.text()
  return { status: answer.status, ...(text && JSON.parse(text)) }
}

async function good(promise) {
  const answer = await promise
  if (answer.status >= 300) throw new Error(`a good call was answered with ${JSON.stringify(answer)}`)
  return answer
}

async function refuses(what, error, promise) {
  const answer = await promise
  if (answer.error !== error) throw new Error(`${what} was answered with ${JSON.stringify(answer)}, not ${error}`)
}

function writeCall(method, url, headers, body, lines) {
  const fields = { ...headers, 'content-type': 'application/x-www-form-urlencoded' }
  const call = [method, path(url), ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`), '', body]
  writeFileSync(`${folder}/call`, call.join('\n'), { mode: 0o600 })
  writeFileSync(`${folder}/lines`, `${lines.join('\n')}\n`, { mode: 0o600 })
}

const credentials = { grant_type: 'client_credentials', resource: audience, scope }

function assertions(number) {
  const { jwk } = clients.signer.own
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const header = encode({ alg: 'ES256', kid: jwk.kid })
  const iat = Math.floor(Date.now() / 1000)
  return Array.from({ length: number }, () => {
    const claims = { iss: 'signer', sub: 'signer', aud: issuer, iat, exp: iat + 290, jti: randomUUID() }
    const input = `${header}.${encode(claims)}`
    return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
  })
}
const asserted = (assertion) => ({
  ...credentials, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: assertion,
})

// A code flow of one who is logged in and has consented. The challenge is RFC 7636's, appendix B.
const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const redirect_uri = clients.web.redirect_uris[0]
const asking = {
  response_type: 'code', client_id: 'web', redirect_uri, scope: `openid ${scope}`, resource: audience, state: 'the-state',
  nonce: 'the-nonce', code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256',
}
const redeeming = (code) => ({ grant_type: 'authorization_code', code, redirect_uri, code_verifier: verifier, resource: audience })

async function code(browser, asked = asking) {
  const { url } = await browser.go(`${about.authorization_endpoint}?${form(asked)}`, redirect_uri)
  const found = url.searchParams.get('code')
  if (!found) throw new Error(`no code: ${url}`)
  return found
}

const operations = {
  async secret() {
    await refuses('a wrong secret', 'invalid_client', post(about.token_endpoint, credentials, basic('robot', 'wrong')))
    await good(post(about.token_endpoint, credentials, basic('robot')))
    writeCall('POST', about.token_endpoint, basic('robot'), form(credentials), [''])
  },
  async assertion() {
    const all = assertions(Number(count) + 1)
    const first = all.pop()
    await good(post(about.token_endpoint, asserted(first)))
    await refuses('a used assertion', 'invalid_client', post(about.token_endpoint, asserted(first)))
    writeCall('POST', about.token_endpoint, {}, form(asserted('@')).replace('%40', '@'), all)
  },
  async introspection() {
    // oidc-provider makes opaque tokens where no resource is named, and introspects only those.
    const which = facts.opaque ? { grant_type: 'client_credentials' } : credentials
    const tokens = []
    for (let number = 0; number < 100; number += 1) {
      tokens.push((await good(post(about.token_endpoint, which, basic('robot')))).access_token)
    }
    const ask = (token) => post(about.introspection_endpoint, { token }, basic('api'))
    if ((await ask(tokens[0])).active !== true) throw new Error('a live token is not active')
    if ((await ask(`${tokens[0]}x`)).active !== false) throw new Error('a foreign token is active')
    writeCall('POST', about.introspection_endpoint, basic('api'), 'token=@', tokens)
  },
  async par() {
    const url = about.pushed_authorization_request_endpoint
    await refuses('a foreign redirect_uri', 'invalid_request', post(url, { ...asking, redirect_uri: 'https://elsewhere.test/' }, basic('web'))
      .then((answer) => ({ ...answer, error: answer.error?.replace('invalid_redirect_uri', 'invalid_request') })))
    await good(post(url, asking, basic('web')))
    writeCall('POST', url, basic('web'), form(asking), [''])
  },
  async refresh() {
    const browser = new Browser(facts.person)
    const refresh = (token) => post(about.token_endpoint, { grant_type: 'refresh_token', refresh_token: token, resource: audience }, basic('web'))
    // Without openid: an access token and a refresh token each time.
    const { nonce, ...plain } = { ...asking, scope }
    const begun = async (browser) => (await good(post(about.token_endpoint, redeeming(await code(browser, plain)), basic('web')))).refresh_token
    // In a session of its own: oidc-provider ends all that a session gave this client.
    const first = await begun(new Browser(facts.person))
    const { refresh_token: second } = await good(refresh(first))
    await good(refresh(second))
    await refuses('a replaced refresh token', 'invalid_grant', refresh(first))
    const tokens = []
    while (tokens.length < Number(chains)) tokens.push(await begun(browser))
    const body = form({ grant_type: 'refresh_token', resource: audience, refresh_token: '@' }).replace('%40', '@')
    writeCall('POST', about.token_endpoint, basic('web'), body, tokens)
  },
  async code() {
    const browser = new Browser(facts.person)
    await code(browser)
    const one = await code(browser)
    const tokens = await good(post(about.token_endpoint, redeeming(one), basic('web')))
    if (!tokens.id_token || !tokens.access_token) throw new Error('the code flow gave no two tokens')
    await refuses('a redeemed code', 'invalid_grant', post(about.token_endpoint, redeeming(one), basic('web')))
    await code(browser)
    const body = form(redeeming('@')).replace('%40', '@')
    writeCall('POST', about.token_endpoint, basic('web'), body, Array(Number(chains)).fill(''))
    const cookie = [...browser.cookies.values()].filter((one) => one.path === '/' || path(about.authorization_endpoint).startsWith(one.path))
      .map((one) => `${one.name}=${one.value}`).join('; ')
    const start = `${path(about.authorization_endpoint)}?${form(asking)}`
    writeFileSync(`${folder}/start`, ['GET', start, `cookie: ${cookie}`, 'accept: text/html', '', ''].join('\n'), { mode: 0o600 })
  },
}
await operations[operation]()
