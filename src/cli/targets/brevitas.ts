/** `--to brevitas`: a PyTorch twin, to train on many machines. */
import * as E from 'fp-ts/lib/Either.js'
import { mapTree } from '../../data/tree.js'
import type { Program, ProgramInput } from '../../graph/program.js'
import { quantInput, type InputDecl } from '../../graph/trace.js'
import { toBrevitas, type TwinFiles } from '../../interop/brevitas/index.js'
import type { Stored } from '../../../viz/known.js'
import { orRefused, refused, type Result } from '../command.js'
import { numbersOf } from '../numbers.js'
import type { SomeLayer } from '../subject.js'
import type { Made, Target } from '../target.js'

const isIndex = (x: unknown): x is number => typeof x === 'number'

const declarationOf = (program: Program, i: ProgramInput): InputDecl => {
  if (i.quant === undefined)
    return { input: 'tensor', shape: i.shape, ...(i.dtype === undefined ? {} : { dtype: i.dtype }) }
  const { zero, ...quant } = i.quant
  const shapeOf = (part: ProgramInput['part']) =>
    program.inputs.find((p) => p.kind === 'data' && p.path === i.path && p.part === part)?.shape ?? []
  return quantInput(i.shape, {
    ...quant,
    zeroPoint: zero,
    scaleShape: shapeOf('scale'),
    zeroPointShape: shapeOf('zeroPoint'),
  })
}

/** The inputs of a program as they were declared. */
const declarationsOf = (program: Program) =>
  mapTree(isIndex, program.structure.data, (index) => declarationOf(program, program.inputs[index]))

const twinOf = (layer: SomeLayer, program: Program, { params, state }: Stored): Result<Made> =>
  orRefused(
    E.map((files: TwinFiles): Made => ({ is: 'folder', files }))(
      toBrevitas(layer, declarationsOf(program) as never, { params, state }),
    ),
  )

export const brevitas: Target = {
  says: 'a PyTorch twin, a folder: Brevitas modules, numbers, a script for torchrun',
  ending: '',
  options: {},
  make: (subject) => {
    const { layer, name, program } = subject
    if (layer !== null) return E.chain((numbers: Stored) => twinOf(layer, program, numbers))(numbersOf(subject))
    return refused([
      {
        tag: 'ExportError',
        op: name,
        path: '',
        message: `${name} is a program, in which layers are taken apart; a twin is made of the layers themselves`,
        fix: 'name the module that exports the network: quantrace export net.ts --to brevitas',
      },
    ])
  },
}
