/** Where metadata of a learned bit width is born: the value was put onto its integers by ops before this one. */
import { exactly, intMax, intMin, type Carried } from '../data/quant.js'
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import { between, flag, optional } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import { refuse, type Kit, type Op, type Value } from '../graph/op.js'
import { zeroPointKind } from './quantize.js'
import { asFirst } from './support/elementwise.js'

const attributes = {
  /** The most bits that the width can be. */
  bits: between(2, 32),
  signed: flag,
  /** Without the lowest integer (signed) or the highest; false if absent. */
  narrow: optional(flag),
  training: flag,
  zero: zeroPointKind,
}
type LearnedAttrs = AttrsOf<typeof attributes>

const born = ([, scale, zeroPoint, bitWidth]: readonly Value[], { narrow, ...a }: LearnedAttrs, _kit: Kit): Carried =>
  exactly(
    {
      scale: scale.id,
      zeroPoint: zeroPoint.id,
      bitWidth: bitWidth.id,
      ...a,
      lo: intMin(a.bits, a.signed, narrow),
      hi: intMax(a.bits, a.signed, narrow),
      slack: 0,
      learned: true,
    },
    'its bit width is learned: how many bits it has, only a run tells',
  )

/** x itself, as a quant tensor with this scale, zero point and bit width. */
export const onLearnedGrid: Op<LearnedAttrs> = {
  name: 'onLearnedGrid',
  doc: 'x, with the metadata of a grid whose bit width is learned (Brevitas BitWidthParameter).',
  operands: ['x', 'scale', 'zeroPoint', 'bitWidth'],
  attributes,
  shape: ([x, s, z, b]) => {
    const fits = asFirst([x, s, z])
    return sizeOf(b) === 1 && sameShape(b, [])
      ? fits
      : refuse(`a bit width of shape ${showShape(b)} is no single number`, 'give a scalar')
  },
  births: true,
  carry: born,
  vjp: ({ g }) => [g, null, null, null],
  evaluate: ([x], _attrs, out) => {
    out.data.set(x.data)
    return null
  },
  examples: [
    {
      args: [
        { shape: [3], steps: { of: 1, bits: 4, signed: true } },
        { shape: [], range: [0.1, 1] },
        { shape: [], range: [0, 0] },
        { shape: [], range: [4, 4] },
      ],
      attrs: { bits: 8, signed: true, training: true, zero: 'zero' },
    },
  ],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    onLearnedGrid: LearnedAttrs
  }
}
