/** What the tensors of a run are of a program's results: plain tensors, or the parts of a quant tensor. */
import { spreadGroups } from '../data/groups.js'
import type { FloatFormat } from '../data/minifloat.js'
import { quantOf, type Group } from '../data/quant.js'
import type { Output } from '../data/quantTensor.js'
import type { Tensor } from '../data/tensor.js'
import type { Program, ProgramOutput } from './program.js'

/** The metadata of a result that is a quant tensor; `P` says where a tensor is. */
export type ResultQuant<P> = {
  readonly scale: P
  readonly zeroPoint: P
  readonly bitWidth: P
  readonly signed: boolean
  readonly training: boolean
  /** Is a zero point of +0 everywhere a single 0 (kind `equalScales`)? */
  readonly single: boolean
  readonly format?: FloatFormat
  readonly group?: Group
}

/** One result: where its tensor is (its node, its address, …), and its metadata if it is a quant tensor. */
export type Result<P> = { readonly value: P; readonly quant?: ResultQuant<P> }

/** An output of a program as a result, each tensor by what `at` says of its node. */
export const resultOf = <P>(program: Program, output: ProgramOutput, at: (node: number) => P): Result<P> => {
  const value = at(output.node)
  if (output.quant === undefined) return { value }
  const { scale, zeroPoint, bitWidth, signed, training, format, group } = output.quant
  const single = quantOf(program.graph.nodes[output.node].carried)?.zero === 'equalScales'
  return {
    value,
    quant: {
      scale: at(scale),
      zeroPoint: at(zeroPoint),
      bitWidth: at(bitWidth),
      signed,
      training,
      single,
      ...(group === undefined ? {} : { group }),
      ...(format === undefined ? {} : { format }),
    },
  }
}

/** A zero point of kind `equalScales`: a single 0 where it is +0 in every channel, as Brevitas gives it. */
const singleZero = (t: Tensor): Tensor =>
  t.data.every((z) => Object.is(z, 0)) ? { shape: [1], data: new Float32Array(1) } : t

/** The result itself, from the tensors of a run. The scales of groups are spread over its elements. */
export const outputOf = <P>(result: Result<P>, tensorAt: (p: P) => Tensor): Output => {
  const value = tensorAt(result.value)
  if (result.quant === undefined) return value
  const { signed, training, single, format, group, ...places } = result.quant
  const scale = tensorAt(places.scale)
  const zero = tensorAt(places.zeroPoint)
  const zeroPoint = single ? singleZero(zero) : zero
  const wide = (t: Tensor): Tensor => (group === undefined ? t : spreadGroups(t, value.shape, group))
  return {
    kind: 'quant',
    value,
    scale: wide(scale),
    zeroPoint: wide(zeroPoint),
    bitWidth: tensorAt(places.bitWidth),
    signed,
    training,
    ...(group === undefined ? {} : { group: { ...group, scale, zeroPoint } }),
    ...(format === undefined ? {} : { format }),
  }
}
