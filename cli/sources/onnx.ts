/** An ONNX model: a network with its numbers; files beside it are read from its folder alone. */
import * as E from 'fp-ts/lib/Either.js'
import { dirname } from 'node:path'
import type { QuantErrors } from '../../src/data/error.js'
import type { Shape } from '../../src/data/shape.js'
import type { Program } from '../../src/graph/program.js'
import { importOnnx, type Imported } from '../../src/interop/onnx/index.js'
import { externalData } from '../../src/node/index.js'
import { init, trace } from '../../src/nn/program/program.js'
import { nameOfFile, ofFile, type File } from '../files.js'
import type { SomeLayer, Subject, Wanted } from '../subject.js'
import type { Source } from '../source.js'

/** The model of a file with these shapes of inputs; an unnamed shape is that of the only input. */
export const importedFrom = (file: File, shapes: Wanted['inputs']): E.Either<QuantErrors, Imported> => {
  const external = file.path === '-' ? {} : { external: externalData(dirname(file.path)) }
  const read = (inputs: { readonly [name: string]: Shape }) => importOnnx(file.bytes, { ...external, inputs })
  const { '': unnamed, ...named } = Object.fromEntries(shapes)
  if (unnamed === undefined) return read(named)
  const first = importOnnx(file.bytes, external)
  // Which inputs there are says the model itself; where its shapes are needed to read it, the name must be given.
  if (E.isLeft(first)) return first
  return read({ ...named, [first.right.inputs[0]?.name ?? '']: unnamed })
}

const programOf = (imported: Imported): E.Either<QuantErrors, Program> =>
  E.map((p) => p as Program)(trace(imported.model, imported.declared, { mode: 'eval' }))

/** The same model for another size of batch, where all its inputs leave the first axis open. */
const forBatch =
  (file: File, imported: Imported) =>
  (batch: number): E.Either<QuantErrors, Program> =>
    E.chain(programOf)(
      importedFrom(file, new Map(imported.inputs.map((i) => [i.name, [batch, ...i.shape.slice(1)]] as const))),
    )

/** An imported model as what a command is about. */
export const subjectOfImported = (file: File, imported: Imported): E.Either<QuantErrors, Subject> => {
  const first = init(imported.model, 0)
  if (E.isLeft(first)) return first
  const { params, state } = first.right
  const isOpen = imported.inputs.every((i) => typeof i.sizes[0] === 'string')
  return E.map((program: Program): Subject => ({
    name: nameOfFile(file.path),
    program,
    numbers: { params, state },
    layer: imported.model as SomeLayer,
    ofBatch: isOpen ? forBatch(file, imported) : null,
    note: null,
  }))(programOf(imported))
}

/** Models begin with their version of the format: field 1, a number. */
const looksLikeOne = ({ path, bytes }: File): boolean => path.endsWith('.onnx') || (path === '-' && bytes[0] === 8)

export const onnxSource: Source = {
  is: looksLikeOne,
  read: async (file, { inputs }) =>
    ofFile(file.path)(E.chain((m: Imported) => subjectOfImported(file, m))(importedFrom(file, inputs))),
}
