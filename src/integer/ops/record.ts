/**
 * The contract of an integer primitive: an ordinary record of the graph (`graph/op.ts`), and its rule over whole numbers. Values are integers that lie on
 * the grid of scale 1 and zero point 0, so that prints, the page and stored programs show their widths like any metadata.
 *
 * Why a rule of its own beside `evaluate`: the evaluators of the float graph compute in float32, which holds whole numbers up to 2^24 only, and
 * accumulators need 32 bits. `integers` is the meaning; `evaluate` is the same rule for whoever runs such a graph with a float backend, and
 * refuses, as a check does, the first number that float32 could not hold. So neither of the two is a lie.
 */
import { carries, quantOf, type Carried } from '../../data/quant.js'
import { integer } from '../../graph/attr.js'
import type { Attrs, AttrSchema } from '../../graph/attributes.js'
import type { Example, Kit, Op, Value } from '../../graph/op.js'
import { bitsFor, FLOAT_WHOLE, type IntegerTensor, type Range } from '../values.js'

/** Every integer op says the proved range of its result. */
export const ranged = { lo: integer, hi: integer }

/** An integer primitive. */
export interface IntegerOp<A extends Attrs = Attrs> extends Op<A> {
  /** Writes the result into `out`, which is as large as the shape rule says. Exact: whoever builds a program has proved that all sums fit. */
  integers(args: readonly IntegerTensor[], attrs: A, out: IntegerTensor & { readonly data: Int32Array }): void
}

/** Is it an integer primitive? */
export const isIntegerOp = (op: Op): op is IntegerOp => 'integers' in op && typeof op.integers === 'function'

/** Metadata of an integer with this range. */
const carriedInteger = ({ lo, hi }: Range, scale: number, zeroPoint: number, kit: Kit): Carried => {
  const { bits, signed } = bitsFor({ lo, hi })
  return carries({
    scale,
    zeroPoint,
    bitWidth: kit.constant(bits).id,
    bits,
    signed,
    training: false,
    zero: 'zero',
    lo,
    hi,
    slack: 0,
  })
}

/** The gradient of every integer op. */
export const noGradient = {
  none: 'an integer program is what a trained network computes on a device, and is not trained: differentiate the network that it was made from',
}

const unfit = (data: ArrayLike<number>): number | undefined => {
  for (let i = 0; i < data.length; i++)
    if (!Number.isInteger(data[i]) || Math.abs(data[i]) >= FLOAT_WHOLE) return data[i]
  return undefined
}

/** What an integer op has of its own. */
export type IntegerSpec<A extends Attrs & Range> = Pick<Op<A>, 'name' | 'doc' | 'shape'> & {
  readonly operands: NonNullable<Op['operands']>
  readonly attributes: AttrSchema<A>
  readonly examples: readonly Example<A>[]
  readonly elementwise?: boolean
  readonly integers: IntegerOp<A>['integers']
}

/** An integer primitive from its own parts. */
export const integerOp = <A extends Attrs & Range>(spec: IntegerSpec<A>): IntegerOp<A> => ({
  ...spec,
  // Inputs and constants are plain numbers to a stored program: each op says anew on which grid its integers lie.
  births: true,
  carry: (args: readonly Value[], attrs: A, kit: Kit): Carried => {
    const known = args.map((x) => quantOf(x.carried)).find((q) => q !== null)
    const scale = known?.scale ?? kit.constant(1).id
    return carriedInteger(attrs, scale, known?.zeroPoint ?? kit.constant(0).id, kit)
  },
  vjp: noGradient,
  evaluate: (args, attrs, out) => {
    const odd = args.map((t) => unfit(t.data)).find((v) => v !== undefined)
    if (odd !== undefined)
      return `${spec.name} was given ${odd}: float32 holds whole numbers below 2^24 only, so run this with runInteger`
    const whole = { shape: out.shape, data: new Int32Array(out.data.length) }
    spec.integers(
      args.map((t) => ({ shape: t.shape, data: Float64Array.from(t.data) })),
      attrs,
      whole,
    )
    const wide = unfit(whole.data)
    if (wide !== undefined)
      return `${spec.name} made ${wide}: float32 holds whole numbers below 2^24 only, so run this with runInteger`
    out.data.set(whole.data)
    return null
  },
  smooth: false,
})
