/**
 * npm run demo [-- --port N | --build DIR]
 * Builds the page that trains the digits network, and serves it until Ctrl-C, or writes it as a static folder.
 */
import { isLeft } from 'fp-ts/lib/Either.js'
import { parseArgs } from 'node:util'
import { explainAll } from '../../src/index.js'
import { buildSite, writeSite } from './build.js'
import { serveSite } from './server.js'

const USAGE = `usage: npm run demo -- [--port 0] [--build DIR]
--build DIR writes the page as a folder that any web server can host, and ends.`

type Options = { readonly port: number; readonly build: string | undefined; readonly help: boolean }

const fail = (message: string): never => {
  console.error(`${message}\n${USAGE}`)
  return process.exit(2)
}

const readOptions = (): Options => {
  try {
    const { values: v } = parseArgs({
      options: {
        port: { type: 'string', default: '0' },
        build: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
    const port = Number(v.port)
    if (!Number.isInteger(port) || port < 0 || port > 65535)
      return fail(`--port ${v.port}: give a whole number from 0 (a free one) to 65535`)
    if (v.build === '') return fail('--build needs a folder')
    return { port, build: v.build, help: v.help }
  } catch (e) {
    return fail(e instanceof Error ? e.message : String(e))
  }
}

const main = async (): Promise<void> => {
  const o = readOptions()
  if (o.help) return console.log(USAGE)
  const site = await buildSite()
  if (o.build !== undefined) {
    const written = writeSite(site, o.build)
    if (isLeft(written)) {
      console.error(explainAll(written.left))
      return process.exit(1)
    }
    const bytes = Object.values(site).reduce((n, f) => n + f.length, 0)
    return console.log(
      `written: ${o.build}, ${Object.keys(site).length} files, ${(bytes / 1e6).toFixed(1)} MB; for more than one thread serve it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp`,
    )
  }
  const { url, close } = await serveSite(site, o.port).catch((e: unknown) =>
    fail(`port ${o.port}: ${e instanceof Error ? e.message : String(e)}`),
  )
  console.log(`${url}\nCtrl-C ends it`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void close())
}

await main()
