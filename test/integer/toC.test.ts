/** C of integer programs: names that mean harm, what is packed, what lies where, and that it computes the same. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import {
  quantizeInputs,
  runInteger,
  toC,
  toInteger,
  type CProgram,
  type IntegerProgram,
} from '../../src/integer/index.js'
import { placeAll } from '../../src/integer/c/arena.js'
import { commentOf, identifierOf, isIdentifier } from '../../src/integer/c/names.js'
import { suite } from '../support/suite.js'
import { foreignTo, hasCompiler, runC, type Call } from './cc.js'

const test = suite('integer: toC')
const { orThrow } = q
const RET = { returnQuantTensor: true, collectStatsSteps: 2 } as const

type Any = q.Layer<unknown, unknown>

/** A network after one step, its integer program and the integers of an input. */
const made = (layers: { readonly [name: string]: unknown }, shape: readonly number[]) => {
  const net = q.chain(layers as { readonly [name: string]: Any }) as unknown as Any
  const first = orThrow(q.init(net, 3))
  const x = q.randn(shape)(q.manualSeed(5))[0]
  const steps = orThrow(q.trace(net, q.tensorInput(shape), { mode: 'train' }))
  const once = orThrow(q.run(steps, { ...first, inputs: x })).state
  const { state } = orThrow(q.run(steps, { params: first.params, state: once, inputs: x }))
  const program = orThrow(q.trace(net, q.tensorInput(shape), { mode: 'eval' }))
  const integer = orThrow(toInteger(program, { params: first.params, state }))
  return { integer, given: orThrow(quantizeInputs(integer, x)) }
}

const call = (c: CProgram, integer: IntegerProgram, given: ReturnType<typeof made>['given']): Call => ({
  c,
  inputs: integer.inputs.map((i) => given[i.name].data),
})

const conv = (options: object) =>
  q.QuantConv2d({ inChannels: 2, outChannels: 4, kernelSize: 3, returnQuantTensor: true, bias: false, ...options })

test('a layer may be called anything: it stays in its comment', () => {
  const evil = ['*/ int boom; /*', 'a\\\nb', '??/', 'tür', '"; #include <stdlib-h>', 'float double'].map(
    (name, i) => [name, i === 0 ? q.QuantIdentity(RET) : q.QuantReLU(RET)] as const,
  )
  const { integer, given } = made(Object.fromEntries(evil), [2, 3])
  const c = orThrow(toC(integer, { name: 'evil' }))
  assert.is(foreignTo(c), null)
  assert.not.match(c.source, /boom; \/\*/)
  if (hasCompiler) assert.equal(runC([call(c, integer, given)])[0], [...orThrow(runInteger(integer, given))[''].data])
  for (const text of ['*/', '/*', '??/', 'a\\', 'ü\n']) assert.not.match(commentOf(text), /\*\/|\/\*|\?|\\|\n|ü/)
  assert.is(identifierOf('*/'), 'value')
})

test('the name of a program is a name of C, or an error says which would be', () => {
  const { integer } = made({ a: q.QuantIdentity(RET) }, [2])
  for (const name of ['1x', 'int', 'a-b', '', 'x y', 'int8_t', 'ä', 'main', `a${'b'.repeat(60)}`]) {
    assert.not.ok(isIdentifier(name))
    const refused = toC(integer, { name })
    assert.ok(E.isLeft(refused) && refused.left[0].tag === 'ConfigError' && /net_/.test(refused.left[0].fix), name)
  }
  assert.ok(E.isLeft(toC(integer, {} as never)))
  assert.ok(E.isLeft(toC({} as never, { name: 'x' })))
})

test('weights of 4 and 2 bits are packed, wider ones are not', () => {
  const bytes = [8, 4, 2].map((weightBitWidth) => {
    const { integer } = made(
      { i: q.QuantIdentity(RET), c: conv({ weightBitWidth }), o: q.QuantReLU(RET) },
      [1, 2, 5, 5],
    )
    const c = orThrow(toC(integer, { name: 'net' }))
    assert.match(c.header, new RegExp(`NET_CONSTANT_BYTES ${c.weightBytes}\\b`))
    return /net_c_weightQuant_c0\[(\d+)\]/.exec(c.source)?.[1]
  })
  assert.equal(bytes, ['72', '36', '18'])
})

test('two values share bytes where they are not needed at once, and only there', () => {
  const { offsets, bytes } = placeAll([
    { id: 1, bytes: 100, from: 0, to: 1 },
    { id: 2, bytes: 60, from: 1, to: 2 },
    { id: 3, bytes: 90, from: 2, to: 3 },
    { id: 4, bytes: 10, from: 0, to: 3 },
  ])
  assert.is(offsets.get(1), offsets.get(3))
  assert.is(bytes, 104 + 64 + 16)
  const deep = Object.fromEntries(
    Array.from({ length: 6 }, (_, k) => [
      [
        `c${k}`,
        q.QuantConv2d({
          inChannels: 2,
          outChannels: 2,
          kernelSize: 3,
          padding: 1,
          returnQuantTensor: true,
          bias: false,
        }),
      ],
      [`r${k}`, q.QuantReLU(RET)],
    ]).flat(),
  )
  const { integer } = made({ i: q.QuantIdentity(RET), ...deep }, [1, 2, 8, 8])
  assert.is(orThrow(toC(integer, { name: 'deep' })).arenaBytes, 2 * 128)
})

/** One network for each op that C is written for. */
const networks: { readonly [name: string]: () => ReturnType<typeof made> } = {
  grouped: () =>
    made(
      { i: q.QuantIdentity(RET), c: conv({ groups: 2, padding: 1, stride: 2, dilation: 1 }), o: q.QuantReLU(RET) },
      [2, 2, 6, 5],
    ),
  dilated: () =>
    made(
      {
        i: q.QuantIdentity({ ...RET, actQuant: q.ShiftedUint8ActPerTensorFloat }),
        c: conv({ dilation: 2, padding: 2, returnQuantTensor: false }),
        o: q.QuantReLU(RET),
      },
      [1, 2, 6, 6],
    ),
  oneDimension: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        c: q.QuantConv1d({ inChannels: 2, outChannels: 3, kernelSize: 3, padding: 1, returnQuantTensor: true }),
        o: q.QuantTanh({ returnQuantTensor: true }),
      },
      [2, 2, 7],
    ),
  threeDimensions: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        c: q.QuantConv3d({ inChannels: 1, outChannels: 2, kernelSize: 2, returnQuantTensor: true }),
        o: q.QuantReLU(RET),
      },
      [1, 1, 3, 4, 3],
    ),
  transposed: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        c: q.QuantConvTranspose2d({
          inChannels: 4,
          outChannels: 4,
          kernelSize: 3,
          stride: 2,
          padding: 1,
          outputPadding: 1,
          groups: 2,
          returnQuantTensor: true,
        }),
        o: q.QuantReLU(RET),
      },
      [1, 4, 3, 4],
    ),
  pools: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        m: q.MaxPool2d({ kernelSize: 3, stride: 2, padding: 1 }),
        a: q.AvgPool2d({ kernelSize: 2 }),
        o: q.QuantIdentity(RET),
        p: q.AdaptiveMaxPool2d({ outputSize: 2 }),
      },
      [1, 2, 9, 11],
    ),
  biasedPool: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        c: conv({ bias: true, returnQuantTensor: false }),
        p: q.AvgPool2d({ kernelSize: 2 }),
        o: q.QuantReLU(RET),
      },
      [2, 2, 8, 8],
    ),
  binary: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        c: conv({ weightQuant: q.SignedBinaryWeightPerTensorConst }),
        n: q.BatchNorm2d({ numFeatures: 4 }),
        b: q.QuantIdentity({ ...RET, actQuant: q.SignedBinaryActPerTensorConst }),
      },
      [2, 2, 7, 7],
    ),
  normedPool: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        c: conv({ returnQuantTensor: false }),
        n: q.BatchNorm2d({ numFeatures: 4 }),
        p: q.MaxPool2d({ kernelSize: 2 }),
        o: q.QuantReLU(RET),
      },
      [2, 2, 8, 8],
    ),
  global: () =>
    made(
      { i: q.QuantIdentity(RET), p: q.AdaptiveAvgPool2d({ outputSize: 1 }), f: q.Flatten(), o: q.QuantIdentity(RET) },
      [2, 3, 4, 5],
    ),
  moves: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        s: q.PixelShuffle({ upscaleFactor: 2 }),
        u: q.QuantUpsamplingNearest2d({ scaleFactor: 3 }),
        z: q.ZeroPad2d({ padding: [1, 0, 2, 1] }),
        e: q.ZeroPad2d({ padding: [1, 1, 0, 0] }),
        d: q.PixelUnshuffle({ downscaleFactor: 3 }),
      },
      [1, 4, 1, 2],
    ),
  shapes: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        f: q.functionLayer('shapes', (x: q.Value) =>
          q.cat([q.permute(x, [0, 2, 1]), q.permute(q.neg(x), [0, 2, 1])], 2),
        ),
        o: q.QuantIdentity(RET),
      },
      [2, 3, 4],
    ),
  joins: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        f: q.functionLayer('joins', (x: q.Value) => q.mul(x, q.add(x, q.transpose(x, 1, 2)))),
        o: q.QuantIdentity(RET),
      },
      [2, 3, 3],
    ),
  products: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        f: q.functionLayer('products', (x: q.Value) => q.matmul(x, q.transpose(x, 1, 2))),
        o: q.QuantReLU(RET),
      },
      [2, 3, 4],
    ),
  sums: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        f: q.functionLayer('sums', (x: q.Value) => q.mean(x, [1], true)),
        o: q.QuantIdentity(RET),
      },
      [2, 3, 4],
    ),
  scalar: () => made({ i: q.QuantIdentity(RET), o: q.QuantSigmoid({ returnQuantTensor: true, bitWidth: 4 }) }, []),
  falling: () =>
    made(
      {
        i: q.QuantIdentity(RET),
        f: q.functionLayer('falling', (x: q.Value) => q.mul(x, -0.3)),
        o: q.QuantIdentity({ ...RET, bitWidth: 5 }),
      },
      [7],
    ),
}

test(`every op of integer programs, in C and in our evaluator: the same integers${hasCompiler ? '' : ' (skipped: no C compiler here)'}`, () => {
  const all = Object.entries(networks).map(([name, make]) => {
    const { integer, given } = make()
    const c = orThrow(toC(integer, { name: `n_${name}` }))
    assert.is(foreignTo(c), null, name)
    return {
      name,
      call: call(c, integer, given),
      y: Object.values(orThrow(runInteger(integer, given))).flatMap((t) => [...t.data]),
    }
  })
  if (!hasCompiler) return
  const printed = runC(all.map((n) => n.call))
  all.forEach(({ name, y }, k) => assert.equal(printed[k], y, name))
})

test.run()
