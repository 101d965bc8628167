/** `quantrace quantize`: an ONNX model or a network with samples becomes a quantized one; what is wrong is said before any work. */
import * as assert from 'uvu/assert'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as q from '../../src/index.js'
import { npyToBytes, npzToBytes } from '../../src/interop/arrays/index.js'
import { exportOnnx, importOnnx } from '../../src/interop/onnx/index.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'
import { newFolder, quantrace } from './support.js'

const test = suite('command line: quantize')
const { at, remove } = newFolder()
test.after(remove)

const body = q.chain({
  conv: q.Conv2d({ inChannels: 1, outChannels: 4, kernelSize: 3, padding: 1 }),
  relu: q.ReLU(),
  flat: q.Flatten(),
  fc: q.Linear({ inFeatures: 144, outFeatures: 3 }),
})
/** From records to records, as models with names have them. */
const net: q.Layer<
  q.ParamsOf<typeof body>,
  q.StateOf<typeof body>,
  { readonly x: q.Value },
  { readonly y: q.Value }
> = {
  layer: 'named',
  params: body.params,
  state: body.state,
  problems: body.problems,
  config: body.config,
  apply: (p, s, { x }, kit) => {
    const [y, after] = body.apply(p, s, x, kit)
    return [{ y }, after]
  },
}
const numbers = q.orThrow(q.init(net, 2))
const program = q.orThrow(q.trace(net, { x: q.tensorInput([1, 1, 6, 6]) }, { mode: 'eval' })) as unknown as q.Program
const [samples] = q.randn([20, 1, 6, 6])(q.manualSeed(1))
const stored = (t: q.Tensor) => ({ shape: [...t.shape], data: t.data, type: 'F32' as const })
const model = at('float.onnx')
const data = at('samples.npz')

test.before(() => {
  writeFileSync(model, q.orThrow(exportOnnx(program, numbers as never, { names: { x: 'pixels/in', y: 'scores' } })))
  writeFileSync(data, npzToBytes({ x: stored(samples) }))
  writeFileSync(at('x.npy'), npyToBytes(stored(samples)))
  writeFileSync(at('flat.npy'), npyToBytes(stored({ shape: [20, 36], data: samples.data })))
  writeFileSync(
    at('nan.npy'),
    npyToBytes(stored({ shape: samples.shape, data: samples.data.map((x, i) => (i === 90 ? NaN : x)) })),
  )
  writeFileSync(
    at('rules.json'),
    '[{ "path": "conv", "to": { "weightQuant": "Int8WeightPerTensorFloat", "weightBitWidth": 5 } }]',
  )
  writeFileSync(at('odd.json'), '[{ "path": "conv", "to": { "weightQuant": "Int8WeightPerTensorFlaot" } }]')
  writeFileSync(at('list.json'), '{ "path": "conv" }')
  writeFileSync(at('net.json'), q.programToJSON(program))
  writeFileSync(
    at('net.ts'),
    `import * as q from ${JSON.stringify(join(root, 'src/index.ts'))}
export const net = q.chain({ fc: q.Linear({ inFeatures: 36, outFeatures: 3 }) })
export const inputs = q.tensorInput([2, 36])
`,
  )
})

const ok = async (...args: readonly string[]): Promise<string> => {
  const { status, out, err } = await quantrace(['quantize', ...args])
  assert.is(status, 0, err)
  return out
}

const outputs = (bytes: Uint8Array): Float32Array => {
  const { layer } = q.orThrow(importOnnx(bytes, { inputs: { 'pixels/in': [20, 1, 6, 6] } }))
  const traced = q.orThrow(q.trace(layer, q.tensorInput([20, 1, 6, 6]), { mode: 'eval' }))
  const made = q.orThrow(q.run(traced, { ...q.orThrow(q.init(layer, 0)), inputs: samples })).outputs
  return q.valueOf(made as q.Output).data
}

test('an ONNX model becomes one of 8 bits, under the names of the file, close to what it was', async () => {
  const out = at('int8.onnx')
  const said = await ok(model, '--data', data, '-o', out)
  assert.match(said, '3 layers quantized; 2 of 2 products run on integers')
  assert.match(said, /20 samples seen; against float: calibrate \d\d\.\d+ dB/)
  const made = q.orThrow(importOnnx(readFileSync(out)))
  assert.is(made.format, 'qcdq')
  assert.is(made.inputs[0].name, 'pixels/in')
  assert.is(made.outputs[0].name, 'scores')
  assert.is(typeof made.inputs[0].sizes[0], 'string')
  const [float, now] = [outputs(readFileSync(model)), outputs(readFileSync(out))]
  float.forEach((x, i) => assert.ok(Math.abs(x - now[i]) < 0.03, `${now[i]}, not ${x}`))
})

test('schemes, files of rules, short rules, and other targets', async () => {
  const json = JSON.parse(
    await ok(
      model,
      '--data',
      at('x.npy'),
      '--scheme',
      'w4a8',
      '--rules',
      at('rules.json'),
      '--rule',
      'fc=w3a6',
      '--to',
      'qonnx',
      '-o',
      at('a.onnx'),
      '--json',
    ),
  )
  const of = (path: string) => json.report.layers.find((l: { path: string }) => l.path === path).quantizers
  assert.equal(of('conv').weightQuant, 'Int8WeightPerTensorFloat at 5 bits')
  assert.equal(of('fc').weightQuant, 'Int8WeightPerChannelFloat at 3 bits')
  assert.is(q.orThrow(importOnnx(readFileSync(at('a.onnx')))).format, 'qonnx')
  assert.is(json.samples, 20)
  const text = await ok(model, '--data', data, '--rule', 'fc=float', '--layers', '-o', at('b.onnx'))
  assert.match(text, /fc: Linear stays float: the rules leave it float[\s\S]*in floats: fc \(linear\)/)
})

test('steps behind the calibration, errors of layers, and a page of both networks', async () => {
  const args = [
    '--scheme',
    'w4a8',
    '--equalize',
    '--round',
    '--correct',
    '--layers',
    '--page',
    at('both.html'),
    '-o',
    at('s.onnx'),
  ]
  const text = await ok(model, '--data', data, ...args)
  assert.match(text, /against float: calibrate \d+\.?\d* dB, round \d+\.?\d* dB, correct \d+\.?\d* dB/)
  assert.match(text, /dB +calibrate +round +correct\nconv +\d+\.\d +\d+\.\d +\d+\.\d\n/)
  assert.match(text, /both\.html: \d+ characters/)
  assert.match(readFileSync(at('both.html'), 'utf8'), 'quantized')
})

test('a module and its checkpoint', async () => {
  assert.match(await ok(at('net.ts'), '--data', at('flat.npy'), '-o', at('net.onnx')), '1 layers quantized')
})

test('progress is told on a terminal', async () => {
  const { err } = await quantrace(['quantize', model, '--data', data, '-o', at('p.onnx')], { terminal: true })
  assert.match(err, /quantize .*20\/20/)
})

const refused = async (status: number, what: RegExp, ...args: readonly string[]): Promise<void> => {
  const got = await quantrace(['quantize', ...args])
  assert.is(got.status, status, got.err)
  assert.match(got.err, what)
}

test('what is wrong is said before the network is read: nothing long is done for nothing', async () => {
  const late = at('no-model.onnx')
  await refused(2, /--opset 9 is no version/, late, '--data', data, '--opset', '9')
  await refused(2, /opset 17 has no 4-bit types/, late, '--data', data, '--int4')
  await refused(2, /there is no scheme "int9"/, late, '--data', data, '--scheme', 'int9')
  await refused(2, /--rule fc is no rule/, late, '--data', data, '--rule', 'fc')
  await refused(1, /it contradicts rule 2/, late, '--data', data, '--rule', 'fc=w4', '--rule', 'fc=w3')
  await refused(2, /--batch-size 0/, late, '--data', data, '--batch-size', '0')
  await refused(1, /folders on the way must be there/, late, '--data', data, '-o', at('none/out.onnx'))
  await refused(1, /is a folder/, late, '--data', data, '-o', at('.'))
  await refused(1, /could not be written/, late, '--data', data, '--page', at('none/page.html'))
  await refused(1, /no-model\.onnx could not be read/, late, '--data', data)
})

test('a network that only sees zeros is told of', async () => {
  writeFileSync(at('zeros.npy'), npyToBytes(stored({ shape: [4, 1, 6, 6], data: new Float32Array(144) })))
  const text = await ok(model, '--data', at('zeros.npy'), '-o', at('z.onnx'))
  assert.match(text, /note: \S+: it was given nothing but zeros[^\n]*\n {2}fix: /)
})

test('what is wrong is said with its fix', async () => {
  await refused(2, /needs samples\n {2}fix: give --data/, model)
  await refused(2, /did you mean --scheme w4a8/, model, '--data', data, '--scheme', 'w4a9')
  await refused(2, /--rule fc is no rule\n {2}fix: write a path/, model, '--data', data, '--rule', 'fc')
  await refused(1, /did you mean "conv"/, model, '--data', data, '--rule', 'cnov=w4')
  await refused(1, /did you mean Int8WeightPerTensorFloat/, model, '--data', data, '--rules', at('odd.json'))
  await refused(1, /holds no list of rules/, model, '--data', data, '--rules', at('list.json'))
  await refused(1, /has shape \[20,36\]/, model, '--data', at('flat.npy'))
  await refused(1, /NaN, of which no statistic/, model, '--data', at('nan.npy'))
  await refused(1, /layers are gone\n {2}fix: name the ONNX model/, at('net.json'), '--data', data)
  await refused(2, /--opset 9 is no version/, model, '--data', data, '--opset', '9')
  await refused(2, /there is no target "qcqd"/, model, '--data', data, '--to', 'qcqd')
  await refused(2, /--batch-size 0 is no whole number/, model, '--data', data, '--batch-size', '0')
  await refused(1, /has quantizers of its own already/, at('int8.onnx'), '--data', data)
})

test.run()
