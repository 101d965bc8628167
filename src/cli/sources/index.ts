/** Kinds of files that hold a program, each tried in turn. Another one is a file here and a line. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { readNumbers } from '../checkpoint.js'
import { orRefused, type Given, type Io, type Result } from '../command.js'
import { readFile } from '../files.js'
import type { Source } from '../source.js'
import { wantedOf, type Subject, type SUBJECT } from '../subject.js'
import { moduleSource } from './module.js'
import { onnxSource } from './onnx.js'
import { storedSource } from './stored.js'

/** The last takes all that is left, and says what it is instead. */
const sources: readonly Source[] = [moduleSource, onnxSource, storedSource]

const withCheckpoint = async (
  subject: Subject,
  path: string | undefined,
  io: Io,
): Promise<E.Either<QuantErrors, Subject>> => {
  if (path === undefined) return E.right(subject)
  const numbers = await readNumbers(path, subject, io)
  return E.map((n: NonNullable<Subject['numbers']>): Subject => ({ ...subject, numbers: n, note: null }))(numbers)
}

/** Reads what a command is about. */
export const readSubject = async (path: string, given: Given<typeof SUBJECT>, io: Io): Promise<Result<Subject>> => {
  const wanted = wantedOf(given)
  if (E.isLeft(wanted)) return E.left({ status: 2, errors: wanted.left })
  const file = await readFile(path, io)
  if (E.isLeft(file)) return orRefused(file)
  const source = sources.find((s) => s.is(file.right)) ?? storedSource
  const subject = await source.read(file.right, wanted.right)
  if (E.isLeft(subject)) return orRefused(subject)
  const whole = await withCheckpoint(subject.right, wanted.right.checkpoint, io)
  if (E.isRight(whole) && whole.right.note !== null) io.err(`note: ${whole.right.note}\n`)
  return orRefused(whole)
}
