/**
 * Whatever a stored program says, it is refused by a typed error or computes the same on both backends: every op's
 * examples, with other operands, attributes and shapes than they should have.
 */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import { sizeOf, type Shape } from '../../src/data/shape.js'
import type { Tensor } from '../../src/data/tensor.js'
import { reference } from '../../src/evaluator/reference/reference.js'
import { wasm } from '../../src/evaluator/wasm/wasm.js'
import type { Backend } from '../../src/evaluator/backend.js'
import type { Attr, Attrs, Example, Op } from '../../src/graph/op.js'
import { isRefusal } from '../../src/graph/op.js'
import { shapeOfCall } from '../../src/graph/signature.js'
import {
  add,
  apply,
  chain,
  compile,
  functionLayer,
  init,
  ops,
  parseProgram,
  programToJSON,
  QuantConv2d,
  QuantIdentity,
  QuantReLU,
  roundSte,
  sum,
  surrogate,
  tensorInput,
  trace,
  unary,
  vjp,
  type Program,
  type QuantErrors,
  type Value,
} from '../../src/index.js'
import { finite } from '../../src/graph/attr.js'
import { primitiveOps } from '../../src/ops/index.js'
import { toHtml } from '../../viz/index.js'
import { suite } from '../support/suite.js'

const test = suite('stored programs')
const vjpOf = (p: Program) => vjp(p, { inputs: true })

/** One call of an op, as it could stand in a file. */
type Call = {
  readonly op: string
  readonly shapes: readonly Shape[]
  readonly use: readonly number[]
  readonly attrs: { readonly [name: string]: unknown }
  readonly shape: Shape
}

/** A stored program of one call, its operands being data. */
const stored = ({ op, shapes, use, attrs, shape }: Call): string => {
  const inputs = shapes.map((_, i) => i)
  const n = shapes.length
  return JSON.stringify({
    format: 'quantrace-program',
    version: 1,
    mode: 'train',
    strict: false,
    inputs: shapes.map((s, i) => ({
      kind: 'data',
      path: String(i),
      node: i,
      shape: s,
      learned: false,
      part: 'tensor',
    })),
    outputs: [{ kind: 'result', path: '', node: n }],
    structure: { data: inputs, params: {}, state: {}, results: 0, nextState: {}, grads: null },
    graph: {
      nodes: [
        ...shapes.map((s, i) => ({ op: 'input', in: [], shape: s, attrs: { kind: 'data', name: String(i) } })),
        { op, in: use, shape, attrs },
      ],
      inputs,
      outputs: [n],
    },
  })
}

const shapeFor = (op: Op, shapes: readonly Shape[], attrs: { readonly [name: string]: unknown }): Shape => {
  const shape = shapeOfCall(op, shapes, attrs as Attrs)
  return isRefusal(shape) ? [] : shape
}

const callOf = (op: Op, e: Example): Call => {
  const shapes = e.args.map((a) => a.shape)
  return { op: op.name, shapes, use: shapes.map((_, i) => i), attrs: e.attrs, shape: shapeFor(op, shapes, e.attrs) }
}

/** JSON that most attributes may not be. */
const ODD: readonly unknown[] = [-1, 0, 0.5, 2, 1e9, 2 ** 31, 'x', true, null, [], [-1], [[1]], {}, { $: 'NaN' }]

/** An attribute, and each of its entries, made something else. */
const variants = (a: Attr): readonly unknown[] => [
  ...ODD,
  ...(Array.isArray(a)
    ? [
        [...a, ...a.slice(0, 1)],
        a.slice(1),
        ...a.flatMap((x: Attr, i: number) =>
          (Array.isArray(x) ? variants(x) : ODD).map((y) => a.map((z: Attr, j: number) => (i === j ? y : z))),
        ),
      ]
    : []),
]

const otherShapes = (s: Shape): readonly Shape[] => [
  [...s, 2],
  s.slice(1),
  [0, ...s.slice(1)],
  [...s.slice(0, -1), (s[s.length - 1] ?? 1) + 1],
  ...(s.length > 1 ? [[...s].reverse()] : []),
]

const withAttr = (attrs: Call['attrs'], name: string, value: unknown): Call['attrs'] => ({ ...attrs, [name]: value })

/** The call with one thing wrong. */
const mutants = (op: Op, call: Call): readonly Call[] => {
  const { shapes, use, attrs } = call
  const reshaped = shapes.flatMap((s, i) => otherShapes(s).map((other) => shapes.map((t, j) => (i === j ? other : t))))
  const spoiled = Object.entries(attrs).flatMap(([name, a]) =>
    variants(a as Attr).map((value) => withAttr(attrs, name, value)),
  )
  return [
    { ...call, use: use.slice(1) },
    { ...call, use: use.slice(0, -1) },
    { ...call, use: [...use, 0] },
    { ...call, use: [] },
    { ...call, use: [...use].reverse() },
    ...reshaped.map((s) => ({ ...call, shapes: s, shape: shapeFor(op, s, attrs) })),
    ...Object.keys(attrs).map((name) => ({
      ...call,
      attrs: Object.fromEntries(Object.entries(attrs).filter(([k]) => k !== name)),
    })),
    { ...call, attrs: withAttr(attrs, 'unheardOf', 1) },
    ...spoiled.map((a) => ({ ...call, attrs: a, shape: shapeFor(op, shapes, a) })),
  ]
}

/** Small numbers with a few ties, in the range of the example. */
const filled = (shape: Shape, e: Example['args'][number] | undefined): Tensor => {
  const [lo, hi] = e?.range ?? [-3, 3]
  return {
    shape,
    data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => lo + ((hi - lo) * ((i * 7) % 13)) / 12),
  }
}

type Ran = E.Either<QuantErrors, Float32Array>

const ranOn = (program: Program, backend: Backend, inputs: readonly Tensor[]): Ran => {
  const args = { params: {}, state: {}, inputs }
  const compiled = compile(program, backend)
  if (E.isLeft(compiled)) return compiled
  const ran = compiled.right.run(args as never)
  compiled.right.dispose()
  return E.map((r: { readonly outputs: unknown }) => (r.outputs as Tensor).data)(ran)
}

/** Sums may be added in another order: the last bits may differ. */
const near = (a: number, b: number): boolean =>
  Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-4 * (1 + Math.abs(a) + Math.abs(b))

const disagreement = (a: Ran, b: Ran): string | null => {
  if (E.isLeft(a) || E.isLeft(b))
    return E.isLeft(a) && E.isLeft(b) ? null : `${a._tag} on the reference, ${b._tag} on wasm`
  const at = a.right.findIndex((x, i) => !near(x, b.right[i]))
  return a.right.length === b.right.length && at < 0
    ? null
    : `element ${at} is ${a.right[at]} on the reference and ${b.right[at]} on wasm`
}

const parse = parseProgram(ops)

/** What a stored call does that it may not, or null; `ran` says whether it was accepted. */
const wrongWith = (call: Call, e: Example): { readonly accepted: boolean; readonly wrong: string | null } => {
  try {
    const program = parse(stored(call))
    if (E.isLeft(program))
      return { accepted: false, wrong: program.left[0].tag === 'ParseError' ? null : program.left[0].tag }
    const inputs = call.shapes.map((s, i) => filled(s, e.args[i]))
    const wrong = disagreement(ranOn(program.right, reference, inputs), ranOn(program.right, wasm, inputs))
    return { accepted: true, wrong }
  } catch (error) {
    return { accepted: true, wrong: `threw ${String(error)}` }
  }
}

const shown = ({ op, shapes, use, attrs }: Call): string =>
  `${op} ${use.map((i) => `[${String(shapes[i])}]`).join(' ')} ${JSON.stringify(attrs)}`

test(
  'every example of every op, with one thing wrong: a ParseError, or the same numbers on both backends',
  () => {
    const faults: string[] = []
    const count = { tried: 0, accepted: 0 }
    for (const op of primitiveOps)
      for (const e of op.examples)
        for (const call of mutants(op, callOf(op, e))) {
          const { accepted, wrong } = wrongWith(call, e)
          count.tried++
          if (accepted) count.accepted++
          if (wrong !== null) faults.push(`${shown(call)}: ${wrong}`)
        }
    if (faults.length > 0) throw new Error(`${faults.length} of ${count.tried}:\n${faults.slice(0, 40).join('\n')}`)
    assert.ok(count.tried > 10_000 && count.accepted > 1000, `${count.tried} tried, ${count.accepted} accepted`)
  },
  { timeout: 120_000 },
)

/** All numbers of a run's results, in order. */
const numbersOf = (x: unknown): readonly number[] =>
  typeof x !== 'object' || x === null
    ? []
    : 'data' in x && x.data instanceof Float32Array
      ? [...x.data]
      : Object.values(x).flatMap(numbersOf)

/** A net of two products on integers, a bias and a claim, its arguments, and its stored text. */
const quantized = () => {
  const net = chain({
    quant: QuantIdentity({ returnQuantTensor: true }),
    conv: QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 3, padding: 1, returnQuantTensor: true }),
    act: QuantReLU({ returnQuantTensor: true }),
    last: QuantConv2d({ inChannels: 2, outChannels: 1, kernelSize: 1, bias: false }),
  })
  const first = init(net, 0)
  const program = E.chain(vjpOf)(trace(net, tensorInput([1, 2, 4, 4]), { mode: 'eval' }))
  if (E.isLeft(first) || E.isLeft(program)) throw new Error('the net can not be traced')
  const x = { shape: [1, 2, 4, 4], data: Float32Array.from({ length: 32 }, (_, i) => ((i * 7) % 13) / 4 - 1.5) }
  const { params, state } = first.right
  const cotangent = { shape: [1, 1, 4, 4], data: new Float32Array(16).fill(0.5) }
  return { text: programToJSON(program.right), args: { params, state, inputs: { inputs: x, cotangent } } }
}

/** The text with one number of one claim moved by `by`, or undefined where the claim has no such number. */
const withClaim = (text: string, node: number, key: string, by: number): string | undefined => {
  const program = JSON.parse(text)
  const quant = program.graph.nodes[node]?.carried?.quant
  if (typeof quant?.[key] !== 'number') return undefined
  quant[key] += by
  return JSON.stringify(program)
}

test(
  'claims that the rules do not confirm never change numbers, and pages of what was read can be drawn',
  () => {
    const { text, args } = quantized()
    const nodes: number = JSON.parse(text).graph.nodes.length
    let accepted = 0
    for (const key of ['scale', 'zeroPoint', 'bitWidth', 'bits', 'lo', 'hi'])
      for (const by of [-3, -1, 1, 2])
        for (let node = 0; node < nodes; node++) {
          const changed = withClaim(text, node, key, by)
          const program = changed === undefined ? undefined : parse(changed)
          if (program === undefined || E.isLeft(program)) continue
          const [a, b] = [reference, wasm].map((backend) => {
            const compiled = compile(program.right, backend)
            return numbersOf(E.isRight(compiled) ? compiled.right.run(args as never) : compiled)
          })
          assert.ok(
            a.length > 0 && a.length === b.length && a.every((v, i) => near(v, b[i])),
            `${key} of ${node} by ${by}`,
          )
          accepted++
          if (accepted % 20 === 0) toHtml(program.right)
        }
    assert.ok(accepted > 20)
  },
  { timeout: 120_000 },
)

/** What a trace says of the same call. */
const tracedError = (op: Op, shapes: readonly Shape[], attrs: unknown): string => {
  const layer = functionLayer('call', (xs: readonly Value[]) => apply(op, xs, attrs as Attrs))
  const traced = trace(layer, shapes.map((s) => tensorInput(s)) as never, { mode: 'eval' })
  return E.isLeft(traced) ? traced.left.map((e) => `${e.tag} ${e.message}`).join('; ') : 'accepted'
}

const parseMessage = (call: Call): string => {
  const program = parse(stored(call))
  return E.isLeft(program) ? program.left[0].message : 'accepted'
}

test('a trace and a file are refused in the same words', () => {
  const quant = { bits: 4, signed: true, narrow: false, rounding: 'ROUND', clamp: 'mask', training: true, zero: 'zero' }
  const calls: readonly (readonly [string, readonly Shape[], unknown, RegExp])[] = [
    ['mul', [[2]], {}, /mul: it takes 2 operands \(a, b\), and was given 1 operand/],
    ['relu', [[2], [2]], {}, /relu: it takes 1 operand \(x\), and was given 2 operands/],
    ['clamp', [[2]], { mini: 0, max: 1 }, /clamp: it needs min: a finite number, or null/],
    ['clamp', [[2]], { min: 0, max: 1, mx: 2 }, /clamp: it has no attribute "mx"/],
    ['quantize', [[2], [], []], { ...quant, rounding: 'X' }, /quantize: rounding is "X"; it must be one of "ROUND", /],
    ['quantize', [[2], [], []], { ...quant, signed: 2 }, /quantize: signed is 2; it must be true or false/],
    [
      'quantize',
      [[2], [], []],
      { ...quant, bits: [-1] },
      /quantize: bits is \[-1\]; it must be a whole number from 1 to 32/,
    ],
    [
      'sum',
      [[2, 3]],
      { dims: [1.5], keepdim: true },
      /sum: dims is \[1.5\]; it must be a list, each entry a whole number/,
    ],
  ]
  for (const [name, shapes, attrs, words] of calls) {
    assert.match(tracedError(ops[name], shapes, attrs), words)
    const call = { op: name, shapes, use: shapes.map((_, i) => i), attrs: attrs as Call['attrs'], shape: shapes[0] }
    assert.match(parseMessage(call), words)
  }
  for (const attrs of [
    { min: undefined, max: 1 },
    { min: NaN, max: 1 },
    { min: 0, max: () => 1 },
  ])
    assert.match(tracedError(ops.clamp, [[2]], attrs), /ConfigError clamp: /)
})

test("the place in the file is the attribute's", () => {
  const { program } = {
    program: parse(stored(callOf(ops.pad, { ...ops.pad.examples[0], attrs: { pad: 1, mode: 'x', value: 0 } }))),
  }
  assert.ok(
    E.isLeft(program) && program.left[0].tag === 'ParseError' && program.left[0].where === 'graph.nodes[1].attrs.pad',
  )
})

test("a user's op is held to its schema; without one, to plain JSON and the attributes that its examples have", () => {
  const spec = { name: 'scaleBy', doc: 'x times a factor.', f: (x: number, a: { readonly by: number }) => x * a.by }
  const rules = { carry: ops.neg.carry, vjp: { none: 'not needed' }, attrs: { by: 2 } }
  const strict = unary({ ...spec, ...rules, attributes: { by: finite } })
  const loose = unary({ ...spec, ...rules })
  const bare: Op = { ...ops.concat, name: 'bare', shape: ([x]) => x }
  const { operands: _o, attributes: _a, ...open } = bare
  assert.match(tracedError(strict, [[2]], { by: '2' }), /scaleBy: by is "2"; it must be a finite number/)
  assert.match(tracedError(strict, [[2]], { by: 2, of: 1 }), /scaleBy: it has no attribute "of"/)
  assert.match(tracedError(loose, [[2]], {}), /scaleBy: it needs by/)
  assert.match(tracedError(loose, [[2]], { by: 2n }), /scaleBy: by is 2; it must be JSON/)
  assert.match(tracedError(loose, [[2]], { by: () => 2 }), /it must be JSON/)
  assert.is(tracedError(loose, [[2]], { by: 2, of: [1, null] }), 'accepted')
  assert.match(tracedError(loose, [[2], [2]], { by: 2 }), /it takes 1 operand/)
  assert.is(tracedError(open, [[2], [2], [2], [2]], { dim: 0 }), 'accepted')
})

test('a surrogate made twice is one op; one of another gradient is another', () => {
  const made = () => surrogate(ops.round, ops.tanh)
  const twice = functionLayer('twice', (x: Value) => apply(made(), [apply(made(), [x])]))
  assert.ok(E.isRight(trace(twice, tensorInput([3]), { mode: 'eval' })))
  const shared = functionLayer('shared', (x: Value) => add(apply(made(), [x]), apply(made(), [x])))
  const program = trace(shared, tensorInput([3]), { mode: 'eval' })
  assert.is(E.isRight(program) && program.right.graph.nodes.length, 3)
  const other: Op = { ...made(), backward: ops.sigmoid }
  const mixed = functionLayer('mixed', (x: Value) => apply(other, [apply(made(), [x])]))
  assert.match(E.isLeft(trace(mixed, tensorInput([3]), { mode: 'eval' })) ? 'refused' : 'accepted', /refused/)
  const again = functionLayer('again', (x: Value) => apply(surrogate(ops.round, ops.identity), [roundSte(x)]))
  assert.ok(E.isRight(trace(again, tensorInput([3]), { mode: 'eval' })))
})

test('a surrogate takes the attributes of both, and hands each its own', () => {
  const hard = surrogate(ops.binarySign, ops.hardtanh)
  assert.is(tracedError(hard, [[3]], { minVal: -1, maxVal: 1 }), 'accepted')
  assert.match(tracedError(hard, [[3]], { minVal: -1 }), /it needs maxVal/)
  const bounded = surrogate(ops.clamp, ops.tanh)
  const layer = functionLayer('bounded', (x: Value) => sum(apply(bounded, [x], { min: 0, max: 1 })))
  const program = E.chain(vjpOf)(trace(layer, tensorInput([3]), { mode: 'train' }))
  assert.ok(E.isRight(program))
})

test.run()
