/** A declared quant input is checked against what is given: on every backend, on every way in, once per call. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { quantTensorArb } from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('declared quant inputs')

const get = <A>(e: E.Either<q.QuantErrors, A>): A => q.orThrow(e)
const text = (e: E.Either<q.QuantErrors, unknown>): string => (E.isLeft(e) ? q.explainAll(e.left) : '')

const good: q.QuantTensor = {
  kind: 'quant',
  value: q.tensorOf([2, 2], [0.1, -12.8, 12.7, 0]),
  scale: q.scalar(0.1),
  zeroPoint: q.scalar(0),
  bitWidth: q.scalar(8),
  signed: true,
  training: false,
}
const inputOf = (declared: Partial<q.QuantInput> = {}): q.QuantInput =>
  q.quantInput([2, 2], { bits: 8, signed: true, ...declared })
const valueOfIt = q.functionLayer('double', (x: q.Value) => q.add(x, x))
const programOf = (declared: Partial<q.QuantInput> = {}) => get(q.trace(valueOfIt, inputOf(declared), { mode: 'eval' }))

type Case = {
  readonly declared?: Partial<q.QuantInput>
  readonly given: Partial<q.QuantTensor>
  readonly says: RegExp
}
/** Everything in which a quant tensor can differ from its declaration, and the words that must say so. */
const wrong: { readonly [name: string]: Case } = {
  'other bits': { given: { bitWidth: q.scalar(4) }, says: /declared as 8s.*it has 4s/ },
  'other sign': { given: { signed: false }, says: /declared as 8s.*it has 8u/ },
  'a zero point': { given: { zeroPoint: q.scalar(3) }, says: /zero point 0, but element 0 of its zero point is 3/ },
  'half a zero point': {
    declared: { zeroPoint: 'integer' },
    given: { zeroPoint: q.scalar(0.5), value: q.tensorOf([2, 2], [0.05, 0.05, 0.05, 0.05]) },
    says: /whole number in the range of its bits, but element 0 of its zero point is 0\.5/,
  },
  'a zero point out of range': {
    declared: { zeroPoint: 'integer' },
    given: { zeroPoint: q.scalar(200) },
    says: /its zero point is 200/,
  },
  'an infinite zero point': {
    declared: { zeroPoint: 'any', valid: false },
    given: { zeroPoint: q.scalar(Infinity) },
    says: /its zero point is Infinity/,
  },
  'off the grid': {
    given: { value: q.tensorOf([2, 2], [0.1, 0.14, 0, 0]) },
    says: /element 1 is 0\.14.*off the grid: .* = 1\.4/,
  },
  'too large': { given: { value: q.tensorOf([2, 2], [0, 0, 0, 900]) }, says: /element 3 is 900.*beyond -128 … 127/ },
  'too small': { given: { value: q.tensorOf([2, 2], [0, 0, -12.9, 0]) }, says: /element 2 is -12\.9.*beyond/ },
  'a NaN': { given: { value: q.tensorOf([2, 2], [0, NaN, 0, 0]) }, says: /element 1 is NaN/ },
  'an infinity': { given: { value: q.tensorOf([2, 2], [0, -Infinity, 0, 0]) }, says: /element 1 is -Infinity/ },
  'no scale': { given: { scale: q.scalar(0) }, says: /its scale is 0; scales are finite and above 0/ },
  'a negative scale': { given: { scale: q.scalar(-0.1) }, says: /its scale is -0\.1/ },
  'an infinite scale': { given: { scale: q.scalar(Infinity) }, says: /its scale is Infinity/ },
  'no number as scale, and not valid': {
    declared: { valid: false },
    given: { scale: q.scalar(NaN) },
    says: /its scale is NaN/,
  },
  'the wrong channel off the grid': {
    declared: { scaleShape: [2, 1] },
    given: { scale: q.tensorOf([2, 1], [0.1, 0.25]), value: q.tensorOf([2, 2], [0.1, 0.2, 0.25, 0.1]) },
    says: /element 3 is 0\.1.*off the grid/,
  },
  'a scale of another shape': { given: { scale: q.tensorOf([2, 1], [0.1, 0.1]) }, says: /scale.*shape \[2,1\]/ },
  'another shape': { given: { value: q.tensorOf([4], [0, 0, 0, 0]) }, says: /shape \[4\]/ },
}

/** Each way in which a quant tensor gets into a program. */
const ways: {
  readonly [name: string]: (p: q.Program, given: unknown, trusted: boolean) => E.Either<q.QuantErrors, unknown>
} = {
  run: (p, inputs, trusted) => q.run(p, { params: {}, state: {}, inputs }, { trusted }),
  'compiled on the reference': (p, inputs, trusted) =>
    get(q.compile(p, q.reference)).run({ params: {}, state: {}, inputs }, { trusted }),
  'compiled on wasm': (p, inputs, trusted) =>
    get(q.compile(p, q.wasm)).run({ params: {}, state: {}, inputs }, { trusted }),
  resident: (p, inputs, trusted) => get(q.compile(p, q.wasm)).resident({ params: {}, state: {}, inputs }, { trusted }),
  load: (p, inputs, trusted) => {
    const quiet = { params: {}, state: {}, inputs: zeroLike(p) }
    return get(get(q.compile(p, q.wasm)).resident(quiet, { trusted: true })).load(
      { params: {}, state: {}, inputs },
      { trusted },
    )
  },
  explainPlan: (p, inputs, trusted) => (trusted ? E.right(null) : q.explainPlan(p, { params: {}, state: {}, inputs })),
}

/** Something of the shapes that the program wants, whatever else it is. */
const zeroLike = (p: q.Program): q.QuantTensor => {
  const [value, scale, zeroPoint] = p.inputs.map((i) => q.full(i.shape, 0))
  return { ...good, value, scale, zeroPoint }
}

test('what was declared is taken, on every way in', () => {
  for (const [name, way] of Object.entries(ways)) assert.equal(text(way(programOf(), good, false)), '', name)
})

test('what was not declared is refused in words, on every way in, by an InputError', () => {
  for (const [name, c] of Object.entries(wrong))
    for (const [road, way] of Object.entries(ways)) {
      const e = way(programOf(c.declared), { ...good, ...c.given }, false)
      assert.match(text(e), c.says, `${name}, ${road}`)
      if (E.isLeft(e)) assert.ok(e.left.every((x) => x.tag === 'InputError' && x.fix !== ''))
    }
})

test('trusted inputs are believed, but for their shapes', () => {
  const believed = Object.entries(wrong).filter(([name]) => !name.includes('shape'))
  for (const [name, c] of believed)
    for (const [road, way] of Object.entries(ways))
      assert.equal(text(way(programOf(c.declared), { ...good, ...c.given }, true)), '', `${name}, ${road}`)
})

test('a value that was declared as not valid is not looked at; one bit must lie on the grid', () => {
  const run = (declared: Partial<q.QuantInput>, given: Partial<q.QuantTensor>): string =>
    text(q.run(programOf(declared) as q.Program, { params: {}, state: {}, inputs: { ...good, ...given } }))
  const odd = { value: q.tensorOf([2, 2], [0.14, 900, NaN, 0]) }
  assert.equal(run({ valid: false }, odd), '')
  const bit = { bitWidth: q.scalar(1), scale: q.scalar(0.5) }
  assert.equal(run({ bits: 1 }, { ...bit, value: q.tensorOf([2, 2], [0.5, -0.5, 0.5, 0.5]) }), '')
  assert.match(
    run({ bits: 1 }, { ...bit, value: q.tensorOf([2, 2], [0.5, -0.5, 0.2, 0.5]) }),
    /element 2.*off the grid/,
  )
})

test('evaluate and the trainer check each batch, and name the batch’s element', async () => {
  const bad = { ...good, value: q.tensorOf([2, 2], [0.1, 0.14, 0, 0]) }
  const drain = async (trusted: boolean): Promise<string> => {
    const run = q.evaluate(() => E.right(programOf()), [good, bad], {
      params: {},
      state: {},
      inputs: (b: q.QuantTensor) => b,
      trusted,
    })
    let step = await run.next()
    let count = 0
    while (step.done !== true) {
      count++
      step = await run.next()
    }
    return `${count} ${text(step.value)}`
  }
  assert.match(await drain(false), /^1 InputError.*element 1 is 0\.14/)
  assert.equal(await drain(true), '2 ')

  const net = q.QuantLinear({ inFeatures: 2, outFeatures: 2, weightQuant: null })
  const loss = get(
    q.trace(q.withLoss(net, q.crossEntropy), { x: inputOf(), target: q.tensorInput([2]) } as never, { mode: 'train' }),
  )
  const sgd = q.sgd({ lr: 0.1 })
  const start = q.startTraining(get(q.init(net, 0)), sgd)
  const target = q.tensorOf([2], [0, 1])
  for (const backend of [q.reference, q.wasm])
    for (const trusted of [false, true]) {
      const t = get(q.trainer(get(q.grad(loss, { output: 'loss' })), sgd, start as never, backend, { trusted }))
      assert.equal(text(t.step({ x: good, target } as never)), '')
      const e = t.step({ x: bad, target } as never)
      if (trusted) assert.equal(text(e), '')
      else assert.match(text(e), /x \(value\).*element 1 is 0\.14/)
    }
})

test('a declaration that can not be is refused by the trace', () => {
  const problem = (declared: Partial<q.QuantInput>): string =>
    text(q.trace(valueOfIt, inputOf(declared), { mode: 'eval' }))
  assert.match(problem({ bits: 0 }), /its bits are 0/)
  assert.match(problem({ bits: 2.5 }), /its bits are 2\.5/)
  assert.match(problem({ scaleShape: [3, 1] }), /its scale of shape \[3,1\] does not broadcast over \[2,2\]/)
  assert.match(problem({ zeroPointShape: [2, 2, 1] }), /its zero point of shape/)
})

test('stored programs keep the declaration, older ones derive it, and none may claim what no run checks', () => {
  const program = programOf({ zeroPoint: 'integer' })
  const json = q.programToJSON(program as q.Program)
  const parse = (s: string) => q.parseProgram(q.ops)(s)
  assert.equal(get(parse(json)).inputs, program.inputs)
  const older = json.replace(',"zero":"integer","valid":true}', '}')
  assert.ok(older !== json)
  assert.equal(get(parse(older)).inputs, program.inputs)
  const changes: readonly (readonly [string, string])[] = [
    ['"quant":{"bits":8,', '"quant":{"bits":4,'],
    ['"zero":"integer","valid":true}', '"zero":"zero","valid":true}'],
    ['"zero":"integer","valid":true}', '"zero":"integer","valid":false}'],
    ['"part":"scale"', '"part":"tensor"'],
    ['"lo":-128', '"lo":-1'],
    [',"quant":{"bits":8,"signed":true,"training":false,"zero":"integer","valid":true}', ''],
  ]
  for (const [from, to] of changes) {
    assert.ok(json.includes(from), from)
    assert.match(text(parse(json.replace(from, to))), /ParseError/, `${from} → ${to}`)
  }
})

test('drawn quant tensors are what they are declared to be', () =>
  fc.assert(
    fc.property(
      fc
        .record({
          bits: fc.integer({ min: 2, max: 16 }),
          signed: fc.boolean(),
          zero: fc.constantFrom('zero' as const, 'integer' as const),
          scaleShape: fc.constantFrom([], [3, 1], [1, 2]),
        })
        .chain((spec) => fc.tuple(fc.constant(spec), quantTensorArb([3, 2], spec))),
      ([{ bits, signed, zero, scaleShape }, x]) => {
        const declared = q.quantInput([3, 2], { bits, signed, zeroPoint: zero, scaleShape })
        const p = get(q.trace(valueOfIt, declared, { mode: 'eval' }))
        assert.equal(text(q.run(p, { params: {}, state: {}, inputs: x })), '')
      },
    ),
  ))

test('backends agree on products of a quant input that is a little off its grid, or trusted to be on it', () => {
  const conv = q.functionLayer('conv', (x: q.Value, kit) =>
    kit.emit('conv', [x, quantized(kit)], {
      stride: [1, 1],
      padding: [
        [1, 1],
        [1, 1],
      ],
      dilation: [1, 1],
      groups: 1,
    }),
  )
  const quantized = (kit: q.Kit): q.Value =>
    kit.emit('quantize', [kit.constant(0.5, [8, 8, 3, 3]), kit.constant(0.25, []), kit.constant(0, [])], {
      bits: 8,
      signed: true,
      narrow: false,
      rounding: 'ROUND',
      clamp: 'mask',
      training: true,
      zero: 'zero',
    })
  const shape = [1, 8, 8, 8]
  const p = get(q.trace(conv, q.quantInput(shape, { bits: 8, signed: true }), { mode: 'eval' }))
  const plan = get(q.explainPlan(p, { params: {}, state: {}, inputs: { ...good, value: q.zeros(shape) } }))
  assert.equal(
    plan.products.map((x) => x.runsOn),
    ['integers'],
  )
  for (const off of [0, 0.19, 0.4, 300]) {
    const value = q.tensorOf(
      shape,
      Float32Array.from({ length: 512 }, (_, i) => ((i % 100) - 50 + (i % 7 === 0 ? off : 0)) * 0.1),
    )
    const args = { params: {}, state: {}, inputs: { ...good, value } }
    const [a, b] = [q.reference, q.wasm].map((backend) =>
      q.valueOf(get(get(q.compile(p, backend)).run(args, { trusted: off > 0.2 })).outputs),
    )
    const most = Math.max(...a.data.map(Math.abs))
    for (let i = 0; i < a.data.length; i++) assert.ok(Math.abs(a.data[i] - b.data[i]) <= 1e-5 * most, `${off}: ${i}`)
  }
})

test('what is no quant tensor is told once; a declaration that can not be has one error', () => {
  for (const given of [q.zeros([2, 2]), { kind: 'quan' }, [1, 2], 5])
    for (const e of [
      q.run(programOf(), { params: {}, state: {}, inputs: given } as never),
      get(q.compile(programOf(), q.wasm)).run({ params: {}, state: {}, inputs: given } as never),
    ]) {
      assert.ok(E.isLeft(e) && e.left.length === 1, JSON.stringify(given))
      assert.match(
        text(e),
        /data input is (a plain tensor|an object|an array|a number).*: a quant tensor of shape \[2,2\] was declared/,
      )
    }
  for (const declared of [{ bits: 0 }, { scaleShape: [3] }, { zeroPointShape: [3] }]) {
    const e = q.trace(
      q.functionLayer('int', (x: q.Value) => q.int(x)),
      inputOf(declared),
      { mode: 'eval' },
    )
    assert.ok(E.isLeft(e) && e.left.length === 1, JSON.stringify(declared))
    assert.match(text(e), /can't be declared so/)
  }
})

test.run()
