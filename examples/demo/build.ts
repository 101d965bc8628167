/** Builds two pages as a static folder: one trains the digits, one quantizes ONNX models; HTML, styles, scripts, the digits. */
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import type { Either } from 'fp-ts/lib/Either.js'
import { orThrow, ReLU, tensorInput, trace, type Program, type QuantErrors } from '../../src/index.js'
import { writeFolder } from '../../src/node/index.js'
import { livePage, livePageStyle, toHtml } from '../../viz/index.js'
import { loadDigits, type Digits } from '../digits/data.js'
import { encodeDigits } from './digitsFile.js'
import { quantizePage, quantizeStyle } from './quantize/html.js'

/** The files of the page, by name. */
export type Site = { readonly [name: string]: Uint8Array }

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

const scripts = async (): Promise<Site> => {
  const { outputFiles } = await build({
    entryPoints: {
      page: at('page.ts'),
      worker: at('worker.ts'),
      quantize: at('quantize/page.ts'),
      'quantize-worker': at('quantize/worker.ts'),
    },
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

/** A page of each kind that the other page shows, for their policies. */
const drawings = (): readonly string[] => {
  const program = orThrow(trace(ReLU(), tensorInput([1]), { mode: 'eval' })) as Program
  return [toHtml(program), toHtml([program, program])]
}

const text = (content: string): Uint8Array => new TextEncoder().encode(content)

/** Builds every file in memory. */
export const buildSite = async (): Promise<Site> => ({
  'index.html': text(
    livePage({
      title: 'digits, training in this page',
      script: 'page.js',
      style: 'page.css',
      tabs: [{ name: 'Quantize an ONNX model', href: 'quantize.html' }],
    }),
  ),
  'page.css': text(livePageStyle),
  'quantize.html': text(quantizePage(drawings())),
  'quantize.css': text(quantizeStyle),
  ...(await scripts()),
  'digits.bin': gzipSync(encodeDigits(together(loadDigits()))),
})

/** Writes a site into a folder. */
export const writeSite = (site: Site, folder: string): Either<QuantErrors, readonly string[]> =>
  writeFolder(folder, site)
