/** Serves a built page on the loopback interface, cross-origin isolated, so that it has shared memory and threads. */
import { createServer, type ServerResponse } from 'node:http'
import { extname } from 'node:path'
import type { Site } from './build.js'

const TYPES: { readonly [ending: string]: string } = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.bin': 'application/octet-stream',
}

const HEADERS = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
}

/** A server: where it listens, and how it ends. */
export type Serving = { readonly url: string; readonly close: () => Promise<void> }

const answer = (response: ServerResponse, site: Site, name: string, bodyWanted: boolean): void => {
  const found = Object.hasOwn(site, name) ? site[name] : undefined
  response.writeHead(found === undefined ? 404 : 200, {
    ...HEADERS,
    'content-type': found === undefined ? 'text/plain' : (TYPES[extname(name)] ?? 'application/octet-stream'),
  })
  response.end(bodyWanted ? (found ?? `no such file: ${name}`) : undefined)
}

/** Serves these files and nothing else on 127.0.0.1; port 0 is a free one. */
export const serveSite = (site: Site, port = 0): Promise<Serving> => {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1')
    if (request.method !== 'GET' && request.method !== 'HEAD') response.writeHead(405, HEADERS).end()
    else answer(response, site, pathname === '/' ? 'index.html' : pathname.slice(1), request.method === 'GET')
  })
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('the server has no port'))
      else resolve({ url: `http://127.0.0.1:${address.port}/`, close })
    })
  })
}
