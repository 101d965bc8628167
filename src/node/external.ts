/** Files beside a model, in which large ones keep their tensors; nothing outside of its folder is ever read. */
import * as E from 'fp-ts/lib/Either.js'
import { readFileSync, realpathSync, statSync } from 'node:fs'
import { demandArguments, required, showGiven, text } from '../data/fields.js'
import { isAbsolute, relative, resolve, sep } from 'node:path'

const isInside = (root: string, file: string): boolean => {
  const way = relative(root, file)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

const read = (folder: string, location: string): E.Either<string, Uint8Array> => {
  if (typeof location !== 'string') return E.left(`a file's path is needed, not ${showGiven(location)}`)
  const said = JSON.stringify(location)
  if (isAbsolute(location) || /^[A-Za-z]:|\\/.test(location) || location.includes('\0'))
    return E.left(`${said} is no path within the model's folder`)
  try {
    const root = realpathSync(folder)
    // Links are followed before it is asked where the file lies.
    const file = realpathSync(resolve(root, location))
    if (!isInside(root, file)) return E.left(`${said} lies outside of the model's folder`)
    if (!statSync(file).isFile()) return E.left(`${said} is no file`)
    return E.right(new Uint8Array(readFileSync(file)))
  } catch (e) {
    return E.left(`the file ${said} could not be read: ${e instanceof Error ? e.message : String(e)}`)
  }
}

/**
 * A reader for `importOnnx(bytes, { external })`: gives the bytes of a file in this folder or below, by its path from there. What lies outside, by
 * `..`, an absolute path or a link, is refused before it is opened. A file is read once, however many tensors stand in it.
 *
 * @example
 * importOnnx(readFileSync('models/net.onnx'), { external: externalData('models') })
 */
export const externalData = (folder: string): ((location: string) => E.Either<string, Uint8Array>) => {
  let last: { readonly location: string; readonly bytes: E.Either<string, Uint8Array> } | null = null
  demandArguments('externalData', { folder }, { folder: required({ ...text, like: "'models'" }) })
  return (location) => {
    const found = last !== null && last.location === location ? last : { location, bytes: read(folder, location) }
    last = found
    return found.bytes
  }
}
