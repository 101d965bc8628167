/** A stored program, as `programToJSON` writes it. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { parseProgram } from '../../graph/json.js'
import type { Program } from '../../graph/program.js'
import { ops } from '../../ops/index.js'
import { isCheckpoint } from '../checkpoint.js'
import { badFile, nameOfFile, ofFile, type File } from '../files.js'
import type { Subject } from '../subject.js'
import type { Source } from '../source.js'

const startsWith = ({ bytes }: File, text: string): boolean =>
  text.length <= bytes.length && [...text].every((c, i) => bytes[i] === c.charCodeAt(0))

/** What other files there are, and what is done with them. */
const mistaken = (file: File): E.Either<QuantErrors, never> | null => {
  const { path } = file
  if (isCheckpoint(file))
    return badFile(
      path,
      'is a checkpoint: parameters and state, but no graph',
      `name the program that it belongs to (programToJSON writes one), and the checkpoint beside it: PROGRAM --checkpoint ${path}`,
    )
  if (startsWith(file, '\u0093NUMPY') || startsWith(file, 'PK') || path.endsWith('.safetensors'))
    return badFile(
      path,
      'holds arrays, no program',
      'name a program first; arrays are for quantrace run PROGRAM DATA, and for --checkpoint (.safetensors)',
    )
  return null
}

/** Stored programs have nothing that takes other shapes. */
const openNothing = (path: string): E.Either<QuantErrors, never> =>
  badFile(
    path,
    'is a stored program, whose shapes are fixed',
    'leave out --input, or trace the network anew: name the module that exports it',
  )

export const storedSource: Source = {
  is: () => true,
  read: async (file, wanted) => {
    const other = mistaken(file)
    if (other !== null) return other
    if (wanted.inputs.size > 0) return openNothing(file.path)
    return ofFile(file.path)(
      E.map((program: Program): Subject => ({
        name: nameOfFile(file.path),
        program,
        numbers: program.inputs.every((i) => i.kind === 'data') ? { params: {}, state: {} } : null,
        layer: null,
        ofBatch: null,
        note: null,
      }))(parseProgram(ops)(new TextDecoder().decode(file.bytes))),
    )
  },
}
