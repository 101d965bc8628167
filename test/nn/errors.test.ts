/** Misconfiguration: found at trace time, all at once, with path and fix; and what a run refuses or warns of. */
import * as q from '../../src/index.js'
import { errorsOf, get, same, says } from './support.js'
import { suite } from '../support/suite.js'

const test = suite('nn: errors')

const x4 = q.tensorInput([2, 4])
const messages = (errors: q.QuantErrors): string => errors.map((e) => `${e.path}: ${e.message}`).join('\n')
const withFixes = (errors: q.QuantErrors): void =>
  same(
    errors.every((e) => e.fix !== ''),
    true,
  )

test('all errors of a trace are reported at once, each with its path', () => {
  const net = q.model(
    {
      gate: q.QuantSigmoid({ actQuant: null, returnQuantTensor: true }),
      block: q.chain({ fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2, bias: false }) }),
      out: q.QuantIdentity(),
    },
    (layers, params, state, x: q.Value) => {
      const [a, gate] = layers.gate(params.gate, state.gate, x)
      const [b, block] = layers.block(params.block, state.block, x)
      const [c, out] = layers.out(params.out, state.out, q.add(a, b))
      return [c, { gate, block, out }]
    },
  )
  const errors = errorsOf(q.trace(net, x4, { mode: 'train' }))
  same(
    errors.map((e) => [e.tag, e.path]),
    [
      ['LayerError', 'gate'],
      ['ShapeError', 'block.fc'],
    ],
  )
  says(errors[0].message, /QuantLayer is not correctly configured.*QuantSigmoid/)
  says(errors[1].message, /linear/)
  withFixes(errors)
})

test('what follows a failed op is silent', () => {
  const net = q.functionLayer('f', (x: q.Value) => q.relu(q.add(q.matmul(x, x), 1)))
  same(errorsOf(q.trace(net, x4, { mode: 'train' })).length, 1)
})

test('problems of options are gathered from the whole tree before anything is traced', () => {
  const net = q.chain({
    a: q.QuantReLU({ bitWidth: 0 }),
    b: q.chain({ c: q.QuantIdentity({ collectStatsSteps: 0, highPercentileQ: 101 }) }),
  })
  for (const errors of [errorsOf(q.init(net, 0)), errorsOf(q.trace(net, x4, { mode: 'train' }))]) {
    same(
      errors.map((e) => [e.path, e.tag === 'ConfigError' ? e.option : '']),
      [
        ['a', 'bitWidth'],
        ['b.c', 'highPercentileQ'],
        ['b.c', 'collectStatsSteps'],
      ],
    )
    withFixes(errors)
  }
})

test('an unknown option suggests the right name', () => {
  // @ts-expect-error no such option
  const typo = q.QuantReLU({ bitWdith: 4 })
  // @ts-expect-error Python's name
  const python = q.QuantReLU({ bit_width: 4 })
  for (const [layer, given] of [
    [typo, 'bitWdith'],
    [python, 'bit_width'],
  ] as const) {
    const [e, ...more] = errorsOf(q.init(layer, 0))
    same([e.tag, more.length], ['ConfigError', 0])
    says(e.message, new RegExp(`QuantReLU has no option "${given}"`))
    says(e.fix, /did you mean bitWidth\?/)
  }
  // @ts-expect-error no such option
  const linear = q.QuantLinear({ inFeatures: 2, outFeatures: 2, weight_bit_width: 4 })
  says(errorsOf(q.init(linear, 0))[0].fix, /did you mean weightBitWidth\?/)
})

test('QuantIdentity takes no inputQuant', () => {
  // @ts-expect-error as in Brevitas
  same(errorsOf(q.init(q.QuantIdentity({ inputQuant: q.Int8ActPerTensorFloat }), 0))[0].tag, 'ConfigError')
})

test("a range that nobody gave is the tutorial's error", () => {
  // @ts-expect-error QuantHardTanh needs minVal and maxVal
  const [e] = errorsOf(q.init(q.QuantHardTanh({}), 0))
  says(e.message, /'Int8ActPerTensorFloatMinMaxInit' can not resolve attribute 'max_val'/)
  says(e.fix, /maxVal/)
  // @ts-expect-error minVal is missing
  says(errorsOf(q.init(q.QuantHardTanh({ maxVal: 1 }), 0))[0].message, /'min_val'/)
  get(q.init(q.QuantHardTanh({ minVal: -1, maxVal: 1 }), 0))
  get(q.init(q.QuantHardTanh({ actQuant: null }), 0))
  get(q.init(q.QuantHardTanh({ actQuant: q.Int8ActPerTensorFloat }), 0))
})

test('the same of a preset that is given to another layer', () => {
  says(
    messages(errorsOf(q.init(q.chain({ act: q.QuantReLU({ actQuant: q.Uint8ActPerTensorFloatMaxInit }) }), 0))),
    /^act: 'Uint8ActPerTensorFloatMaxInit' can not resolve attribute 'max_val'/,
  )
})

test('a quantizer in the wrong place, and what is none', () => {
  says(
    messages(errorsOf(q.init(q.QuantReLU({ actQuant: q.Int8WeightPerTensorFloat }), 0))),
    /quantizes weights, but actQuant quantizes activations/,
  )
  // @ts-expect-error a text is no quantizer
  says(messages(errorsOf(q.init(q.QuantReLU({ actQuant: 'int8' }), 0))), /actQuant is no quantizer/)
})

test('bounds upside down', () => {
  says(messages(errorsOf(q.init(q.QuantHardTanh({ minVal: 1, maxVal: -1 }), 0))), /max_val -1 is below min_val 1/)
})

const layer = q.QuantReLU({ collectStatsSteps: 7, returnQuantTensor: true })
const net = q.chain({ act: layer })
const start = get(q.init(net, 0))
const program = (mode: 'train' | 'eval') => get(q.trace(net, x4, { mode }))

test('a run without its input, or with a wrong shape, is a typed error', () => {
  const missing = errorsOf(q.run(program('train'), { ...start, inputs: undefined as never }))
  same(
    missing.map((e) => e.tag),
    ['InputError'],
  )
  says(missing[0].message, /data input is missing: a tensor of shape \[2, ?4\]/)
  const [shape] = errorsOf(q.run(program('train'), { ...start, inputs: q.zeros([2, 5]) }))
  says(shape.message, /has shape \[2, ?5\] with 10 elements, but \[2, ?4\] was traced/)
  says(
    errorsOf(q.run(program('train'), { ...start, inputs: { shape: [2, 4], data: new Float32Array(3) } }))[0].message,
    /3 elements/,
  )
})

test('a run without some of its state names each leaf', () => {
  const errors = errorsOf(
    q.run(program('train'), { params: start.params, state: {} as never, inputs: q.zeros([2, 4]) }),
  )
  same(errors.map((e) => e.path).toSorted(), [
    'act.actQuant.scale.buffer',
    'act.actQuant.scale.counter',
    'act.actQuant.scale.value',
  ])
  withFixes(errors)
})

test('a plain tensor where a quant tensor was declared is refused', () => {
  const relu = q.functionLayer('relu', (x: q.Value) => q.relu(x))
  const quantized = get(q.trace(relu, q.quantInput([3], { bits: 8, signed: true }), { mode: 'eval' }))
  const errors = errorsOf(q.run(quantized, { params: {}, state: {}, inputs: q.zeros([3]) }))
  says(errors[0].message, /a quant tensor of shape \[3\] was declared/)
})

test('evaluating while still collecting warns with layer and counter', () => {
  let { state } = start
  const x = q.uniform(-1, 1, [2, 4])(q.manualSeed(0))[0]
  const warnings = (): readonly q.QuantWarning[] =>
    get(q.run(program('eval'), { params: start.params, state, inputs: x })).warnings
  const seen: (number | null)[] = []
  for (let k = 0; k < 9; k++) {
    const [w] = warnings()
    seen.push(w?.counter ?? null)
    if (w !== undefined) {
      same([w.tag, w.collectStatsSteps, w.path.startsWith('act')], ['StillCollecting', 7, true])
      says(w.message, /act/)
    }
    const ran = get(q.run(program('train'), { params: start.params, state, inputs: x }))
    same(ran.warnings, [])
    state = ran.state
  }
  same(seen, [0, 1, 2, 3, 4, 5, 6, 7, null])
})

test('a gradient of what is no scalar, or of nothing that is there, is a typed error', () => {
  says(messages(errorsOf(q.grad(program('train')))), /not one element/)
  says(messages(errorsOf(q.grad(program('train'), { output: 'loss' }))), /there is no result loss/)
})

test('a value of another trace is refused', () => {
  const stolen: q.Value[] = []
  get(
    q.trace(
      q.functionLayer('f', (x: q.Value) => {
        stolen.push(x)
        return x
      }),
      x4,
      { mode: 'train' },
    ),
  )
  says(
    messages(
      errorsOf(
        q.trace(
          q.functionLayer('g', (x: q.Value) => q.add(x, stolen[0])),
          x4,
          { mode: 'train' },
        ),
      ),
    ),
    /another trace/,
  )
})

test('explain says what, where and how to mend it', () => {
  const [e] = errorsOf(q.init(q.chain({ act: q.QuantReLU({ bitWidth: 64 }) }), 0))
  says(q.explain(e), /^ConfigError in act: .*64.*\n {2}fix: give bitWidth: 8/)
})

test.run()
