// A person at a browser: follows links and redirects, keeps cookies, fills in forms and presses their
// buttons. It runs no scripts and draws nothing, so a flow that works with it works without JavaScript.
// It goes no further than the client's redirect URI, which it hands back unfetched.
//
//   import { Browser } from './person.mjs'
//   const { url } = await new Browser(person).go(authorizationUrl, redirectUri)
//
//   node person.mjs FACTS URL [REDIRECT-URI]   prints where the browser was sent, or without a redirect URI
//                                              where it came to rest: for clients that are not written in
//                                              JavaScript

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'parse5'

const MOST_STEPS = 20
const LONGEST_WAIT = 30_000

/** A page that asks for nothing and goes nowhere: an error page, or the end of a flow. */
export class Stopped extends Error {
  constructor(page) {
    super(`${page.status} ${page.text}`)
    this.page = page
  }
}

export class Browser {
  /**
   * @param person {{username: string, password: string}}
   * @param choices `decision`: `allow` or `deny`; `untick`: scopes to take the tick from; `user_code`
   */
  constructor(person, choices = {}) {
    this.person = person
    this.choices = { decision: 'allow', untick: [], ...choices }
    this.cookies = new Map()
    /** How often each kind of page was met. */
    this.met = { login: 0, code: 0, decision: 0 }
  }

  /**
   * Goes from `url` to where the client waits.
   *
   * @returns {Promise<{url: URL, request: Request}>} the redirect URI with its parameters, and the
   *   request that the client would see, which for `form_post` is a POST
   * @throws {Stopped} if the browser ends at a page
   */
  async go(url, redirectUri) {
    this.asked = new Set()
    const arrived = (at) => at.origin + at.pathname === redirectUri
    let next = { url: new URL(url), method: 'GET' }
    for (let step = 0; step < MOST_STEPS; step += 1) {
      if (arrived(next.url)) {
        const body = next.method === 'POST' ? next.body : undefined
        return { url: next.url, request: new Request(next.url, { method: next.method, body }) }
      }
      const page = await this.#fetch(next)
      next = page.location ? { url: page.location, method: 'GET' } : this.#submit(page)
    }
    throw new Error(`no end after ${MOST_STEPS} steps, at ${next.url}`)
  }

  /** Goes on until a page that asks for nothing, and returns it. */
  async rest(url) {
    try {
      await this.go(url, 'nowhere:')
    } catch (error) {
      if (error instanceof Stopped) return error.page
      throw error
    }
  }

  async #fetch({ url, method, body, from }) {
    const headers = { accept: 'text/html', 'user-agent': 'A person with a plain browser' }
    const cookies = this.#cookiesFor(url)
    if (cookies) headers.cookie = cookies
    // Browsers name the page's origin with a POST.
    if (from) Object.assign(headers, { origin: from.origin, referer: from.href })
    const answer = await fetch(url, {
      method, body, headers, redirect: 'manual', signal: AbortSignal.timeout(LONGEST_WAIT),
    })
    for (const cookie of answer.headers.getSetCookie()) this.#keep(cookie, url)
    const location = answer.headers.get('location')
    const html = await answer.text()
    if (answer.status >= 300 && answer.status < 400 && location) {
      // 307 and 308 would send the password on (RFC 9700 §4.12).
      if (method === 'POST' && answer.status > 303) throw new Error(`a POST was answered with ${answer.status}`)
      return { location: new URL(location, url) }
    }
    return { url, status: answer.status, headers: answer.headers, ...read(html) }
  }

  /** The request that pressing the right button makes. */
  #submit(page) {
    // oidc-provider's pages say no by a link.
    const abort = page.links.find((link) => link.endsWith('/abort'))
    if (abort && this.choices.decision === 'deny') return { url: new URL(abort, page.url), method: 'GET' }
    const form = page.forms.find((one) => one.method === 'POST') ?? page.forms[0]
    if (!form) throw new Stopped(page)
    const names = new Set(form.controls.filter((one) => one.type !== 'hidden').map((one) => one.name))
    // The same question a second time: the first answer was refused.
    for (const [kind, field] of [['login', 'password'], ['code', 'user_code']]) {
      if (!names.has(field)) continue
      this.met[kind] += 1
      if (this.asked.has(kind)) throw new Stopped(page)
      this.asked.add(kind)
    }
    const body = new URLSearchParams()
    for (const control of form.controls) {
      if (control.type === 'submit') continue
      if (['checkbox', 'radio'].includes(control.type)) {
        if (control.checked && !this.choices.untick.includes(control.value)) body.append(control.name, control.value)
      } else {
        body.append(control.name, this.#typed(control))
      }
    }
    const button = this.#button(form)
    if (button?.name) body.append(button.name, button.value)
    const url = new URL(form.action || page.url.href, page.url)
    if (form.method !== 'POST') return { url: new URL(`${url.origin}${url.pathname}?${body}`), method: 'GET' }
    return { url, method: 'POST', body, from: page.url }
  }

  #typed(control) {
    // `login` is what oidc-provider's own pages call it.
    if (control.name === 'username' || control.name === 'login') return this.person.username
    if (control.name === 'password') return this.person.password
    if (control.name === 'user_code' && !control.value) return this.choices.user_code ?? ''
    return control.value
  }

  #button(form) {
    const buttons = form.controls.filter((one) => one.type === 'submit')
    const decisions = buttons.filter((one) => one.name === 'decision')
    if (decisions.length) {
      this.met.decision += 1
      const chosen = decisions.find((one) => one.value === this.choices.decision)
      if (!chosen) throw new Error(`no button says ${this.choices.decision}`)
      return chosen
    }
    if (this.choices.decision === 'deny') {
      const abort = buttons.find((one) => one.name === 'abort')
      if (abort) return abort
    }
    return buttons.find((one) => one.name !== 'abort')
  }

  #keep(header, url) {
    const [pair, ...attributes] = header.split(';').map((part) => part.trim())
    const at = pair.indexOf('=')
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)]
    const has = new Map(attributes.map((one) => {
      const [key, ...rest] = one.split('=')
      return [key.toLowerCase(), rest.join('=')]
    }))
    if (has.has('secure') && url.protocol !== 'https:') return
    if (name.startsWith('__Host-') && !(has.has('secure') && has.get('path') === '/' && !has.has('domain'))) return
    const over = has.get('max-age') === '0' || (has.has('expires') && new Date(has.get('expires')) <= new Date())
    const path = has.get('path') || '/'
    const key = `${url.host} ${path} ${name}`
    if (over) this.cookies.delete(key)
    else this.cookies.set(key, { host: url.host, path, name, value, attributes: has })
  }

  #cookiesFor(url) {
    return [...this.cookies.values()]
      .filter((one) => one.host === url.host && (one.path === '/' || url.pathname.startsWith(one.path)))
      .sort((a, b) => b.path.length - a.path.length)
      .map((one) => `${one.name}=${one.value}`)
      .join('; ')
  }
}

/** What a person finds on a page: its words, and its forms with what belongs to them. */
function read(html) {
  const forms = []
  const links = []
  const loose = []
  const words = []
  const walk = (node, form) => {
    const attributes = Object.fromEntries((node.attrs ?? []).map((one) => [one.name, one.value]))
    let inside = form
    if (node.nodeName === 'form') {
      inside = { id: attributes.id, action: attributes.action, method: (attributes.method ?? 'get').toUpperCase(), controls: [] }
      forms.push(inside)
    }
    if (node.nodeName === 'a' && attributes.href) links.push(attributes.href)
    if (node.nodeName === '#text') words.push(node.value)
    if (node.nodeName === 'input' || node.nodeName === 'button') {
      const type = attributes.type ?? (node.nodeName === 'button' ? 'submit' : 'text')
      const control = { type, name: attributes.name, value: attributes.value ?? '', checked: 'checked' in attributes }
      // A disabled control is not sent; a nameless one can still be pressed.
      if (!('disabled' in attributes) && (control.name || type === 'submit')) {
        if (attributes.form) loose.push([attributes.form, control])
        else inside?.controls.push(control)
      }
    }
    if (node.nodeName === 'script' || node.nodeName === 'style') return
    for (const child of node.childNodes ?? []) walk(child, inside)
  }
  walk(parse(html), undefined)
  for (const [id, control] of loose) forms.find((form) => form.id === id)?.controls.push(control)
  return { forms, links, text: words.join(' ').replace(/\s+/g, ' ').trim() }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [facts, url, redirectUri] = process.argv.slice(2)
  const { person } = JSON.parse(readFileSync(facts, 'utf8'))
  const browser = new Browser(person)
  const { url: arrived } = await (redirectUri ? browser.go(url, redirectUri) : browser.rest(url))
  console.log(arrived.href)
}
