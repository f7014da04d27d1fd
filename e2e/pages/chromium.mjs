// A real browser and the hands of a person: Chromium by its own protocol, with mouse and keyboard events
// that go through the browser's own handling, never through scripts of the page. No wait is without end.
//
//   const browser = await attach(profileFolder)
//   const tab = await browser.tab()            // cookies of its own, as in a new window
//   await tab.go(url)
//   await tab.leads(() => tab.click('button'))

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

const LONGEST_WAIT = 15_000
/** `key` → what a keyboard sends. */
const KEYS = {
  Tab: { code: 'Tab', windowsVirtualKeyCode: 9 },
  Enter: { code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' },
  Space: { key: ' ', code: 'Space', windowsVirtualKeyCode: 32, text: ' ' },
}
const SHIFT = 8

/** Joins a Chromium that was started with `--remote-debugging-port=0 --user-data-dir=PROFILE`. */
export async function attach(profile) {
  let found
  await until('the browser’s start', () => {
    try {
      found = readFileSync(`${profile}/DevToolsActivePort`, 'utf8').trim().split('\n')
    } catch {
      return false
    }
    return found.length === 2
  })
  const socket = new WebSocket(`ws://127.0.0.1:${found[0]}${found[1]}`)
  let open = false
  socket.addEventListener('open', () => { open = true })
  await until('the browser’s socket', () => open)
  return new Chromium(socket)
}

async function until(what, holds) {
  for (const end = Date.now() + LONGEST_WAIT; ;) {
    if (await holds()) return
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await pause(20)
  }
}

class Chromium {
  #last = 0
  #waiting = new Map()
  #tabs = new Map()

  constructor(socket) {
    this.socket = socket
    socket.addEventListener('message', ({ data }) => {
      const { id, result, error, method, params, sessionId } = JSON.parse(data)
      if (!id) return this.#tabs.get(sessionId)?.heard(method, params)
      const { done, failed, timer } = this.#waiting.get(id) ?? {}
      this.#waiting.delete(id)
      clearTimeout(timer)
      if (error) failed?.(new Error(error.message))
      else done?.(result)
    })
  }

  ask(method, params = {}, sessionId) {
    this.#last += 1
    const id = this.#last
    return new Promise((done, failed) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        failed(new Error(`${method} was not answered`))
      }, LONGEST_WAIT)
      this.#waiting.set(id, { done, failed, timer })
      this.socket.send(JSON.stringify({ id, method, params, sessionId }))
    })
  }

  /**
   * A new window of somebody who was nowhere yet, or with `beside` a new tab in the window of another tab.
   *
   * @param options `scripts`: whether scripts run
   */
  async tab({ scripts = true, beside } = {}) {
    const browserContextId = beside?.context ?? (await this.ask('Target.createBrowserContext')).browserContextId
    const { targetId } = await this.ask('Target.createTarget', { url: 'about:blank', browserContextId })
    const { sessionId } = await this.ask('Target.attachToTarget', { targetId, flatten: true })
    const tab = new Tab(this, sessionId, browserContextId)
    this.#tabs.set(sessionId, tab)
    for (const domain of ['Page', 'Runtime', 'Log', 'Audits', 'Network', 'Accessibility']) await tab.ask(`${domain}.enable`)
    if (!scripts) await tab.ask('Emulation.setScriptExecutionDisabled', { value: true })
    await tab.size(1280, 900)
    return tab
  }

  close() {
    this.socket.close()
  }
}

class Tab {
  #loads = 0
  #arrivals = 0
  /** What the browser found wrong: refused by a policy, thrown by a script, malformed. */
  complaints = []
  /** Status of the last page. */
  status = 0
  /** Its address. */
  url = 'about:blank'

  constructor(browser, session, context) {
    Object.assign(this, { browser, session, context })
  }

  ask(method, params) {
    return this.browser.ask(method, params, this.session)
  }

  heard(method, params) {
    if (method === 'Page.loadEventFired') this.#loads += 1
    if (method === 'Page.frameNavigated' && !params.frame.parentId) {
      this.url = params.frame.unreachableUrl ?? params.frame.url
      this.#arrivals += 1
    }
    if (method === 'Network.responseReceived' && params.type === 'Document') this.status = params.response.status
    if (method === 'Runtime.exceptionThrown') this.complaints.push(params.exceptionDetails.exception?.description)
    // What is slow is no complaint, least of all of what a test itself evaluates.
    if (method === 'Audits.issueAdded' && params.issue.code !== 'PerformanceIssue') this.complaints.push(JSON.stringify(params.issue))
    // That a page has status 400 is no complaint of its own.
    if (method === 'Log.entryAdded' && params.entry.source !== 'network') this.complaints.push(params.entry.text)
  }

  /** Goes to an address, and waits until its page stands. */
  async go(url) {
    await this.leads(async () => {
      const { errorText } = await this.ask('Page.navigate', { url })
      if (errorText) throw new Error(`${url}: ${errorText}`)
    })
  }

  /** Does something that leads to another page, and waits until that stands. */
  async leads(action) {
    const before = this.#loads
    await action()
    await until(`a page after ${this.url}`, () => this.#loads > before)
  }

  /** Waits until the browser is at an address that begins so, and its page stands. */
  async arrives(start) {
    await until(start, async () => this.url.startsWith(start)
      && await this.evaluate('document.readyState === "complete"').catch(() => false))
  }

  /** The history’s step back, as the button does it. */
  async back() {
    const { currentIndex, entries } = await this.ask('Page.getNavigationHistory')
    const before = this.#arrivals
    await this.ask('Page.navigateToHistoryEntry', { entryId: entries[currentIndex - 1].id })
    // A page that the browser kept stands again without loading.
    await until(`the page before ${this.url}`, async () => this.#arrivals > before
      && await this.evaluate('document.readyState === "complete"').catch(() => false))
  }


  /** What tests look at a page with; it runs even where the page’s own scripts don’t. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.ask('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }

  text() {
    return this.evaluate('document.body.innerText')
  }

  heading() {
    return this.evaluate('document.querySelector("h1")?.innerText')
  }

  value(selector) {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.value`)
  }

  // ── hands ──────────────────────────────────────────────────────────────────────────────────────

  /** A click with the mouse, in the middle of what is there to be seen. */
  async click(selector, { times = 1 } = {}) {
    // A tab behind another is drawn seldom, and hears of the mouse late.
    await this.ask('Page.bringToFront')
    const at = await this.evaluate(`(() => {
      const it = document.querySelector(${JSON.stringify(selector)})
      if (!it) return 'missing'
      it.scrollIntoView({ block: 'center' })
      const { x, y, width, height } = it.getBoundingClientRect()
      const at = { x: x + width / 2, y: y + height / 2 }
      return it.contains(document.elementFromPoint(at.x, at.y)) ? at : 'covered'
    })()`)
    if (typeof at === 'string') throw new Error(`${selector} is ${at} at ${this.url}: ${await this.text()}`)
    const mouse = (type, more) => this.ask('Input.dispatchMouseEvent', { type, ...at, ...more })
    await mouse('mouseMoved')
    for (let clickCount = 1; clickCount <= times; clickCount += 1) {
      await mouse('mousePressed', { button: 'left', clickCount })
      await mouse('mouseReleased', { button: 'left', clickCount })
    }
  }

  async press(key, { shift = false } = {}) {
    const event = { key, modifiers: shift ? SHIFT : 0, ...KEYS[key] }
    await this.ask('Input.dispatchKeyEvent', { type: event.text ? 'keyDown' : 'rawKeyDown', ...event })
    await this.ask('Input.dispatchKeyEvent', { type: 'keyUp', ...event, text: undefined })
  }

  /** Types into what has the focus. */
  async type(text) {
    for (const character of text) {
      await this.ask('Input.dispatchKeyEvent', { type: 'keyDown', key: character, text: character })
      await this.ask('Input.dispatchKeyEvent', { type: 'keyUp', key: character })
    }
  }

  /** What has the focus: its name or words, and whether it can be seen to have it. */
  focus() {
    return this.evaluate(`(() => {
      const it = document.activeElement
      if (!it || it === document.body) return { what: 'nothing', seen: false }
      const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(it)
      const { width, height } = it.getBoundingClientRect()
      const what = it.tagName === 'INPUT' ? [it.name, it.type === 'checkbox' && it.value].filter(Boolean).join(' ') : it.innerText.trim()
      const seen = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && !/^rgba.* 0\\)$/.test(outlineColor) && width * height > 0
      return { what, seen }
    })()`)
  }

  // ── looks ──────────────────────────────────────────────────────────────────────────────────────

  async size(width, height) {
    await this.ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })
    this.width = width
  }

  async scheme(value) {
    await this.ask('Emulation.setEmulatedMedia', { features: [
      { name: 'prefers-color-scheme', value },
      // Or pictures catch colours on their way.
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ] })
  }

  /** The whole page as a picture. */
  async shoot(file) {
    // Twice: some rules depend on the height.
    for (let round = 0; round < 2; round += 1) {
      const height = await this.evaluate('Math.ceil(document.documentElement.scrollHeight)')
      await this.size(this.width, Math.min(height, 3000))
    }
    const { data } = await this.ask('Page.captureScreenshot', { format: 'png' })
    mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true })
    writeFileSync(file, Buffer.from(data, 'base64'))
    await this.size(this.width, 900)
  }

  /** Nodes of the accessibility tree with a role: what a screen reader is told. */
  async told(role) {
    const { nodes } = await this.ask('Accessibility.getFullAXTree')
    const by = new Map(nodes.map((node) => [node.nodeId, node]))
    const words = (node) => node.role?.value === 'StaticText' ? [node.name.value]
      : (node.childIds ?? []).flatMap((id) => by.has(id) ? words(by.get(id)) : [])
    return nodes.filter((node) => !node.ignored && node.role?.value === role).map((node) => ({
      name: node.name?.value,
      description: node.description?.value,
      text: words(node).join(''),
      ...Object.fromEntries((node.properties ?? []).map(({ name, value }) => [name, value.value])),
    }))
  }

  async cookies() {
    return (await this.browser.ask('Storage.getCookies', { browserContextId: this.context })).cookies
  }
}
