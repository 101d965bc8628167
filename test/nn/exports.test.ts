/**
 * Every public function, called with wrong things as JavaScript would: it answers with a value, an Either, or an error of
 * this library; never with an engine's TypeError, RangeError or ReferenceError, never with `Internal`, and it returns.
 */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import * as arrays from '../../src/interop/arrays/index.js'
import * as brevitas from '../../src/interop/brevitas/index.js'
import { exportOnnx, exportReport, importOnnx, showExportReport } from '../../src/interop/onnx/index.js'
import * as integer from '../../src/integer/index.js'
import { externalData } from '../../src/node/index.js'
import * as ptq from '../../src/quantize/index.js'
import * as testing from '../../src/testing/index.js'
import * as viz from '../../viz/index.js'
import { suite } from '../support/suite.js'

const test = suite('every export: wrong things')

type Call = (...args: readonly unknown[]) => unknown

// ---------------------------------------------------------------- wrong things

const net = q.chain({
  i: q.QuantIdentity({ returnQuantTensor: true }),
  fc: q.QuantLinear({ inFeatures: 2, outFeatures: 2 }),
})
const traced = q.trace(
  q.withLoss(net, q.crossEntropy),
  { x: q.tensorInput([2, 2]), target: q.tensorInput([2]) },
  { mode: 'train' },
)
const program = q.orThrow(traced)
const graded = q.orThrow(q.grad(program, { output: 'loss' }))
const initial = q.orThrow(q.init(net, 0))
const batch = { x: q.tensorOf([2, 2], [3, -2, 1, 4]), target: q.tensorOf([2], [0, 1]) }
const ran = q.orThrow(q.run(graded, { ...initial, inputs: batch }))
const plan = q.orThrow(q.explainPlan(graded, { ...initial, inputs: batch }))
const optimizer = q.adam({ lr: 0.1 })
const training = q.startTraining(initial, optimizer)
const knot: { self?: unknown } = {}
knot.self = knot

const WRONG: readonly unknown[] = [
  undefined,
  null,
  0,
  -1,
  3.5,
  NaN,
  Infinity,
  2 ** 40,
  1n,
  true,
  '',
  'text',
  Symbol('s'),
  [],
  [2, 3],
  [-1],
  ['a'],
  [null],
  [[1]],
  {},
  { lr: 'x' },
  { mode: 'eval', stict: true },
  { shape: [2], data: [1, 2] },
  { shape: null, data: new Float32Array(2) },
  { kind: 'quant' },
  { kind: 'quant', value: q.zeros([2]) },
  { layer: 'x' },
  { graph: {} },
  { graph: { nodes: [null], inputs: [], outputs: [] }, inputs: [], outputs: [], structure: {} },
  { name: 'x', use: 'act', quantType: 'INT' },
  { name: 'x', prepare: () => undefined },
  { id: 0, kit: {}, carried: {} },
  Object.create(null),
  knot,
  () => undefined,
  (x: unknown) => x,
  q.QuantIdentity,
  q.adam,
  new Float32Array(2),
  new Uint8Array(3),
  new BigInt64Array(1),
  new Map([[1, 2]]),
  new Date(NaN),
  Promise.resolve(1),
  traced,
  q.trace(net, q.tensorInput([7]), { mode: 'eval' }),
  program,
  net,
  q.QuantLinear({ inFeatures: -1, outFeatures: 2 }),
  optimizer,
  initial,
  training,
  batch.x,
  q.ops.relu,
  q.Int8ActPerTensorFloat,
  q.manualSeed(0),
]

// ---------------------------------------------------------------- right arguments, of which one is replaced

const quantTensor = q.orThrow(
  q.run(q.orThrow(q.trace(q.QuantIdentity({ returnQuantTensor: true }), q.tensorInput([4]), { mode: 'train' })), {
    ...q.orThrow(q.init(q.QuantIdentity({ returnQuantTensor: true }), 0)),
    inputs: q.tensorOf([4], [1, 2, 3, -1]),
  }),
).outputs
const example = q.ops.relu.examples[0]
const operands = [q.tensorOf([7], [1, 2, 3, -1, -2, 0.5, 0])]
const cotangent = q.full([7], 1)
const stored = { type: 'U8' as const, shape: [2], data: Float32Array.of(1, 2) }
const deployed = q.orThrow(q.trace(net, q.tensorInput([2, 2]), { mode: 'eval' }))
const log = viz.addEvent()(viz.emptyLog, {
  tag: 'step',
  step: 1,
  epoch: 0,
  lr: null,
  loss: 1,
  accuracy: null,
  training,
})
const trainConfig = {
  program: () => q.grad(program, { output: 'loss' }),
  data: batch,
  loader: { batchSize: 2 },
  epochs: 1,
  optimizer,
  inputs: (b: unknown) => b,
  measure: () => ({ loss: 1 }),
}

const floatNet = q.chain({ fc: q.Linear({ inFeatures: 2, outFeatures: 2 }), act: q.ReLU() })
const floatNumbers = q.orThrow(q.init(floatNet, 0))
const quantized = q.orThrow(ptq.quantize(floatNet, q.tensorInput([2, 2]), floatNumbers, ptq.schemes.int8))
const samples = q.tensorOf([2, 2], [1, 2, 3, 4])
const errors = [{ path: 'fc', error: 0.5 }]

const onGrid = { scalingImplType: 'CONST', minVal: -1, maxVal: 1, returnQuantTensor: true } as const
const whole = q.chain({
  i: q.QuantIdentity(onGrid),
  fc: q.QuantLinear({ inFeatures: 2, outFeatures: 2, bias: false, returnQuantTensor: true }),
  o: q.QuantIdentity(onGrid),
})
const wholeNumbers = q.orThrow(q.init(whole, 0))
const wholeProgram = q.orThrow(q.trace(whole, q.tensorInput([2, 2]), { mode: 'eval' }))
const integers = q.orThrow(integer.toInteger(wholeProgram, wholeNumbers))
const given = q.orThrow(integer.quantizeInputs(integers, samples))

/** Right arguments of those functions whose first argument alone is not enough to get inside them. */
const RIGHT: { readonly [name: string]: readonly unknown[] } = {
  quantize: [floatNet, q.tensorInput([2, 2]), floatNumbers, ptq.schemes.int8],
  lift: [floatNet, q.tensorInput([2, 2]), floatNumbers],
  equalize: [floatNet, q.tensorInput([2, 2]), floatNumbers, { iterations: 2 }],
  calibrate: [quantized, samples, { batches: 1, batchSize: 2, finish: true }],
  correctBias: [quantized, quantized.float, samples, { batchSize: 2 }],
  roundWeights: [quantized, quantized.float, samples, { sweeps: 1, damping: 0.1 }],
  sensitivity: [quantized, samples, { bits: [2, 4] }],
  searchBits: [quantized, samples, { budget: { bytes: 8 }, bits: [2, 8] }],
  layerErrors: [quantized, quantized.float, samples, {}],
  showQuantize: [quantized.report],
  showSteps: [[{ step: 'x', errors }]],
  trace: [net, q.tensorInput([2, 2]), { mode: 'eval', strict: false, locations: false }],
  init: [net, 0],
  run: [graded, { ...initial, inputs: batch }, { debugNonFinite: true }],
  compile: [graded, q.reference],
  grad: [program, { output: 'loss', inputs: true }],
  valueAndGrad: [program, { output: 'loss' }],
  vjp: [program, { output: 'loss' }],
  explainPlan: [graded, { ...initial, inputs: batch }],
  showPlan: [plan],
  profile: [graded, { ...initial, inputs: batch }, { rounds: 1, warmUpMs: 0 }],
  trainer: [graded, optimizer, training, q.reference],
  train: [trainConfig, training],
  applyStep: [training, ran, ran.grads, optimizer, 0.1, { epoch: 0, batch: 1 }],
  evaluate: [() => traced, [batch], { ...initial, inputs: (b: unknown) => b }],
  withUpdate: [graded, optimizer],
  startTraining: [initial, optimizer],
  checkpointToBytes: [training],
  parseCheckpoint: [training],
  programToJSON: [program],
  parseProgram: [q.ops],
  printProgram: [program],
  formula: [program.graph, 3, 2],
  alignPrograms: [program, graded],
  diffPrograms: [program, graded],
  toGraphology: [program],
  dependents: [q.toGraphology(program), 3],
  sources: [q.toGraphology(program), 3],
  lossesOf: [program],
  isQuantTensor: [quantTensor],
  valueOf: [quantTensor],
  isValidQuantTensor: [quantTensor],
  intRepr: [quantTensor],
  accuracy: [batch.x, batch.target],
  gather: [batch.x, [0, 1]],
  batches: [batch, { batchSize: 2, seed: 1, dropLast: false }, { epoch: 0, batch: 0 }],
  collect: [[batch]],
  countOf: [batch],
  integerWeights: [q.QuantLinear({ inFeatures: 2, outFeatures: 2 }), initial.params.fc, initial.state.fc],
  foldBatchNorm: [
    { weight: q.zeros([2]), bias: q.zeros([2]), runningMean: q.zeros([2]), runningVar: q.zeros([2]) },
    1e-5,
  ],
  surrogate: [q.ops.round, q.ops.relu],
  withOptions: [{ bitWidth: 4 }],
  named: ['name'],
  customQuantizer: [{ name: 'Own', bits: 4, signed: true, threshold: q.max }],
  unary: [{ name: 'own', doc: '', attrs: {}, f: (x: number) => x, carry: q.strips('none'), vjp: { none: 'none' } }],
  binary: [{ name: 'own', doc: '', f: (a: number) => a, carry: q.strips('none'), vjp: { none: 'none' } }],
  model: [
    { fc: q.QuantIdentity() },
    (l: { fc: Call }, p: { fc: unknown }, s: { fc: unknown }, x: unknown) => l.fc(p.fc, s.fc, x),
  ],
  chain: [{ a: q.QuantIdentity(), b: q.ReLU() }],
  residual: [q.QuantIdentity(), q.add],
  withLoss: [net, q.crossEntropy],
  functionLayer: ['f', q.relu, {}, []],
  printConfig: [net.config],
  tensorsToBytes: [initial],
  parseTensors: [q.tensorsToBytes(initial)],
  gradNorm: [ran.grads],
  clipGradNorm: [1],
  programOf: [q.ops.relu, example],
  carriedBy: [q.ops.relu, example],
  carrySound: [q.ops.relu, example, operands],
  gradients: [q.ops.relu, example, operands, cotangent],
  gradientMatches: [q.ops.relu, example, operands, cotangent],
  vjpLinear: [q.ops.relu, example, operands, cotangent],
  surrogateLaw: [q.ops['round~identity'], q.ops.round, q.ops.identity, example, operands, cotangent],
  quantizeWith: [q.Int8ActPerTensorFloat, operands[0]],
  idempotent: [q.Int8ActPerTensorFloat, operands[0]],
  monotone: [q.Int8ActPerTensorFloat, operands[0]],
  errorBounded: [q.Int8ActPerTensorFloat, operands[0], [-1, 1]],
  tensorArb: [[2], [-1, 1]],
  quantTensorArb: [[2], { bits: 4, signed: true }],
  operandArb: [example.args[0]],
  operandsArb: [example],
  toHtml: [program, { title: 'x', outputs: ran.outputs }],
  toSvg: [program, { expand: 'all' }],
  toMermaid: [program],
  toGexf: [program, {}],
  toGraphml: [program, {}],
  toModelExplorer: [program, {}],
  modelExplorerCollection: [program, {}],
  pairOf: [[program, graded], { sides: [{}, {}] }],
  sceneOf: [program, { log: log.records }],
  watch: [program, { ...initial, inputs: batch }],
  knownValues: [program, initial],
  addEvent: [{ momentum: 0.1, most: 10 }],
  scaleProbe: [program, batch],
  statisticsIn: [initial.state],
  summaryOf: [quantTensor],
  exportOnnx: [
    deployed,
    initial,
    { format: 'qonnx', opset: 17, int4: false, names: { '': 'x' }, quantInputs: {}, rules: {} },
  ],
  importOnnx: [q.orThrow(exportOnnx(deployed, initial)), { inputs: {}, sizes: {}, rules: {} }],
  toStateDict: [net, initial],
  fromStateDict: [net, q.orThrow(brevitas.toStateDict(net, initial)), { strict: false }],
  safetensorsToBytes: [q.orThrow(brevitas.toStateDict(net, initial)), { made: 'here' }],
  parseSafetensors: [brevitas.safetensorsToBytes(q.orThrow(brevitas.toStateDict(net, initial)))],
  npyToBytes: [stored, { order: 'Fortran', endian: 'big', version: 2 }],
  parseNpy: [arrays.npyToBytes(stored)],
  npzToBytes: [{ x: stored }],
  parseNpz: [arrays.npzToBytes({ x: stored }), { mostBytes: 100, inflate: (x: Uint8Array) => x }],
  keyOf: ['fc.weight'],
  exportReport: [deployed, 'qcdq', initial, { opset: 17 }],
  showExportReport: [q.orThrow(exportReport(deployed, 'qcdq', initial))],
  toInteger: [wholeProgram, wholeNumbers, { requantization: 'auto' }],
  integersOf: [wholeProgram, wholeNumbers, { requantization: 'auto' }],
  layersOf: [integers],
  quantizeInputs: [integers, samples],
  runInteger: [integers, given],
  dequantizeOutputs: [integers, q.orThrow(integer.runInteger(integers, given))],
  compareInteger: [integers, wholeProgram, wholeNumbers, [samples], { given: 'layers' }],
  toC: [integers, { name: 'net' }],
  specialize: [deployed, initial, { unroll: true, quantInputs: {} }],
  precompile: [wholeProgram, wholeNumbers],
  toBrevitas: [net, q.tensorInput([2, 2]), initial],
  loadPartial: [net, initial, { rename: (path: string) => path }],
  livePage: [{ title: 't', script: 's.js', style: 's.css' }],
}

// ---------------------------------------------------------------- the property

const ENGINE = /^(TypeError|RangeError|ReferenceError|SyntaxError|InternalError)$/

/** What an answer says that it must not, or null. */
const complaint = (e: unknown): string | null =>
  !(e instanceof Error)
    ? `threw ${String(e)}`
    : ENGINE.test(e.name)
      ? `${e.name}: ${e.message}\n${e.stack ?? ''}`
      : /^Internal/m.test(e.message)
        ? e.message
        : null

const isLeft = (x: unknown): x is { readonly left: q.QuantErrors } =>
  typeof x === 'object' && x !== null && '_tag' in x && x._tag === 'Left' && 'left' in x

const isLayer = (x: unknown): x is q.Layer =>
  typeof x === 'object' && x !== null && 'apply' in x && 'problems' in x && 'layer' in x

/** Follows what a call gave: functions are called again, layers traced, generators asked, promises awaited. */
const followed = async (given: unknown, more: readonly unknown[], depth: number): Promise<string | null> => {
  if (isLeft(given)) return complaint(new Error(q.explainAll(given.left)))
  if (isLayer(given)) {
    for (const input of [q.tensorInput([2, 2, 4, 4]), more[0]])
      for (const answer of [q.init(given, 0), q.trace(given, input as never, { mode: 'train' })]) {
        const said = isLeft(answer) ? complaint(new Error(q.explainAll(answer.left))) : null
        if (said !== null) return said
      }
    return null
  }
  if (typeof given === 'function' && depth < 3) return answered(given as Call, more, depth + 1)
  if (given instanceof Promise) return followed(await given, more, depth)
  if (typeof given === 'object' && given !== null && ('next' in given || Symbol.asyncIterator in given)) {
    const generator = given as AsyncGenerator<unknown, unknown>
    const first = await generator.next()
    await generator.return?.(undefined)
    return isLeft(first.value) ? followed(first.value, more, depth) : null
  }
  if (typeof given === 'object' && given !== null && 'dispose' in given && typeof given.dispose === 'function')
    given.dispose()
  return null
}

const answered = async (f: Call, args: readonly unknown[], depth = 0): Promise<string | null> => {
  try {
    return await followed(f(...args), args, depth)
  } catch (e) {
    return complaint(e)
  }
}

/** One place of an argument replaced: the whole, a field of it, or a field under another name. */
const mangled = (x: unknown, wrong: unknown, how: number): unknown => {
  const isPlain =
    typeof x === 'object' && x !== null && (Object.getPrototypeOf(x) === Object.prototype || Array.isArray(x))
  const opaque = isPlain && ('graph' in x || 'apply' in x || 'nodes' in x)
  if (!isPlain || opaque || how % 3 === 0) return wrong
  const keys = Object.keys(x)
  if (keys.length === 0) return wrong
  const key = keys[how % keys.length]
  if (Array.isArray(x)) return x.map((e: unknown, i) => (String(i) === key ? mangled(e, wrong, how >> 2) : e))
  const { [key]: old, ...rest } = x as { readonly [k: string]: unknown }
  return how % 3 === 1 ? { ...rest, [key]: mangled(old, wrong, how >> 2) } : { ...rest, [`${key}s`]: old }
}

/** Public functions that draw on a page of a browser, or that start threads. */
const NOT_HERE = new Set(['mountLive', 'createWasm'])

const EXPORTS: readonly (readonly [string, Call])[] = Object.entries({
  ...q,
  ...testing,
  ...viz,
  ...q.plain,
  ...arrays,
  ...brevitas,
  ...ptq,
  exportOnnx,
  exportReport,
  importOnnx,
  showExportReport,
  ...integer,
  externalData,
}).flatMap(([name, f]): readonly (readonly [string, Call])[] =>
  typeof f === 'function' && !NOT_HERE.has(name) ? [[name, f as Call]] : [],
)

const wrongThing = fc.integer({ min: 0, max: WRONG.length - 1 }).map((i) => WRONG[i])
const RUNS = Number(process.env.BORDER_RUNS ?? 12)
const SEED = Number(process.env.BORDER_SEED ?? 1)

const holds = async (name: string, f: Call, args: readonly unknown[]): Promise<void> => {
  const said = await answered(f, args)
  assert.is(said, null, `${name}(${args.map((a) => shown(a)).join(', ')}): ${said ?? ''}`)
}

const shown = (x: unknown): string => {
  try {
    return typeof x === 'function'
      ? `function ${x.name}`
      : typeof x === 'symbol'
        ? 'symbol'
        : (JSON.stringify(x, (_k, v: unknown) => (typeof v === 'bigint' ? `${v}n` : v)) ?? String(x)).slice(0, 120)
  } catch {
    return 'knot'
  }
}

test(
  'called with nothing, and with one wrong thing',
  async () => {
    for (const [name, f] of EXPORTS) {
      await holds(name, f, [])
      for (const wrong of WRONG) await holds(name, f, [wrong])
    }
  },
  { timeout: 120_000 },
)

test(
  'called with several wrong things',
  async () => {
    for (const [name, f] of EXPORTS)
      await fc.assert(
        fc.asyncProperty(fc.array(wrongThing, { minLength: 2, maxLength: 4 }), (args) => holds(name, f, args)),
        { numRuns: RUNS, seed: SEED },
      )
  },
  { timeout: 240_000 },
)

test(
  'called with right things, one of them spoilt',
  async () => {
    for (const [name, f] of EXPORTS) {
      const right = RIGHT[name]
      if (right === undefined) continue
      await holds(name, f, right)
      await fc.assert(
        fc.asyncProperty(fc.nat(right.length - 1), wrongThing, fc.nat(1 << 16), (k, wrong, how) =>
          holds(
            name,
            f,
            right.map((a, i) => (i === k ? mangled(a, wrong, how) : a)),
          ),
        ),
        { numRuns: 2 * RUNS, seed: SEED },
      )
    }
  },
  { timeout: 240_000 },
)

test(
  'functions of values, inside a trace',
  () => {
    const functions = EXPORTS.filter(([name]) => name in q || name in q.plain)
    const inside = (f: Call, args: readonly unknown[]): string | null => {
      const layer = q.functionLayer('f', (x: q.Value) => {
        const given = f(x, ...args)
        return typeof given === 'object' && given !== null && 'kit' in given ? given : x
      })
      try {
        const traced = q.trace(layer, q.tensorInput([2, 3, 4, 4]), { mode: 'eval' })
        return isLeft(traced) ? complaint(new Error(q.explainAll(traced.left))) : null
      } catch (e) {
        return complaint(e)
      }
    }
    for (const [name, f] of functions)
      fc.assert(
        fc.property(fc.array(wrongThing, { maxLength: 3 }), (args) => {
          const said = inside(f, args)
          assert.is(said, null, `${name}(x, ${args.map(shown).join(', ')}): ${said ?? ''}`)
        }),
        { numRuns: RUNS, seed: SEED },
      )
  },
  { timeout: 240_000 },
)

test.run()
