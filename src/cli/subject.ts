/** What a command is about: a program, and what is known beside it. `sources/` reads it from files of several kinds. */
import type { QuantError, QuantErrors } from '../data/error.js'
import { isShape } from '../data/fields.js'
import type { Shape } from '../data/shape.js'
import type { Program } from '../graph/program.js'
import type { Layer } from '../nn/layers/layer.js'
import * as E from 'fp-ts/lib/Either.js'
import type { Stored } from '../../viz/known.js'
import type { Given, Options } from './command.js'

/** A layer of which nothing is known but that it is one. */
export type SomeLayer = Layer<unknown, unknown, never, unknown>

/** What a command is about. */
export type Subject = {
  /** The name of the file without its folder and ending. */
  readonly name: string
  readonly program: Program
  /** Parameters and state, or null where nothing gives them. */
  readonly numbers: Stored | null
  /** The network itself, where the file holds one: an ONNX model, a module's layer. */
  readonly layer: SomeLayer | null
  /** The program for other sizes of batch, where the network is there. */
  readonly ofBatch: ((batch: number) => E.Either<QuantErrors, Program>) | null
  /** What inputs and outputs are called in the file, by their path; absent where they have no other names. */
  readonly names?: { readonly [path: string]: string }
  /** Something worth knowing, for stderr. */
  readonly note: string | null
}

/** Options of all that reads a program. */
export const SUBJECT = {
  checkpoint: {
    type: 'string',
    value: 'FILE',
    says: 'Parameters and state: .qtrc, or .safetensors where the network itself is given.',
  },
  input: {
    type: 'string',
    value: 'SHAPE',
    multiple: true,
    says: 'Shape of an input, 1,1,28,28 or NAME=1,1,28,28: networks need it, ONNX models may.',
  },
  export: {
    type: 'string',
    value: 'NAME',
    says: 'Which export of a module (default: program, net, model, or the only one).',
  },
} as const satisfies Options

/** What was asked of the reader of a program. */
export type Wanted = {
  readonly checkpoint: string | undefined
  /** Shapes by the name of the input; the empty name: the only one. */
  readonly inputs: ReadonlyMap<string, Shape>
  readonly export: string | undefined
}

const wrongShape = (text: string): QuantError => ({
  tag: 'ConfigError',
  option: '--input',
  path: '',
  message: `--input ${text} is no shape`,
  fix: 'write sizes with commas, 1,1,28,28, behind the name of the input where there are several: --input x=1,1,28,28',
})

const shapeOf = (text: string): E.Either<QuantError, readonly [string, Shape]> => {
  const [, name = '', sizes] = /^(?:(.*)=)?\[?([\d,\s]*)\]?$/s.exec(text) ?? []
  const shape =
    sizes === undefined || sizes.trim() === '' ? [] : sizes.split(',').map((n) => (n.trim() === '' ? NaN : Number(n)))
  return sizes !== undefined && isShape(shape) ? E.right([name, shape]) : E.left(wrongShape(text))
}

/** The options of a call as what is wanted of the reader. */
export const wantedOf = (given: Given<typeof SUBJECT>): E.Either<QuantErrors, Wanted> => {
  const inputs = new Map<string, Shape>()
  const errors: QuantError[] = []
  for (const text of given.input) {
    const read = shapeOf(text)
    if (E.isLeft(read)) errors.push(read.left)
    else inputs.set(...read.right)
  }
  return errors.length > 0 ? E.left(errors) : E.right({ checkpoint: given.checkpoint, inputs, export: given.export })
}
