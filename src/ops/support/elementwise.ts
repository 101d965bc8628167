/** Shared shapes of rules for element-wise ops, so that an op's own file says only what is particular to it. */
import { demandArguments, func, list, record, required, shaped, text, type Field } from '../../data/fields.js'
import type { Shape } from '../../data/shape.js'
import { broadcastShapes, broadcastStrides, sameShape, showShape, sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Carried } from '../../data/quant.js'
import { stripped } from '../../data/quant.js'
import type { AttrSchema } from '../../graph/attributes.js'
import type { Attrs, Example, Op, Refusal, Value, Vjp } from '../../graph/op.js'
import { refuse } from '../../graph/op.js'
import type { Lane, Lanes } from '../../graph/lanes.js'
import { traitsOf, type Traits } from '../../graph/traits.js'

/** A metadata rule that always loses it, for the given reason (the counterexample). */
export const strips = (why: string) => (): Carried => stripped(why)

/** Shape rule of an op whose result has the shape of its first operand. */
export const sameAsFirst = (shapes: readonly Shape[]): Shape => shapes[0]

/** Shape rule of an op whose result has the shape of its first operand, to which all others broadcast. */
export const asFirst = (shapes: readonly Shape[]): Shape | Refusal => {
  const [first] = shapes
  const odd = shapes.find((s) => !sameShape(broadcastShapes(first, s) ?? [-1], first))
  return odd === undefined
    ? first
    : refuse(
        `${showShape(odd)} does not broadcast to the first operand ${showShape(first)}`,
        "make the axes equal to the first operand's (or 1), counted from the last one",
      )
}

/** Shape rule of broadcasting operands. */
export const broadcasting = (shapes: readonly Shape[]): Shape | Refusal => {
  let out: Shape = shapes[0]
  for (const s of shapes) {
    const next = broadcastShapes(out, s)
    if (next === null)
      return refuse(
        `shapes ${shapes.map(showShape).join(' and ')} do not broadcast`,
        'make the axes equal (or 1), counted from the last one',
      )
    out = next
  }
  return out
}

/** Reduces a cotangent to the shape of a broadcast operand. */
export const sumTo = (g: Value, shape: Shape): Value =>
  sameShape(g.shape, shape) ? g : g.kit.emit('sumTo', [g], { shape })

/** Fills a value into a larger shape. */
export const broadcastTo = (v: Value, shape: Shape): Value =>
  sameShape(v.shape, shape) ? v : v.kit.emit('broadcastTo', [v], { shape })

/** Examples of a unary op: a vector, a matrix and a scalar. */
export const unaryExamples = <A extends Attrs>(
  attrs: A,
  range: readonly [number, number] = [-3, 3],
): readonly Example<A>[] => [
  { args: [{ shape: [7], range }], attrs },
  { args: [{ shape: [2, 3], range, quant: { bits: 4, signed: true } }], attrs },
  { args: [{ shape: [], range }], attrs },
]

/** Examples of a binary broadcasting op. */
export const binaryExamples = <A extends Attrs>(attrs: A): readonly Example<A>[] => [
  { args: [{ shape: [5] }, { shape: [5] }], attrs },
  { args: [{ shape: [2, 3] }, { shape: [3] }], attrs },
  { args: [{ shape: [2, 1, 2] }, { shape: [3, 1] }], attrs },
]

/** Traits of an op with so many operands: its `lanes` are given as many. */
type TraitsOver<Operands extends readonly Lane[], A extends Attrs = Attrs> = Omit<Traits<A>, 'lanes'> & {
  readonly lanes?: (e: Lanes, args: Operands, attrs: A) => Lane
}

/** What a unary element-wise op has of its own, traits (`lanes`, …) among it. */
export type UnarySpec<A extends Attrs> = TraitsOver<readonly [Lane], A> & {
  readonly name: string
  readonly doc: string
  /** One element; the result is rounded to float32 by the store. */
  readonly f: (x: number, attrs: A) => number
  readonly carry: Op<A>['carry']
  readonly vjp: Op<A>['vjp']
  readonly smooth?: boolean
  /** Attributes of the examples; without `examples` and `attributes`, an op whose `attrs` are `{}` has none. */
  readonly attrs: A
  /** Which attributes it has, and what each may hold. */
  readonly attributes?: AttrSchema<A>
  readonly range?: readonly [number, number]
  readonly examples?: readonly Example<A>[]
}

const schemaOf = <A extends Attrs>({
  attributes,
  attrs,
  examples,
}: UnarySpec<A>): { readonly attributes?: AttrSchema<A> } => {
  if (attributes !== undefined) return { attributes }
  return examples === undefined && Object.keys(attrs).length === 0 ? { attributes: {} as AttrSchema<A> } : {}
}

const ruleField: Field = {
  says: 'a gradient rule, or { none: why }',
  like: "{ none: 'its gradient is not needed' }",
  holds: (x) => typeof x === 'function' || (typeof x === 'object' && x !== null && 'none' in x),
}
const SPEC = {
  name: required(text),
  doc: required(text),
  f: required(func),
  carry: required(func),
  vjp: required(ruleField),
  examples: list,
}

/** A unary element-wise op. */
export const unary = <A extends Attrs>(spec: UnarySpec<A>): Op<A> => {
  demandArguments(
    'unary',
    { spec },
    {
      spec: required(
        shaped('what an op has of its own: { name, doc, f, carry, vjp, attrs }', { ...SPEC, attrs: required(record) }),
      ),
    },
  )
  return {
    name: spec.name,
    doc: spec.doc,
    operands: ['x'],
    ...schemaOf(spec),
    ...traitsOf(spec),
    shape: sameAsFirst,
    elementwise: true,
    carry: spec.carry,
    vjp: spec.vjp,
    evaluate: ([x], attrs, out) => {
      const { f } = spec
      for (let i = 0; i < out.data.length; i++) out.data[i] = f(x.data[i], attrs)
      return null
    },
    examples: spec.examples ?? unaryExamples(spec.attrs, spec.range),
    smooth: spec.smooth ?? true,
  }
}

const RULE = {
  f: required(func),
  v: required(
    shaped('what a gradient rule is given: { g, args, attrs, kit }', {
      g: required(record),
      args: required(list),
      kit: required(record),
    }),
  ),
}

const demandRule = (asker: string, f: unknown, v: unknown): void => demandArguments(asker, { f, v }, RULE)

/** The gradient rule of a unary op: the cotangent times `factor`, element by element. */
export const scaledBy =
  <A extends Attrs>(factor: (x: Value, attrs: A, out: () => Value) => Value): Vjp<A> =>
  (v) => {
    demandRule('scaledBy', factor, v)
    const {
      g,
      args: [x],
      attrs,
      out,
      kit,
    } = v
    return [kit.emit('mul', [g, factor(x, attrs, out)])]
  }

/** The gradient rule of a unary op with kinks: the cotangent where `mask` (0 or 1) says so, else exactly 0, even where it is NaN. */
export const maskedBy =
  <A extends Attrs>(mask: (x: Value, attrs: A) => Value): Vjp<A> =>
  (v) => {
    demandRule('maskedBy', mask, v)
    const {
      g,
      args: [x],
      attrs,
      kit,
    } = v
    return [kit.emit('select', [mask(x, attrs), g, kit.constant(0)])]
  }

/** Evaluates `f` over two broadcast operands. */
export const evaluateBinary = (f: (a: number, b: number) => number, a: Tensor, b: Tensor, out: Tensor): null => {
  const [x, y, z] = [a.data, b.data, out.data]
  if (x.length === z.length && y.length === z.length) for (let i = 0; i < z.length; i++) z[i] = f(x[i], y[i])
  else if (y.length === 1 && x.length === z.length) for (let i = 0, w = y[0]; i < z.length; i++) z[i] = f(x[i], w)
  else if (x.length === 1 && y.length === z.length) for (let i = 0, w = x[0]; i < z.length; i++) z[i] = f(w, y[i])
  else {
    const p = broadcastStrides(a.shape, out.shape)
    const q = broadcastStrides(b.shape, out.shape)
    walk(out.shape, [p, q], (i, [j, k]) => {
      z[i] = f(x[j], y[k])
    })
  }
  return null
}

/** Visits every element of `shape` in row-major order, with the offsets that each list of strides gives. */
export const walk = (
  shape: Shape,
  strides: readonly (readonly number[])[],
  visit: (i: number, offsets: readonly number[]) => void,
): void => {
  const n = sizeOf(shape)
  const index = new Array<number>(shape.length).fill(0)
  const offsets = strides.map(() => 0)
  for (let i = 0; i < n; i++) {
    visit(i, offsets)
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d]++
      for (let s = 0; s < strides.length; s++) offsets[s] += strides[s][d]
      if (index[d] < shape[d]) break
      for (let s = 0; s < strides.length; s++) offsets[s] -= strides[s][d] * shape[d]
      index[d] = 0
    }
  }
}

/** What a binary element-wise op has of its own, traits (`lanes`, …) among it. */
export type BinarySpec = TraitsOver<readonly [Lane, Lane]> & {
  readonly name: string
  readonly doc: string
  readonly f: (a: number, b: number) => number
  readonly carry: Op['carry']
  readonly guard?: NonNullable<Op['guard']>
  readonly vjp: Op['vjp']
  readonly smooth?: boolean
  readonly examples?: readonly Example[]
}

/** A binary element-wise op with broadcasting. */
export const binary = (spec: BinarySpec): Op => {
  demandArguments(
    'binary',
    { spec },
    { spec: required(shaped('what an op has of its own: { name, doc, f, carry, vjp }', SPEC)) },
  )
  return {
    name: spec.name,
    doc: spec.doc,
    operands: ['a', 'b'],
    attributes: {},
    ...traitsOf(spec),
    shape: broadcasting,
    elementwise: true,
    ...(spec.guard === undefined ? {} : { guard: spec.guard }),
    carry: spec.carry,
    vjp: spec.vjp,
    evaluate: ([a, b], _attrs, out) => evaluateBinary(spec.f, a, b, out),
    examples: spec.examples ?? binaryExamples({}),
    smooth: spec.smooth ?? true,
  }
}

/** No gradient flows (comparisons, rounding): exactly zero paths. */
export const noPath: Vjp = ({ args }) => args.map(() => null)
