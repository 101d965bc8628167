/** What is too large is refused before anything is allocated for it: at once, by an error that tells the bytes, on every way in. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { specializeProgram } from '../../src/graph/specialize.js'
import { knownValues } from '../../viz/known.js'
import { suite } from '../support/suite.js'

const test = suite('absurd sizes')

/** Refusals take no time: nothing was tried. */
const AT_ONCE_MS = 1000

/** The text of a refusal, from a value or an exception of ours. */
const refusal = (name: string, f: () => unknown): string => {
  const began = performance.now()
  try {
    const made = f() as E.Either<q.QuantErrors, unknown>
    if (E.isRight(made)) throw new Error(`${name} was accepted`)
    return q.explainAll(made.left)
  } catch (e) {
    if (!(e instanceof Error) || e.name !== 'QuantFailure') throw e
    return e.message
  } finally {
    assert.ok(performance.now() - began < AT_ONCE_MS, `${name} took ${performance.now() - began} ms`)
  }
}

const sizes = [2 ** 31, 2 ** 33, 2 ** 40, 2 ** 50]
const seed = q.manualSeed(0)

test('tensors', () => {
  for (const n of sizes) {
    const makers: { readonly [name: string]: () => unknown } = {
      zeros: () => q.zeros([2, n]),
      full: () => q.full([n], 1),
      randn: () => q.randn([n])(seed),
      rand: () => q.rand([n])(seed),
      uniform: () => q.uniform(0, 1, [n])(seed),
    }
    for (const [name, make] of Object.entries(makers)) assert.match(refusal(`${name} ${n}`, make), /[GTPE]iB/)
  }
})

test('layers', () => {
  const layers = [
    q.QuantLinear({ inFeatures: 2 ** 40, outFeatures: 2 }),
    q.QuantConv2d({ inChannels: 2 ** 20, outChannels: 2 ** 20, kernelSize: 3 }),
    q.BatchNorm2d({ numFeatures: 2 ** 40 }),
  ]
  for (const layer of layers)
    assert.match(
      refusal(layer.layer, () => q.init(layer as q.Layer<unknown, unknown>, 0)),
      /[TP]iB/,
    )
})

const ALL = { dims: [0, 1, 2, 3], keepdim: false }

/** Programs that grow beyond any memory: at the input, in between, at the end, and in a phase. */
const programs = (n: number): { readonly [name: string]: q.Program } => {
  const emit = (x: q.Value, op: string, args: readonly q.Value[], attrs: q.Attrs): q.Value =>
    x.kit.apply(q.ops[op], args, attrs)
  const spread = (x: q.Value): q.Value => emit(x, 'broadcastTo', [x], { shape: [1, 1, 2 ** 16, n / 2 ** 16] })
  const traced = (shape: readonly number[], f: (x: q.Value) => q.Value): q.Program =>
    q.orThrow(q.trace(q.functionLayer('f', f), q.tensorInput(shape), { mode: 'eval' }))
  return {
    'at the end': traced([1], spread),
    'in between': traced([1], (x) => emit(x, 'sum', [spread(x)], ALL)),
    'into a kernel': traced([1], (x) => {
      const wide = emit(x, 'broadcastTo', [x], { shape: [1, 1, n / 4, 4] })
      return emit(x, 'sum', [emit(x, 'linear', [wide, emit(x, 'broadcastTo', [x], { shape: [3, 4] })], {})], ALL)
    }),
  }
}

test('programs, on every way in and every backend', () => {
  const args = { params: {}, state: {}, inputs: q.zeros([1]) }
  for (const n of [2 ** 31, 2 ** 40])
    for (const [name, p] of Object.entries(programs(n))) {
      const ways: { readonly [way: string]: () => unknown } = {
        run: () => q.run(p, args),
        explainPlan: () => q.explainPlan(p, args),
        profile: () => q.profile(p, args),
        knownValues: () => knownValues(p, { params: {}, state: {} }),
        specialize: () => specializeProgram(p, { params: {}, state: {} }, q.ops),
      }
      for (const [way, f] of Object.entries(ways)) assert.match(refusal(`${way}, ${name} ${n}`, f), /[GT]iB/)
      for (const backend of [q.reference, q.wasm]) {
        const compiled = q.orThrow(q.compile(p, backend))
        const executable = q.orThrow(backend.prepare(p))
        const each = {
          'compiled run': () => compiled.run(args),
          resident: () => compiled.resident(args),
          'backend resident': () => executable.resident(),
        }
        for (const [way, f] of Object.entries(each)) {
          const text = refusal(`${way}, ${name} ${n}, ${backend.name}`, f)
          assert.match(text, /BackendError/)
          assert.match(text, /[GT]iB/)
        }
      }
    }
})

test('an input of an absurd shape: what is given does not fit, which is found first', async () => {
  const p = q.orThrow(q.trace(q.ReLU(), q.tensorInput([2 ** 40]), { mode: 'eval' }))
  const args = { params: {}, state: {}, inputs: q.zeros([1]) }
  for (const backend of [q.reference, q.wasm]) {
    const compiled = q.orThrow(q.compile(p, backend))
    for (const way of [() => compiled.run(args), () => compiled.resident(args)])
      assert.match(refusal(backend.name, way), /InputError.*\[1099511627776\] was traced/)
    assert.match(
      refusal(backend.name, () => q.orThrow(backend.prepare(p as q.Program)).resident()),
      /BackendError.*4\.0 TiB/,
    )
    const events = q.evaluate(() => E.right(p), [q.zeros([1])], { ...args, inputs: (x: q.Tensor) => x, backend })
    const first = await events.next()
    assert.match(
      refusal('evaluate', () => first.value),
      /InputError/,
    )
  }
})

test.run()
