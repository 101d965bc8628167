/** One page per program case that traces; error and generator cases are passed over. */
import * as E from 'fp-ts/lib/Either.js'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { toHtml } from '../../viz/index.js'
import { traceCase } from './execute.js'
import { isRng, readCase, safe } from './format.js'

/** Values are named as the case names them, without the prefix that keeps their keys apart. */
const caseName = (path: string): string => (path.startsWith(safe('')) ? path.slice(safe('').length) : path)

/** The page of one case file, or null where there is none. */
export const pageOf = (file: string): { readonly name: string; readonly html: string } | null => {
  const c = readCase(file)
  if (isRng(c) || c.expect_error !== undefined) return null
  const program = traceCase(c)
  return E.isLeft(program) ? null : { name: c.name, html: toHtml(program.right, { title: c.name, nameOf: caseName }) }
}

/** Writes `OUTDIR/<group>/<name>.html` for each file that has a page; says how many. */
export const writePages = (files: readonly string[], outDir: string): number => {
  const pages = files.map(pageOf).filter((p) => p !== null)
  for (const { name, html } of pages) {
    const to = join(outDir, `${name}.html`)
    mkdirSync(dirname(to), { recursive: true })
    writeFileSync(to, html)
  }
  return pages.length
}
