/** An ONNX model: a network with its numbers; files beside it are read from its folder alone. */
import * as E from 'fp-ts/lib/Either.js'
import { dirname } from 'node:path'
import type { QuantErrors } from '../../data/error.js'
import type { Shape } from '../../data/shape.js'
import type { Program } from '../../graph/program.js'
import { readModel } from '../../interop/onnx/import/model.js'
import { importOnnx, type Imported, type ImportOptions } from '../../interop/onnx/index.js'
import { externalData } from '../../node/index.js'
import { init, trace } from '../../nn/program/program.js'
import { badFile, nameOfFile, ofFile, type File } from '../files.js'
import type { SomeLayer, Subject, Wanted } from '../subject.js'
import type { Source } from '../source.js'

/** The model of a file with these shapes of inputs; an unnamed shape is that of the only input. */
export const importedFrom = (file: File, shapes: Wanted['inputs']): E.Either<QuantErrors, Imported> => {
  const external: Pick<ImportOptions, 'external'> =
    file.path === '-' ? {} : { external: externalData(dirname(file.path)) }
  const read = (inputs: { readonly [name: string]: Shape }) => importOnnx(file.bytes, { ...external, inputs })
  const { '': unnamed, ...named } = Object.fromEntries(shapes)
  if (unnamed === undefined) return read(named)
  // Its inputs can be read without their shapes; the model itself may make no sense with others.
  const model = readModel(file.bytes, external.external)
  if (E.isLeft(model)) return model
  const names = model.right.inputs.map((i) => i.name)
  return names.length === 1
    ? read({ ...named, [names[0]]: unnamed })
    : badFile(
        file.path,
        `has ${names.length} inputs: ${names.join(', ')}`,
        `name the one whose shape is given: --input ${names[0] ?? 'x'}=${unnamed.join()}`,
      )
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
    names: imported.names,
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
