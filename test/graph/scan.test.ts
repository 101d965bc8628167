/** Loops: equal to the unrolled program in values, gradients, state and metadata; on every backend; printed, stored, written out. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { quantOf } from '../../src/data/quant.js'
import { leaves } from '../../src/data/tree.js'
import { isValue } from '../../src/graph/trace.js'
import type { Kit, Scanned, Value } from '../../src/graph/op.js'
import { suite } from '../support/suite.js'

const test = suite('scan')
type Body = (carry: readonly Value[], xs: readonly Value[], kit: Kit) => Scanned
/** Runs a body over steps, as a loop or one by one. */
type Run = (carry: readonly Value[], xs: readonly Value[], kit: Kit, body: Body) => Scanned

/** The same loop, step by step. */
const unrolled =
  (reverse: boolean): Run =>
  (carry, xs, kit, body) => {
    const [length] = xs[0].shape
    let now = carry
    const ys: Value[][] = []
    for (let k = 0; k < length; k++) {
      const t = reverse ? length - 1 - k : k
      const rows = xs.map((x) => q.reshape(kit.emit('slice', [x], { dim: 0, start: t, end: t + 1 }), x.shape.slice(1)))
      const out = body(now, rows, kit)
      now = out.carry
      out.ys.forEach((y, i) => ((ys[i] ??= [])[t] = q.reshape(y, [1, ...y.shape])))
    }
    return { carry: now, ys: ys.map((y) => q.cat(y, 0)) }
  }
const looped =
  (options: q.ScanOptions): Run =>
  (carry, xs, kit, body) => {
    const step = (c: readonly Value[], x: readonly Value[]): readonly [readonly Value[], readonly Value[]] => {
      const out = body(c, x, kit)
      return [out.carry, out.ys]
    }
    const [last, ys] = q.scan(step, carry, xs, options)
    return { carry: last, ys }
  }

const act = q.QuantIdentity({ returnQuantTensor: true, collectStatsSteps: 2 })
type Program = {
  readonly seed: number
  readonly ops: readonly number[]
  readonly steps: number
  readonly reverse: boolean
  readonly checkpoint: number | null
  /** The hidden state goes round as a quant tensor. */
  readonly quantCarry: boolean
  readonly mode: 'train' | 'eval'
}

/** The leaves of a quantizer's state, in order. */
const leavesOfState = (state: unknown): readonly Value[] => leaves(isValue, state).map((l) => l.leaf)

type Shared = {
  readonly w: Value
  readonly actState: (leaves: readonly Value[]) => never
  readonly inner: Run
}

/** A random body over two carries, a slice, a shared weight and a quantizer whose state goes round. */
const bodyOf =
  ({ ops, quantCarry }: Program, { w, actState, inner }: Shared): Body =>
  ([a, b, ...state], [x], kit) => {
    let [h, c] = [a, b]
    let now: readonly Value[] = state
    const y: Value[] = []
    const quantize = (v: Value): Value => {
      const [out, after] = act.apply({} as never, actState(now), v, kit)
      now = leavesOfState(after)
      return out
    }
    for (const op of ops) {
      if (op === 0) h = kit.emit('tanh', [kit.emit('add', [kit.emit('linear', [h, w]), x])])
      else if (op === 1) c = kit.emit('mul', [c, kit.emit('sigmoid', [h])])
      else if (op === 2) [h, c] = [c, h]
      else if (op === 3) h = kit.emit('add', [q.dequantize(h), kit.emit('mul', [x, c])])
      else if (op === 4) y.push(kit.emit('abs', [h]))
      else if (op === 5) c = kit.emit('mul', [c, q.mean(kit.emit('tanh', [w]))])
      else if (op === 6)
        c = inner([c], [x], kit, ([k], [row]) => ({ carry: [kit.emit('tanh', [q.add(k, row)])], ys: [] })).carry[0]
      else if (op === 7) y.push(q.relu(h))
      else h = quantize(h)
    }
    const back = quantCarry ? quantize(h) : q.dequantize(h)
    return { carry: [back, q.dequantize(c), ...now.map((v) => q.dequantize(v))], ys: [h, ...y] }
  }

const netOf = (p: Program, loop: boolean) => ({
  ...act,
  layer: 'loop',
  params: { w: { shape: [2, 2], learned: true, init: (g: q.Generator) => q.randn([2, 2])(g) } },
  apply: (params: { w: Value }, s: q.Traced<q.StateOf<typeof act>>, io: { x: Value; h: Value }, kit: Kit) => {
    const { scale } = s.actQuant as unknown as { scale: { [k: string]: Value } }
    const names = Object.keys(scale)
    const stateOf = (leaves: readonly Value[]) =>
      ({ inputQuant: {}, actQuant: { scale: Object.fromEntries(names.map((n, i) => [n, leaves[i]])) } }) as never
    const { reverse, checkpoint } = p
    const run = loop ? looped({ reverse, ...(checkpoint === null ? {} : { checkpoint }) }) : unrolled(reverse)
    const shared = { w: params.w, actState: stateOf, inner: loop ? looped({}) : unrolled(false) }
    const [first, begun] = p.quantCarry ? act.apply({} as never, s as never, io.h, kit) : [io.h, s]
    const out = run([first, io.h, ...leavesOfState(begun)], [io.x], kit, bodyOf(p, shared))
    const sums = [...out.ys, out.carry[0], out.carry[1]].map((v) => q.sum(q.mul(q.dequantize(v), q.dequantize(v))))
    // The mean scale of a stack in parts that are not alike is another one: parts weigh alike.
    const uneven = checkpoint !== null && checkpoint < p.steps && p.steps % checkpoint > 0
    const y = uneven ? q.dequantize(out.ys[0]) : out.ys[0]
    return [
      { loss: sums.reduce((m, v) => q.add(m, v)), y, h: out.carry[0], c: out.carry[1] },
      stateOf(out.carry.slice(2)),
    ]
  },
})

const QUANTIZER = 8
const programsOf = (ops: number): fc.Arbitrary<Program> =>
  fc.record({
    seed: fc.nat(1000),
    ops: fc.array(fc.nat(ops), { minLength: 1, maxLength: 6 }),
    steps: fc.integer({ min: 1, max: 5 }),
    reverse: fc.boolean(),
    checkpoint: fc.option(fc.integer({ min: 1, max: 4 })),
    quantCarry: ops < QUANTIZER ? fc.constant(false) : fc.boolean(),
    mode: fc.constantFrom('train', 'eval'),
  })
const programs = programsOf(QUANTIZER)

const near = (a: q.Tensor, b: q.Tensor, what: string): void => {
  assert.deepEqual(a.shape, b.shape, what)
  a.data.forEach((x, i) =>
    assert.ok(
      Math.abs(x - b.data[i]) <= 1e-4 * (1 + Math.abs(x)) || Object.is(x, b.data[i]),
      `${what}[${i}]: ${x} and ${b.data[i]}`,
    ),
  )
}
const leavesOf = (tree: unknown, path = ''): readonly (readonly [string, q.Tensor])[] =>
  typeof tree !== 'object' || tree === null
    ? []
    : 'data' in tree && 'shape' in tree
      ? [[path, tree as q.Tensor]]
      : Object.entries(tree).flatMap(([k, v]) => leavesOf(v, `${path}.${k}`))

const sameAs = (p: Program, backend: q.Backend, order: 1 | 2): void => {
  const ran = [false, true].map((loop) => {
    const net = netOf(p, loop) as unknown as q.Layer
    const { params, state } = q.orThrow(q.init(net, p.seed))
    const inputs = { x: q.tensorInput([p.steps, 2, 2]), h: q.tensorInput([2, 2]) }
    const traced = q.orThrow(q.trace(net, inputs as never, { mode: p.mode }))
    const once = q.orThrow(q.grad(traced, { output: 'loss', inputs: true }))
    const program = order === 1 ? once : q.orThrow(q.vjp(once, { output: 'grads.params.w' }))
    const x = q.randn([p.steps, 2, 2])(q.manualSeed(p.seed))[0]
    const data = { x, h: q.randn([2, 2])(q.manualSeed(p.seed + 1))[0] }
    const args = order === 1 ? data : { inputs: data, cotangent: q.full([2, 2], 1) }
    const out = q.orThrow(
      q.orThrow(q.compile(program as q.Program, backend)).run({ params, state, inputs: args } as never),
    )
    const results = traced.outputs.filter((o) => o.kind === 'result')
    return { out, carried: results.map((o) => traced.graph.nodes[o.node].carried) }
  })
  const [a, b] = ran
  a.carried.forEach((c, i) => {
    const [m, n] = [quantOf(c), quantOf(b.carried[i])]
    assert.deepEqual([m?.bits, m?.signed, m?.training], [n?.bits, n?.signed, n?.training])
  })
  const [left, right] = [leavesOf(a.out), leavesOf(b.out)]
  assert.deepEqual(
    left.map((l) => l[0]),
    right.map((l) => l[0]),
  )
  left.forEach(([path, t], i) => near(t, right[i][1], path))
}

/** How many random bodies: SCAN_BODIES=1000 for the whole law, which takes minutes. */
const BODIES = Number(process.env.SCAN_BODIES ?? 0)
const runs = (usual: number) => ({ numRuns: BODIES > 0 ? BODIES : usual })

test('a loop equals its unrolled program on random bodies: values, gradients, state, metadata', () => {
  fc.assert(
    fc.property(programs, (p) => sameAs(p, q.reference, 1)),
    runs(60),
  )
})
test('the same on WebAssembly', () => {
  fc.assert(
    fc.property(programs, (p) => sameAs(p, q.wasm, 1)),
    runs(12),
  )
})
test('second order, where the ops have one: quantizers have none', () => {
  fc.assert(
    fc.property(programsOf(QUANTIZER - 1), (p) => sameAs(p, q.reference, 2)),
    runs(15),
  )
})

test('a carry that changes its shape is refused, with path and fix', () => {
  const net = q.functionLayer('grows', (x: Value, kit: Kit) => {
    const body: Body = ([h], _xs, k) => ({ carry: [k.emit('concat', [h, h], { dim: 0 })], ys: [] })
    return kit.scoped('cell', () => kit.scan({ carry: [x], xs: [], length: 2, body })).carry[0]
  })
  const traced = q.trace(net, q.tensorInput([2, 3]), { mode: 'eval' })
  assert.equal(traced._tag, 'Left')
  const [error] = traced._tag === 'Left' ? traced.left : []
  assert.match(error.message, /carry 0 has shape \[2,3\], but the body hands it back as \[4,3\]/)
  assert.equal(error.path, 'cell')
})

test('a recurrent layer is stored, read, printed and specialized as a loop', () => {
  const net = q.QuantRNN({ inputSize: 3, hiddenSize: 2 })
  const { params, state } = q.orThrow(q.init(net, 0))
  const inputs = { x: q.tensorInput([4, 2, 3]) }
  const program = q.orThrow(q.trace(net, inputs as never, { mode: 'eval' })) as unknown as q.Program
  assert.match(q.printProgram(program), /scan\[carries=1 xs=1 length=4/)
  const again = q.orThrow(q.parseProgram(q.ops)(q.programToJSON(program)))
  const x = q.randn([4, 2, 3])(q.manualSeed(1))[0]
  const run = (p: q.Program, a: unknown) => leavesOf(q.orThrow(q.run(p, a as never)).outputs)
  const expected = run(program, { params, state, inputs: { x } })
  run(again, { params, state, inputs: { x } }).forEach(([path, t], i) => near(expected[i][1], t, path))
  for (const unroll of [false, true]) {
    const fixed = q.orThrow(q.specialize(program, { params, state }, { unroll }))
    assert.equal(
      fixed.program.graph.nodes.some((n) => n.op.name === 'scan'),
      !unroll,
    )
    const own = run(fixed.program as unknown as q.Program, { params: fixed.constants, state: {}, inputs: { x } })
    own.forEach(([path, t], i) => near(expected[i][1], t, path))
  }
})

test.run()
