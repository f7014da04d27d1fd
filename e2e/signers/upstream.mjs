// What stands behind the gateway: says what it got, and keeps count. `/seen`, asked without the gateway,
// tells how many whole messages there were and how many broke off.
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'

let whole = 0
let broken = 0

createServer((request, response) => {
  if (request.url === '/seen') {
    response.end(JSON.stringify({ whole, broken }))
    return
  }
  const hash = createHash('sha256')
  let length = 0
  let text = ''
  let ended = false
  request.on('data', (piece) => {
    hash.update(piece)
    length += piece.length
    if (length < 65536) text += piece.toString('latin1')
  })
  request.on('end', () => {
    ended = true
    whole += 1
    const status = Number(request.headers['x-answer'] ?? 200)
    response.writeHead(status, { 'content-type': 'application/json' })
    // Object storage answers so, and its clients take anything else for a failure.
    if (request.method === 'PUT' && /botocore/i.test(request.headers['user-agent'] ?? '')) return response.end()
    response.end(JSON.stringify({
      method: request.method, target: request.url, headers: request.headers, length, sha256: hash.digest('hex'), text,
    }))
  })
  request.on('close', () => { if (!ended) broken += 1 })
  request.on('error', () => {})
}).listen(Number(process.argv[2]), '127.0.0.1')
