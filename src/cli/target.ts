/** What a target of `quantrace export` is: a value. `targets/index.ts` lists them; adding one is a file there and a line. */
import type * as E from 'fp-ts/lib/Either.js'
import type { Options, Refusal } from './command.js'
import type { Subject } from './subject.js'

/** What is written: a file, or a folder of files by name. */
export type Made =
  | { readonly is: 'file'; readonly content: string | Uint8Array }
  | { readonly is: 'folder'; readonly files: { readonly [name: string]: string | Uint8Array } }

/** What was given for the options of a target. */
export type TargetGiven = { readonly [option: string]: string | boolean | readonly string[] | undefined }

/** A format that a program is written in. */
export type Target = {
  /** What it is, in a line. */
  readonly says: string
  /** Ending of the name that is used where none is given; empty for a folder. */
  readonly ending: string
  /** Options of its own; the help lists them, and other targets refuse them. */
  readonly options: Options
  /** What is wrong with its options, said before any work. */
  readonly check?: (given: TargetGiven) => E.Either<Refusal, unknown>
  readonly make: (subject: Subject, given: TargetGiven) => E.Either<Refusal, Made>
}
