/** Numbers for a program: its own, or a refusal; inputs of zeros or of noise, where only shapes matter. */
import * as E from 'fp-ts/lib/Either.js'
import { manualSeed, randn, type Generator } from '../data/random.js'
import { full, type Tensor } from '../data/tensor.js'
import type { QuantTensor } from '../data/quantTensor.js'
import { mapTree } from '../data/tree.js'
import { intMax, intMin } from '../data/quant.js'
import type { Program, ProgramInput } from '../graph/program.js'
import type { Stored } from '../../viz/known.js'
import { refused, type Result } from './command.js'
import type { Subject } from './subject.js'

/** The parameters and state of a subject; without them nothing can be computed. */
export const numbersOf = ({ program, numbers, name }: Subject): Result<Stored> => {
  if (numbers !== null) return E.right(numbers)
  const missing = program.inputs.filter((i) => i.kind === 'param' || i.kind === 'state')
  return refused([
    {
      tag: 'InputError',
      input: 'checkpoint',
      path: '',
      message: `${name} needs numbers for ${missing.length} leaves of parameters and state (${missing[0]?.path ?? ''}, …), and none were given`,
      fix: 'give --checkpoint FILE.qtrc, which checkpointToBytes(training) or tensorsToBytes({ params, state }) wrote',
    },
  ])
}

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** A quant tensor as it was declared: scale 1, zero point 0, integers of its width made of what `fill` gives. */
const quantOf = (program: Program, i: ProgramInput, value: Tensor): Tensor | QuantTensor => {
  if (i.quant === undefined) return value
  const { bits, signed, training } = i.quant
  const [lo, hi] = [intMin(bits, signed), intMax(bits, signed)]
  const shapeOf = (part: ProgramInput['part']) =>
    program.inputs.find((p) => p.kind === 'data' && p.path === i.path && p.part === part)?.shape ?? []
  return {
    kind: 'quant',
    value: { shape: value.shape, data: value.data.map((x) => Math.min(hi, Math.max(lo, Math.round(x)))) },
    scale: full(shapeOf('scale'), 1),
    zeroPoint: full(shapeOf('zeroPoint'), 0),
    bitWidth: full([], bits),
    signed,
    training,
  }
}

const inputsBy = (program: Program, fill: (i: ProgramInput) => Tensor): unknown =>
  mapTree(isIndex, program.structure.data, (index) =>
    quantOf(program, program.inputs[index], fill(program.inputs[index])),
  )

/** Zeros of every declared shape. */
export const blankInputs = (program: Program): unknown => inputsBy(program, ({ shape }) => full(shape, 0))

/** Noise of every declared shape, the same each time. */
export const noiseInputs = (program: Program): unknown => {
  let generator: Generator = manualSeed(0)
  return inputsBy(program, ({ shape }) => {
    const [x, next] = randn(shape)(generator)
    generator = next
    return x
  })
}
