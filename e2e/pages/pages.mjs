// The issuer's pages in a real browser, as people use them: with the mouse, with the keyboard alone, with
// scripts switched off, in the dark, on a narrow screen, with a screen reader; and with somebody hostile
// at another site.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { attach } from './chromium.mjs'

const { ISSUER: issuer, SECURE_ISSUER: secureIssuer, PASSWORD: password, SECURE_PASSWORD: securePassword, PROFILE, SHOTS, AXE } = process.env
const SCOPE = 'openid profile orders:read'

// ── who is there ─────────────────────────────────────────────────────────────────────────────────

/** The client: a program that waits on loopback for its answer, and serves whatever else a test wants. */
const client = { heard: new Map(), pages: new Map() }
/** The same server under another name: for a browser another site. */
let elsewhere
let browser
let tabs = []

before(async () => {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, client.origin)
    let body = ''
    for await (const chunk of request) body += chunk
    const params = new URLSearchParams(request.method === 'POST' ? body : url.search)
    if (url.pathname === '/callback') client.heard.set(params.get('state'), { method: request.method, params })
    const page = client.pages.get(url.pathname) ?? { html: '<h1>Back at the client</h1>' }
    response.writeHead(page.location ? 302 : 200, { 'content-type': 'text/html', ...(page.location && { location: page.location }) })
    response.end(`<!doctype html><html lang="en"><title>Client</title><link rel="icon" href="data:,">${page.html ?? ''}`)
  }).listen(0, '127.0.0.1')
  await new Promise((done) => server.once('listening', done))
  client.server = server
  client.origin = `http://127.0.0.1:${server.address().port}`
  elsewhere = `http://localhost:${server.address().port}`
  browser = await attach(PROFILE)
})

after(() => {
  browser?.close()
  client.server?.close()
  client.server?.closeAllConnections()
})

/** A window, whose complaints the test must have none of in the end. */
async function open(options) {
  const tab = await browser.tab(options)
  tabs.push(tab)
  return tab
}

afterEach(() => {
  const complaints = tabs.flatMap((tab) => tab.complaints)
  tabs = []
  client.pages.clear()
  assert.deepEqual(complaints, [], 'what the browser found wrong')
})

/** A request of the program, and what it keeps to itself. */
function asked(more = {}, at = issuer) {
  const verifier = randomBytes(32).toString('base64url')
  const state = randomBytes(8).toString('hex')
  const params = {
    response_type: 'code', client_id: 'shop-app', redirect_uri: `${client.origin}/callback`, scope: SCOPE, state, prompt: 'consent',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', ...more,
  }
  return { verifier, state, url: `${at}/oauth/authorize?${new URLSearchParams(params)}` }
}

/** What the client was told: not for another request, and by this issuer (RFC 9207). */
async function answered(tab, { state }, at = issuer) {
  await tab.arrives(client.origin)
  const { method, params } = client.heard.get(state) ?? assert.fail(`nothing came for ${state}: ${tab.url}`)
  assert.equal(params.get('iss'), at)
  return { method, ...Object.fromEntries(params) }
}

async function post(path, form) {
  const answer = await fetch(`${issuer}${path}`, { method: 'POST', body: new URLSearchParams({ client_id: 'shop-app', ...form }) })
  return answer.json()
}

/** The tokens for a code, which say what was allowed. */
async function redeemed({ code }, { verifier }) {
  const tokens = await post('/oauth/token', { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: `${client.origin}/callback` })
  assert.ok(tokens.access_token, JSON.stringify(tokens))
  return tokens
}

/** Fills in the login form with the mouse, and presses its button. */
async function signIn(tab, { username = 'ada', secret = password } = {}) {
  await tab.click('#username')
  await tab.evaluate('document.activeElement.select()')
  await tab.type(username)
  await tab.click('#password')
  await tab.type(secret)
  await tab.leads(() => tab.click('button.main'))
}

const allow = 'button[value="allow"]'
const deny = 'button[value="deny"]'

/** A window in which Ada is signed in. */
async function signedIn(options) {
  const tab = await open(options)
  const request = asked()
  await tab.go(request.url)
  await signIn(tab)
  await tab.leads(() => tab.click(allow))
  await answered(tab, request)
  return tab
}

async function device() {
  const begun = await post('/oauth/device', { client_id: 'shop-tv', scope: 'openid orders:read' })
  assert.ok(begun.user_code, JSON.stringify(begun))
  const poll = () => post('/oauth/token', { client_id: 'shop-tv', grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: begun.device_code })
  return { ...begun, poll }
}

// ── a person's ways ──────────────────────────────────────────────────────────────────────────────

test('with the mouse: login, consent, and back at the client with a code', async () => {
  const tab = await open()
  const request = asked()
  await tab.go(request.url)
  assert.equal(await tab.heading(), 'Sign in')
  await signIn(tab)
  assert.equal(await tab.heading(), 'Allow Shop App?')
  await tab.click('input[value="profile"]')
  await tab.leads(() => tab.click(allow))
  const told = await answered(tab, request)
  const { scope } = await redeemed(told, request)
  assert.deepEqual(scope.split(' ').sort(), ['openid', 'orders:read'])
})

/** Goes on with Tab until something has the focus; on its way everything that has it shows it. */
async function tabTo(tab, wanted) {
  const met = []
  for (let steps = 0; steps < 15; steps += 1) {
    const { what, seen } = await tab.focus()
    if (what !== 'nothing') {
      assert.ok(seen, `${what} does not show that it has the focus`)
      met.push(what)
    }
    if (what === wanted) return met
    await tab.press('Tab')
  }
  assert.fail(`no way to ${wanted}: ${met.join(', ')}`)
}

for (const scripts of [true, false]) {
  test(`with the keyboard alone${scripts ? '' : ', without scripts'}: the focus begins where one types, goes on in reading order, and is seen`, async () => {
    const tab = await open({ scripts })
    const request = asked()
    await tab.go(request.url)
    assert.deepEqual(await tabTo(tab, 'username'), ['username'])
    await tab.type('ada')
    await tab.press('Tab')
    await tab.type(password)
    assert.deepEqual(await tabTo(tab, 'Sign in'), ['password', 'Sign in'])
    await tab.press('Tab', { shift: true })
    assert.equal((await tab.focus()).what, 'password')
    await tab.leads(() => tab.press('Enter'))

    assert.deepEqual(await tabTo(tab, 'scope orders:read'), ['scope profile', 'scope orders:read'])
    await tab.press('Space')
    assert.deepEqual(await tabTo(tab, 'Allow'), ['scope orders:read', 'Allow'])
    await tab.leads(() => tab.press(scripts ? 'Enter' : 'Space'))
    const { scope } = await redeemed(await answered(tab, request), request)
    assert.deepEqual(scope.split(' ').sort(), ['openid', 'profile'])
  })
}

test('without scripts: nothing is missing', async () => {
  const tab = await open({ scripts: false })
  const request = asked({ response_mode: 'form_post' })
  await tab.go(request.url)
  await signIn(tab)
  await tab.leads(() => tab.click(allow))
  assert.equal(await tab.heading(), 'One moment')
  await tab.leads(() => tab.click('button.main'))
  const told = await answered(tab, request)
  assert.equal(told.method, 'POST')
  await redeemed(told, request)
})

test('form_post needs no click where scripts run', async () => {
  const tab = await open()
  const request = asked({ response_mode: 'form_post' })
  await tab.go(request.url)
  await signIn(tab)
  await tab.click(allow)
  const told = await answered(tab, request)
  assert.equal(told.method, 'POST')
  await redeemed(told, request)
})

test('a double click on a button gets there all the same', async () => {
  const tab = await open()
  const request = asked()
  await tab.go(request.url)
  await tab.click('#username')
  await tab.type('ada')
  await tab.click('#password')
  await tab.type(password)
  await tab.leads(() => tab.click('button.main', { times: 2 }))
  await tab.click(allow, { times: 2 })
  await redeemed(await answered(tab, request), request)
})

test('who says no is back at the client, which learns just that', async () => {
  const tab = await open()
  const request = asked()
  await tab.go(request.url)
  await signIn(tab)
  await tab.leads(() => tab.click(deny))
  const told = await answered(tab, request)
  assert.deepEqual([told.error, told.code], ['access_denied', undefined])
})

test('a wrong password is announced, tied to the fields, and keeps the user name', async () => {
  const tab = await open()
  const request = asked()
  await tab.go(request.url)
  const username = 'Zoë "O’Hara" <ö>&+%'
  await tab.click('#username')
  await tab.ask('Input.insertText', { text: username })
  await tab.click('#password')
  await tab.type('not it')
  await tab.leads(() => tab.press('Enter'))
  assert.equal(await tab.value('#username'), username)
  assert.equal(await tab.value('#password'), '')
  assert.equal((await tab.focus()).what, 'password')
  assert.match(await tab.evaluate('document.title'), /^Try again/)
  const [alert] = await tab.told('alert')
  assert.match(alert.text, /That didn’t work/)
  for (const field of await tab.told('textbox')) {
    assert.match(field.description, /is not right/, field.name)
    assert.equal(field.invalid, 'true', field.name)
  }
  await signIn(tab)
  await tab.leads(() => tab.click(allow))
  await redeemed(await answered(tab, request), request)
})

test('a password with any character of a keyboard arrives as it was typed', async () => {
  const tab = await open()
  await tab.go(asked().url)
  await signIn(tab, { secret: `${password} ` })
  assert.match(await tab.text(), /is not right/, 'a blank counts')
  await signIn(tab, { secret: 'pässwörd & 100%+=;?#\'"\\' })
  assert.match(await tab.text(), /is not right/)
})

test('a device: the code is typed as people type, compared, allowed', async () => {
  const tab = await open()
  const { user_code, verification_uri, poll } = await device()
  await tab.go(verification_uri)
  await signIn(tab)
  assert.equal((await tab.focus()).what, 'user_code')
  await tab.type('BBBB BBBB')
  await tab.leads(() => tab.press('Enter'))
  const [alert] = await tab.told('alert')
  assert.match(alert.text, /isn’t known/)
  assert.equal((await tab.focus()).what, 'user_code')
  await tab.evaluate('document.activeElement.select()')
  await tab.type(user_code.toLowerCase().replace('-', ' '))
  await tab.leads(() => tab.press('Enter'))
  assert.equal(await tab.evaluate('document.querySelector(".usercode code").innerText'), user_code)
  assert.equal((await poll()).error, 'authorization_pending')
  await tab.leads(() => tab.click(allow))
  assert.equal(await tab.heading(), 'All set')
  assert.ok((await poll()).access_token)
})

test('a device’s link has the code in it, and nothing is allowed by opening it', async () => {
  const tab = await signedIn()
  const { verification_uri_complete, poll } = await device()
  await tab.go(verification_uri_complete)
  await tab.leads(() => tab.click(deny))
  assert.equal(await tab.heading(), 'Not connected')
  assert.equal((await poll()).error, 'access_denied')
})

test('signing out asks, and means it', async () => {
  const tab = await signedIn()
  await tab.go(`${issuer}/logout`)
  assert.equal(await tab.heading(), 'Sign out?')
  await tab.leads(() => tab.click(deny))
  assert.equal(await tab.heading(), 'You are still signed in')
  await tab.go(`${issuer}/logout`)
  await tab.leads(() => tab.click(allow))
  assert.equal(await tab.heading(), 'You are signed out')
  await tab.go(asked().url)
  assert.equal(await tab.heading(), 'Sign in')
})

test('a wrong redirect_uri ends at the issuer, with what was wrong', async () => {
  const tab = await open()
  await tab.go(asked({ redirect_uri: `${elsewhere}/callback` }).url)
  assert.equal(new URL(tab.url).origin, issuer)
  assert.equal(tab.status, 400)
  const [alert] = await tab.told('alert')
  assert.match(alert.text, /^invalid_request: .*redirect_uri/)
  assert.ok(!(await tab.evaluate('document.documentElement.outerHTML')).includes(elsewhere))
})

test('who is signed in goes on with one key, or as somebody else', async () => {
  const tab = await signedIn()
  const request = asked({ prompt: 'select_account' })
  await tab.go(request.url)
  assert.equal((await tab.focus()).what, 'Continue as Ada Lovelace')
  await tab.leads(() => tab.press('Enter'))
  assert.equal(await tab.heading(), 'Allow Shop App?')
  await tab.back()
  assert.equal(await tab.evaluate('document.querySelectorAll("button.main").length'), 1)
})

test('two tabs: each ends where it began, whichever comes first', async () => {
  const first = await open()
  const [one, two] = [asked(), asked({ scope: 'openid' })]
  await first.go(one.url)
  const second = await open({ beside: first })
  await second.go(two.url)
  await signIn(second)
  await signIn(first)
  assert.equal(await first.heading(), 'Allow Shop App?')
  await second.leads(() => second.click(allow))
  // The first one's login ended the session that the second one's page was made in.
  if (await second.heading() === 'Allow Shop App?') await second.leads(() => second.click(allow))
  await first.leads(() => first.click(allow))
  assert.equal((await redeemed(await answered(first, one), one)).scope, SCOPE)
  assert.equal((await redeemed(await answered(second, two), two)).scope, 'openid')
})

test('the back button brings no form with a password back, and leads nowhere twice', async () => {
  const tab = await open()
  const request = asked()
  await tab.go(request.url)
  await signIn(tab)
  await tab.leads(() => tab.click(allow))
  const told = await answered(tab, request)
  await redeemed(told, request)
  for (let steps = 0; steps < 2; steps += 1) {
    await tab.back()
    assert.equal(await tab.value('#password') ?? '', '')
  }
  // What is there now is a page of the issuer's that works.
  assert.equal(new URL(tab.url).origin, issuer)
  await tab.leads(() => tab.click(allow))
  const again = await answered(tab, request)
  assert.notEqual(again.code, told.code)
})

test('a client may send its person on to another of its hosts', async () => {
  client.pages.set('/callback', { location: `${elsewhere}/home` })
  const tab = await open()
  const request = asked()
  await tab.go(request.url)
  await signIn(tab)
  await tab.click(allow)
  await tab.arrives(`${elsewhere}/home`)
  assert.ok(client.heard.get(request.state).params.get('code'))
})

// ── somebody hostile ─────────────────────────────────────────────────────────────────────────────

/** Takes what a test expected the browser to complain of. */
function complained(tab, of) {
  assert.ok(tab.complaints.some((one) => of.test(one)), `${of}: ${tab.complaints.join('\n')}`)
  tab.complaints.length = 0
}

test('f04 what gets into a page does not run, and nothing is loaded from elsewhere', async () => {
  const tab = await open()
  await tab.go(asked().url)
  await tab.evaluate(`{
    const script = document.createElement('script')
    script.textContent = 'window.ran = "inline"'
    const foreign = document.createElement('script')
    foreign.src = ${JSON.stringify(`${elsewhere}/x.js`)}
    const box = document.createElement('p')
    box.innerHTML = '<img src="${elsewhere}/x.png" onerror="window.ran = 1"><a id="trap" href="javascript:window.ran=2">x</a><b onclick="window.ran = 3" style="color: rgb(1, 2, 3)">y</b>'
    document.body.append(script, foreign, box)
  }`)
  await tab.click('#trap')
  await tab.click('b[onclick]')
  assert.equal(await tab.evaluate('window.ran'), undefined)
  assert.notEqual(await tab.evaluate('getComputedStyle(document.querySelector("b[onclick]")).color'), 'rgb(1, 2, 3)')
  complained(tab, /ContentSecurityPolicy|Content Security Policy/)
})

test('f04 a form that leads to no client is sent nowhere but home', async () => {
  const tab = await open()
  await tab.go(`${issuer}/device`)
  await tab.evaluate(`document.querySelector('form').action = ${JSON.stringify(`${elsewhere}/stolen`)}`)
  let stolen = false
  client.server.on('request', ({ url }) => { stolen ||= url === '/stolen' })
  await tab.click('#username')
  await tab.type('ada')
  await tab.click('#password')
  await tab.type('secret')
  await tab.press('Enter')
  await pause(300)
  assert.equal(new URL(tab.url).origin, issuer)
  assert.equal(stolen, false)
  complained(tab, /form-action/)
})

test('f04 no page stands in another site’s frame', async () => {
  const tab = await signedIn()
  const framed = async (site, page) => {
    client.pages.set('/frame', { html: `<iframe src="${page.replaceAll('&', '&amp;')}"></iframe>` })
    await tab.go(`${site}/frame`)
    const refused = tab.complaints.some((one) => /frame-ancestors|X-Frame-Options/.test(one))
    tab.complaints.length = 0
    return !refused
  }
  for (const site of [client.origin, elsewhere]) {
    assert.ok(await framed(site, `${client.origin}/callback`), 'other pages can be framed, so this would be seen')
    for (const page of [asked().url, `${issuer}/device`, `${issuer}/logout`, `${issuer}/login`]) {
      assert.ok(!await framed(site, page), `${page} in a frame of ${site}`)
    }
  }
})

test('f04 another site’s form logs nobody in, and decides nothing', async () => {
  const tab = await signedIn()
  const ticket = async (url) => {
    await tab.go(url)
    return tab.value('input[name="ticket"]')
  }
  const forms = [
    ['/login', { ticket: await ticket(asked({ prompt: 'login' }).url), username: 'ada', password }],
    ['/consent', { ticket: await ticket(asked().url), decision: 'allow', scope: 'openid' }],
    ['/logout', { ticket: await ticket(`${issuer}/logout`), decision: 'allow' }],
  ]
  for (const [path, fields] of forms) {
    const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`)
    client.pages.set('/csrf', { html: `<form method="post" action="${issuer}${path}">${inputs.join('')}<button>Win a lamp</button></form>` })
    for (const site of [client.origin, elsewhere]) {
      await tab.go(`${site}/csrf`)
      await tab.leads(() => tab.click('button'))
      assert.equal(tab.status, 403, `${path} from ${site}`)
      assert.match(await tab.text(), /access_denied: the form was sent by another site/)
    }
  }
  tab.complaints.length = 0
  await tab.go(`${issuer}/logout`)
  assert.equal(await tab.heading(), 'Sign out?', 'still signed in')
})

test('f03 over TLS the cookies are this host’s and no script’s, and the whole way works', async () => {
  const tab = await open()
  const request = asked({}, secureIssuer)
  await tab.go(request.url)
  await signIn(tab, { secret: securePassword })
  await tab.leads(() => tab.click(allow))
  const told = await answered(tab, request, secureIssuer)
  assert.ok(told.code)
  const kept = (await tab.cookies()).map(({ name, domain, path, httpOnly, secure, sameSite, session }) => ({ name, domain, path, httpOnly, secure, sameSite, session }))
  const flags = { domain: 'localhost', path: '/', httpOnly: true, secure: true, sameSite: 'Lax', session: true }
  assert.deepEqual(kept.sort((a, b) => a.name.localeCompare(b.name)), [
    { name: '__Host-doorward-browser', ...flags }, { name: '__Host-doorward-session', ...flags },
  ])
  await tab.go(asked({}, secureIssuer).url)
  assert.equal(await tab.evaluate('document.cookie'), '')
  // The same host without TLS, where somebody on the network could write what they want: other names.
  await tab.go(asked().url)
  assert.equal(await tab.heading(), 'Sign in')
})

// ── looks ────────────────────────────────────────────────────────────────────────────────────────

const axe = AXE && readFileSync(AXE, 'utf8')
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** Holds the page that stands there to what every page must be, and takes its pictures. */
async function looks(tab, name) {
  await tab.evaluate(axe)
  for (const scheme of ['light', 'dark']) {
    await tab.scheme(scheme)
    for (const width of [1280, 320]) {
      await tab.size(width, 900)
      const where = `${name}, ${scheme}, ${width}`
      // Its checks take most of the time: of the four, one of each scheme and one of each width.
      const examined = (scheme === 'light') === (width === 1280)
      const found = examined && await tab.evaluate(`axe.run(document, { runOnly: ${JSON.stringify(RULES)}, resultTypes: ['violations'] })
        .then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary).join(' | ')))`)
      assert.deepEqual(found || [], [], where)
      assert.ok(await tab.evaluate('document.documentElement.scrollWidth') <= width, `${where}: it scrolls sideways`)
      await tab.shoot(`${SHOTS}/${name}-${scheme}-${width}.png`)
    }
  }
  await tab.scheme('light')
  await tab.size(1280, 900)
}

test('every page stands in light and dark, wide and narrow, and axe finds nothing', async () => {
  const tab = await open()
  const form = asked({ response_mode: 'form_post', scope: 'openid profile email offline_access orders:read orders:write' })
  await tab.go(form.url)
  await looks(tab, 'login')
  await signIn(tab, { secret: 'wrong' })
  await looks(tab, 'login-refused')
  await signIn(tab)
  await looks(tab, 'consent')
  // The script does not come: the page has a button.
  await tab.ask('Network.setBlockedURLs', { urls: ['*.js'] })
  await tab.leads(() => tab.click(allow))
  await looks(tab, 'form-post')
  tab.complaints.length = 0

  await tab.go(asked({ prompt: 'login' }).url)
  await looks(tab, 'login-again')
  await tab.go(asked({ prompt: 'select_account' }).url)
  await looks(tab, 'login-account')
  await tab.go(`${issuer}/device`)
  await looks(tab, 'device-enter')
  await tab.type('BBBB-BBBB')
  await tab.leads(() => tab.press('Enter'))
  await looks(tab, 'device-unknown')
  for (const [decision, name] of [[allow, 'done-connected'], [deny, 'done-not-connected']]) {
    await tab.go((await device()).verification_uri_complete)
    if (decision === allow) await looks(tab, 'device-confirm')
    await tab.leads(() => tab.click(decision))
    await looks(tab, name)
  }
  await tab.go(`${issuer}/logout`)
  await looks(tab, 'logout-confirm')
  await tab.leads(() => tab.click(deny))
  await looks(tab, 'still-signed-in')
  await tab.go(`${issuer}/logout`)
  await tab.leads(() => tab.click(allow))
  await looks(tab, 'signed-out')
  await tab.go(asked({ redirect_uri: 'https://elsewhere.example/' }).url)
  await looks(tab, 'error')
  await tab.go(`${issuer}/device`)
  await looks(tab, 'login-device')
})

test('who types wrong passwords too often is told to wait', async () => {
  const tab = await open()
  await tab.go(asked().url)
  for (let guesses = 0; guesses < 30 && tab.status !== 429; guesses += 1) await signIn(tab, { username: 'nobody', secret: 'wrong' })
  assert.equal(tab.status, 429)
  const [alert] = await tab.told('alert')
  assert.match(alert.text, /Too many attempts/)
  assert.equal(await tab.value('#username'), 'nobody')
  await looks(tab, 'login-throttled')
})
