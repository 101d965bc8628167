/** Which version this is. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const manifestAbove = (folder: string): string =>
  existsSync(join(folder, 'package.json')) ? join(folder, 'package.json') : manifestAbove(dirname(folder))

/** The version in the nearest package.json above: these files lie in the package, whether compiled or not. */
export const version = (): string => {
  const { version: said }: { readonly version: string } = JSON.parse(
    readFileSync(manifestAbove(dirname(fileURLToPath(import.meta.url))), 'utf8'),
  )
  return said
}
