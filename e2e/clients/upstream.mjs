// The API behind the gateway: says who the gateway says it is.
import { createServer } from 'node:http'

createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(request.headers))
}).listen(Number(process.argv[2]), '127.0.0.1')
