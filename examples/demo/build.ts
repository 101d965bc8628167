/** Builds the page as a static folder: HTML, style, two scripts, the digits. */
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import type { Either } from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../src/index.js'
import { writeFolder } from '../../src/node/index.js'
import { livePage, livePageStyle } from '../../viz/index.js'
import { loadDigits, type Digits } from '../digits/data.js'
import { encodeDigits } from './digitsFile.js'

/** The files of the page, by name. */
export type Site = { readonly [name: string]: Uint8Array }

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

const scripts = async (): Promise<Site> => {
  const { outputFiles } = await build({
    entryPoints: { page: at('page.ts'), worker: at('worker.ts') },
    outdir: 'out',
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    legalComments: 'none',
    charset: 'ascii',
  })
  return Object.fromEntries(outputFiles.map((f) => [f.path.split(/[\\/]/).pop() ?? '', f.contents]))
}

/** All digits in one: the held-out ones first. */
const together = ({ test, train }: { readonly test: Digits; readonly train: Digits }): Digits => ({
  images: {
    shape: [test.labels.data.length + train.labels.data.length, 1, 28, 28],
    data: Float32Array.from([...test.images.data, ...train.images.data]),
  },
  labels: {
    shape: [test.labels.data.length + train.labels.data.length],
    data: Float32Array.from([...test.labels.data, ...train.labels.data]),
  },
})

const text = (content: string): Uint8Array => new TextEncoder().encode(content)

/** Builds every file in memory. */
export const buildSite = async (): Promise<Site> => ({
  'index.html': text(livePage({ title: 'digits, training in this page', script: 'page.js', style: 'page.css' })),
  'page.css': text(livePageStyle),
  ...(await scripts()),
  'digits.bin': gzipSync(encodeDigits(together(loadDigits()))),
})

/** Writes a site into a folder. */
export const writeSite = (site: Site, folder: string): Either<QuantErrors, readonly string[]> =>
  writeFolder(folder, site)
