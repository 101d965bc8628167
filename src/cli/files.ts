/** Files as a command names them: `-` is stdin or stdout. */
import * as E from 'fp-ts/lib/Either.js'
import { basename } from 'node:path'
import type { QuantErrors } from '../data/error.js'
import { readFileBytes, writeFileWhole } from '../node/index.js'
import { orRefused, type Io, type Outcome, type Result } from './command.js'

/** A file that was read. */
export type File = { readonly path: string; readonly bytes: Uint8Array }

const parseError = (where: string, message: string, fix: string): QuantErrors => [
  { tag: 'ParseError', where, path: '', message, fix },
]

/** The name of a file for people. */
export const shownFile = (path: string): string => (path === '-' ? 'what came by stdin' : path)

/** The bytes of a file, at least one. */
export const readFile = async (path: string, io: Io): Promise<E.Either<QuantErrors, File>> => {
  const bytes = path === '-' ? E.right(await io.stdin()) : readFileBytes(path)
  if (E.isLeft(bytes)) return bytes
  return bytes.right.length === 0
    ? E.left(parseError(path, `${shownFile(path)} is empty`, 'see what should have written it'))
    : E.right({ path, bytes: bytes.right })
}

/** Something is wrong with what stands in a file. */
export const badFile = (path: string, what: string, fix: string): E.Either<QuantErrors, never> =>
  E.left(parseError(path, `${shownFile(path)} ${what}`, fix))

/** The errors of a parser, with the file before each. */
export const ofFile = (path: string) =>
  E.mapLeft((errors: QuantErrors): QuantErrors =>
    errors.map((e) => ({ ...e, message: `${shownFile(path)}: ${e.message}` })),
  )

/** A name without its folder and last ending; stdin is called `program`. */
export const nameOfFile = (path: string): string =>
  path === '-' ? 'program' : basename(path).replace(/(?<=.)\.[^.]*$/, '')

const sizeOf = (content: string | Uint8Array): string =>
  typeof content === 'string' ? `${content.length} characters` : `${content.length} bytes`

/** Writes one file whole, or hands it to stdout. */
export const written = (path: string, content: string | Uint8Array, json: object = {}): Result<Outcome> =>
  path === '-'
    ? E.right({ text: '', json: null, bytes: content })
    : orRefused(
        E.map(() => ({ text: `${path}: ${sizeOf(content)}`, json: { file: path, size: content.length, ...json } }))(
          writeFileWhole(path, content),
        ),
      )
