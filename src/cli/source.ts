/** What a kind of file that holds a program is: a value. `sources/index.ts` lists them. */
import type * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import type { File } from './files.js'
import type { Subject, Wanted } from './subject.js'

/** A kind of file that holds a program. */
export type Source = {
  readonly is: (file: File) => boolean
  readonly read: (file: File, wanted: Wanted) => Promise<E.Either<QuantErrors, Subject>>
}
