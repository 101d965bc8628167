/**
 * Ops that move elements or choose among them, over integers. What they do is the float op's own rule, asked with the numbers of the elements instead of
 * the elements: so none of these rules is written a second time.
 */
import type { AttrsOf, Attrs, AttrSchema } from '../../graph/attributes.js'
import { attrsFor, type Op } from '../../graph/op.js'
import { adaptiveMaxPool } from '../../ops/adaptiveMaxPool.js'
import { concat } from '../../ops/concat.js'
import { maxPool } from '../../ops/maxPool.js'
import { pad } from '../../ops/pad.js'
import { permute } from '../../ops/permute.js'
import { pixelShuffle, pixelUnshuffle } from '../../ops/pixelShuffle.js'
import { reshape } from '../../ops/reshape.js'
import { slice } from '../../ops/slice.js'
import { broadcastTo } from '../../ops/sumTo.js'
import { upsampleNearest, upsampleNearestExact } from '../../ops/upsampleNearest.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import { centred, FLOAT_WHOLE, type IntegerTensor, type Range } from '../values.js'
import { integerOp, ranged, type IntegerOp } from './record.js'

/**
 * For each element of the result, the number of the element that it is, counted through all operands from 1; 0 where it is none of them but what a
 * padding fills in.
 */
export const placesOf = (op: Op, attrs: Attrs, shapes: readonly Shape[], out: Shape): Int32Array => {
  let next = 1
  const args = shapes.map((shape) => ({ shape, data: Float32Array.from({ length: sizeOf(shape) }, () => next++) }))
  if (next > FLOAT_WHOLE) throw new Error(`internal: ${op.name} of ${next} elements`)
  const places = { shape: out, data: new Float32Array(sizeOf(out)) }
  op.evaluate(args, 'value' in attrs ? { ...attrs, value: 0 } : attrs, places)
  return Int32Array.from(places.data)
}

const gather = (args: readonly IntegerTensor[], places: Int32Array, fill: number, out: Int32Array): void => {
  const starts = args.map((_, i) => args.slice(0, i).reduce((n, a) => n + a.data.length, 1))
  for (let i = 0; i < out.length; i++) {
    if (places[i] === 0) {
      out[i] = fill
      continue
    }
    let a = args.length - 1
    while (places[i] < starts[a]) a--
    out[i] = args[a].data[places[i] - starts[a]]
  }
}

const capital = (name: string): string => `integer${name[0].toUpperCase()}${name.slice(1)}`

/** Examples of the float op whose operands are signed integers of 4 bits. */
const examplesOf = <A extends Attrs>(
  op: Op<A>,
): readonly { readonly args: Op['examples'][number]['args']; readonly attrs: A & Range }[] =>
  op.examples.slice(0, 1).map((e) => ({
    args: e.args.map((a) => ({ shape: a.shape, range: [-8, 7] as const, quant: { bits: 4, signed: true } })),
    attrs: { ...e.attrs, lo: -8, hi: 7 },
  }))

/** The op over integers that a float op has become, and that float op. */
export type Moving = { readonly integer: IntegerOp; readonly float: Op }

const bare = (op: Op, attrs: Attrs): Attrs => attrsFor(op, attrs)

const overIntegers = <A extends Attrs>(op: Op<A> & Op, doc: string, integers: IntegerOp['integers']): Moving => ({
  float: op,
  integer: integerOp<Attrs & Range>({
    name: capital(op.name),
    doc,
    operands: op.operands ?? ['x'],
    attributes: { ...op.attributes, ...ranged } as AttrSchema<AttrsOf<typeof ranged> & Attrs>,
    shape: (shapes, attrs) => op.shape(shapes, bare(op, attrs)),
    integers,
    examples: examplesOf<Attrs>(op),
  }),
})

const moving = <A extends Attrs>(op: Op<A> & Op): Moving =>
  overIntegers(op, `Whole numbers moved: ${op.doc}`, (args, attrs, out) =>
    gather(
      args,
      placesOf(
        op,
        bare(op, attrs),
        args.map((a) => a.shape),
        out.shape,
      ),
      typeof attrs.value === 'number' ? attrs.value : 0,
      out.data,
    ),
  )

/** The largest of some: exact in float32 below 2^24, which whoever builds a program proves. */
const choosing = <A extends Attrs>(op: Op<A> & Op): Moving =>
  overIntegers(op, `Of whole numbers: ${op.doc}`, ([x], attrs, out) => {
    const result = { shape: out.shape, data: new Float32Array(out.data.length) }
    op.evaluate([{ shape: x.shape, data: centred(x.data) }], bare(op, attrs), result)
    out.data.set(result.data)
  })

/** By the name of the float op. */
export const moves: { readonly [op: string]: Moving } = Object.fromEntries(
  [
    moving(reshape),
    moving(permute),
    moving(broadcastTo),
    moving(slice),
    moving(pad),
    moving(concat),
    moving(pixelShuffle),
    moving(pixelUnshuffle),
    moving(upsampleNearest),
    moving(upsampleNearestExact),
  ].map((m) => [m.float.name, m]),
)

/** Max pools, by the name of the float op. */
export const pools: { readonly [op: string]: Moving } = Object.fromEntries(
  [choosing(maxPool), choosing(adaptiveMaxPool)].map((m) => [m.float.name, m]),
)
