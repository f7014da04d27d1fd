// How the Node signers reach the gateway: what they signed is sent as they signed it.
import { readFileSync } from 'node:fs'
import { request } from 'node:http'

export const facts = JSON.parse(readFileSync(process.env.FACTS, 'utf8'))

export function send({ method, url, headers, body = '' }) {
  return new Promise((done, failed) => {
    const own = { ...headers, 'content-length': Buffer.byteLength(body) }
    const sent = request(url, { method, headers: own, agent: false }, async (answer) => {
      let text = ''
      for await (const piece of answer) text += piece
      let json
      try { json = JSON.parse(text) } catch {}
      done({ status: answer.statusCode, text, json })
    })
    sent.on('error', failed)
    sent.end(body)
  })
}

/** What came through so far, as the upstream counts it. */
export const seen = async () => (await fetch(`http://127.0.0.1:${facts.upstream}/seen`)).json()
