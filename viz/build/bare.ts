/** Takes the comments out of the compiled files of a package, whose declarations tell the same; what tells bundlers that a call is pure stays, and a few within expressions. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'

/** The same program without the comments of its statements. */
export const withoutComments = (code: string): string =>
  transformSync(code, { loader: 'js', format: 'esm', target: 'esnext', charset: 'utf8', legalComments: 'inline' }).code

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = fileURLToPath(new URL('../../dist', import.meta.url))
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.js')) continue
    const path = join(dist, file)
    writeFileSync(path, withoutComments(readFileSync(path, 'utf8')))
  }
}
