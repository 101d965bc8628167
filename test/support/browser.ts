/**
 * A headless Chromium out of npm packages only, a static server on the loopback interface, and a bundler, for tests that need a browser:
 *
 *     const page = await openPage({ files: { '/main.js': await bundle('…') }, isolated: true })
 *     try { await page.page.evaluate(…) } finally { await page.close() }
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import { build } from 'esbuild'
import { chromium, type Browser, type Page } from 'playwright-core'
import { cacheFolder, root, run } from './process.js'

// ---------------------------------------------------------------- Chromium

const packageFolder = join(root, 'node_modules', '@sparticuz', 'chromium')

/**
 * Unpacks Chromium, its fonts and the libraries that a bare machine lacks, once, and gives the folder. The package unpacks into the
 * temporary folder (we give it one of our own) and its libraries only where it believes to be in Amazon's cloud, hence the variable.
 */
const unpack = async (): Promise<string> => {
  const { version }: { readonly version: string } = JSON.parse(
    readFileSync(join(packageFolder, 'package.json'), 'utf8'),
  )
  const folder = join(cacheFolder, `chromium-${version}`)
  if (existsSync(folder)) return folder
  // Unpacked beside its place and moved there whole: two test files may do this at the same time, and either may be killed.
  const partial = `${folder}.${process.pid}`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const script = "import chromium from '@sparticuz/chromium'; await chromium.executablePath()"
  const { code, output } = await run(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, TMPDIR: partial, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs20.x' },
    limit: 120_000,
  })
  try {
    if (code !== 0) throw new Error(`@sparticuz/chromium could not be unpacked: ${output}`)
    // The package's own file looks for the fonts in /tmp; without any, text has no glyphs.
    writeFileSync(join(partial, 'fonts', 'fonts.conf'), '<fontconfig><dir prefix="relative">fonts</dir></fontconfig>\n')
    renameSync(partial, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return folder
}

/** Starts Chromium. `args` are added to those that a container without a GPU, or root, needs. */
export const launch = async (args: readonly string[] = []): Promise<Browser> => {
  const folder = await unpack()
  const libraries = join(folder, 'al2023', 'lib')
  const inherited = process.env['LD_LIBRARY_PATH']
  const env = Object.fromEntries(
    Object.entries(process.env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  )
  return chromium.launch({
    executablePath: join(folder, 'chromium'),
    args: [
      '--no-sandbox',
      '--no-zygote',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-extensions',
      '--no-first-run',
      ...args,
    ],
    env: {
      ...env,
      FONTCONFIG_PATH: join(folder, 'fonts'),
      LD_LIBRARY_PATH: inherited === undefined ? libraries : `${libraries}:${inherited}`,
    },
    timeout: 60_000,
  })
}

// ---------------------------------------------------------------- server

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.wasm': 'application/wasm',
}

export type ServerSettings = {
  /** What is served, by path; `/` is `/index.html`, by default an empty page. Nothing else is reachable. */
  readonly files: Readonly<Record<string, string | Uint8Array>>
  /** Send the headers that make a page `crossOriginIsolated`, so that it has shared memory. */
  readonly isolated?: boolean
}

export type Server = { readonly url: string; readonly close: () => Promise<void> }

/** Serves `files` on a free port of the loopback interface. */
export const serve = ({ files, isolated = false }: ServerSettings): Promise<Server> => {
  const table = new Map<string, string | Uint8Array>([
    ['/index.html', '<!doctype html><meta charset="utf-8"><title>quantrace</title><link rel="icon" href="data:,">'],
    ...Object.entries(files),
  ])
  const isolation = isolated
    ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
    : {}
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const path = pathname === '/' ? '/index.html' : pathname
    const body = table.get(path)
    const type = types[extname(path)] ?? 'application/octet-stream'
    response.writeHead(body === undefined ? 404 : 200, {
      'content-type': body === undefined ? 'text/plain' : type,
      'cache-control': 'no-store',
      ...isolation,
    })
    response.end(body ?? `no such file: ${path}`)
  })
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('the server has no port'))
      else resolve({ url: `http://127.0.0.1:${address.port}/`, close })
    })
  })
}

// ---------------------------------------------------------------- bundler

export type BundleSettings = {
  readonly minify?: boolean
  /** `iife` can go into a `<script>` of a page that is opened as a file. */
  readonly format?: 'esm' | 'iife'
  /** The global variable that holds an iife's exports. */
  readonly globalName?: string
}

/** Bundles TypeScript source, whose relative imports start at the repository's root, into one JavaScript file. */
export const bundle = async (
  source: string,
  { minify = false, format = 'esm', globalName }: BundleSettings = {},
): Promise<string> => {
  const { outputFiles } = await build({
    stdin: { contents: source, loader: 'ts', resolveDir: root, sourcefile: 'bundle.ts' },
    bundle: true,
    write: false,
    platform: 'browser',
    target: 'es2022',
    format,
    minify,
    logLevel: 'silent',
    ...(globalName === undefined ? {} : { globalName }),
  })
  return outputFiles[0].text
}

// ---------------------------------------------------------------- page

export type OpenPage = {
  readonly page: Page
  readonly url: string
  /** Uncaught errors and console errors so far: assert that it is empty. */
  readonly errors: readonly string[]
  readonly close: () => Promise<void>
}

/** Serves files and opens `/` in a new browser. Always close it. */
export const openPage = async (settings: ServerSettings, args: readonly string[] = []): Promise<OpenPage> => {
  const server = await serve(settings)
  let browser: Browser | undefined
  try {
    browser = await launch(args)
    const opened = browser
    const errors: string[] = []
    const page = await opened.newPage()
    page.on('pageerror', (error) => {
      errors.push(String(error))
    })
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text())
    })
    await page.goto(server.url)
    return {
      page,
      url: server.url,
      errors,
      close: async () => {
        await opened.close()
        await server.close()
      },
    }
  } catch (error) {
    await browser?.close()
    await server.close()
    throw error
  }
}
