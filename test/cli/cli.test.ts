/** The command line: what each command writes and says, how it refuses, pipes and terminals. */
import * as assert from 'uvu/assert'
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commands } from '../../src/cli/commands/index.js'
import { targets } from '../../src/cli/targets/index.js'
import * as q from '../../src/index.js'
import { npyToBytes, npzToBytes, parseNpy, parseNpz, safetensorsToBytes } from '../../src/interop/arrays/index.js'
import { toStateDict } from '../../src/interop/brevitas/index.js'
import { at as leafAt } from '../../src/data/tree.js'
import { exportOnnx, importOnnx } from '../../src/interop/onnx/index.js'
import { knownValues, toHtml, toSvg } from '../../viz/index.js'
import { root, run as runProcess } from '../support/process.js'
import { suite } from '../support/suite.js'
import { encode, node } from '../interop/onnx/encode.js'
import { newFolder, quantrace, type World } from './support.js'

const test = suite('command line')
const folder = newFolder()
const { at } = folder
test.after(folder.remove)

const net = q.chain({
  input: q.QuantIdentity({ returnQuantTensor: true }),
  fc: q.QuantLinear({ inFeatures: 4, outFeatures: 3, weightBitWidth: 4 }),
  act: q.QuantReLU({ bitWidth: 4, returnQuantTensor: true }),
})
const { params, state } = q.orThrow(q.init(net, 0))
const traced = (batch: number) => q.orThrow(q.trace(net, q.tensorInput([batch, 4]), { mode: 'eval' })) as q.Program
const [x] = q.randn([10, 4])(q.manualSeed(1))
const stored = (t: q.Tensor) => ({ shape: [...t.shape], data: t.data, type: 'F32' as const })
const expected = q.orThrow(q.run(traced(10), { params, state, inputs: x })).outputs as q.QuantTensor

/** The network after its statistics were collected. */
const trained = () => {
  const program = q.orThrow(q.trace(net, q.tensorInput([10, 4]), { mode: 'train' }))
  const ran = q.orThrow(q.run(program, { params, state, inputs: x }))
  return { params, state: q.orThrow(q.finishCollection(net)(ran.state)) }
}

/** A module as users write one; nets are made by the very modules that these tests use. */
const MODULE = `
import * as q from ${JSON.stringify(join(root, 'src/index.ts'))}
export const net = q.chain({
  input: q.QuantIdentity({ returnQuantTensor: true }),
  fc: q.QuantLinear({ inFeatures: 4, outFeatures: 3, weightBitWidth: 4 }),
  act: q.QuantReLU({ bitWidth: 4, returnQuantTensor: true }),
})
export const traced = q.trace(net, q.tensorInput([5, 4]), { mode: 'eval' })
export const broken = q.trace(net, q.tensorInput([5, 3]), { mode: 'eval' })
export const learningRate = 0.1
`

const files = {
  program: at('net.json'),
  bare: at('bare.json'),
  five: at('five.json'),
  numbers: at('net.qtrc'),
  onnx: at('net.onnx'),
  module: at('net.ts'),
  npy: at('x.npy'),
  npz: at('x.npz'),
  dict: at('net.safetensors'),
}

test.before(() => {
  writeFileSync(files.program, q.programToJSON(traced(1)))
  writeFileSync(files.five, q.programToJSON(traced(5)))
  const bare = q.chain({
    fc: q.QuantLinear({ inFeatures: 4, outFeatures: 3 }),
    act: q.QuantReLU({ returnQuantTensor: true }),
    out: q.Linear({ inFeatures: 3, outFeatures: 2 }),
  })
  writeFileSync(
    files.bare,
    q.programToJSON(q.orThrow(q.trace(bare, q.tensorInput([1, 4]), { mode: 'eval' })) as q.Program),
  )
  writeFileSync(files.numbers, q.tensorsToBytes({ params, state }))
  writeFileSync(files.onnx, q.orThrow(exportOnnx(traced(1), { params, state })))
  writeFileSync(files.module, MODULE)
  writeFileSync(files.npy, npyToBytes(stored(x)))
  writeFileSync(files.npz, npzToBytes({ input: stored(x) }))
  // A state dict of Brevitas' has no scales before the first batch.
  writeFileSync(files.dict, safetensorsToBytes(q.orThrow(toStateDict(net, trained()))))
  writeFileSync(at('empty.json'), '')
  writeFileSync(at('cut.json'), q.programToJSON(traced(1)).slice(0, -20))
  writeFileSync(at('cut.npy'), npyToBytes(stored(x)).slice(0, 150))
  writeFileSync(at('wrong.npz'), npzToBytes({ inputs: stored(x), more: stored(x) }))
  writeFileSync(at('shape.npy'), npyToBytes(stored(q.zeros([2, 5]))))
  writeFileSync(at('flat.npy'), npyToBytes(stored(q.zeros([4]))))
  writeFileSync(at('throws.ts'), 'throw new RangeError("no such luck")\n')
  writeFileSync(at('nothing.ts'), 'export const lr = 1\n')
  mkdirSync(at('folder'))
})

const ok = async (args: readonly string[], world?: World): Promise<string> => {
  const { status, out, err } = await quantrace(args, world)
  assert.is(status, 0, err)
  return out
}

test('help is everywhere, and names every command, option and target', async () => {
  const help = await ok(['--help'])
  for (const [name, c] of Object.entries(commands)) {
    assert.ok(help.includes(c.says), name)
    const own = await ok([name, '--help'])
    assert.is(await ok(['help', name]), own)
    for (const option of [...Object.keys(c.options), 'json', 'help']) assert.match(own, `--${option}`)
    assert.ok(
      own.split('\n').every((line) => line.length <= 130),
      `${name}: a line is too long`,
    )
  }
  for (const name of Object.keys(targets)) assert.match(await ok(['export', '--help']), `--to ${name}`)
  assert.is(await ok(['--version']), `${JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version}\n`)
})

test('explain: quantizers, losses, warnings, and the program itself', async () => {
  const brief = await ok(['explain', files.program, '--checkpoint', files.numbers, '--brief'])
  assert.match(brief, 'net: traced in eval')
  assert.match(brief, /fc\.weightQuant +int4, one scale, zero point: zero/)
  assert.match(brief, /stripped at fc, dequantize +QuantLinear does not return quant tensors/)
  assert.match(brief, /StillCollecting in input\.actQuant/)
  assert.match(await ok(['explain', files.program]), q.printProgram(traced(1)))
  const report = await ok(['explain', files.program, '--checkpoint', files.numbers, '--brief', '--for', 'qcdq'])
  assert.match(report, brief.trimEnd())
  assert.match(report, /\nqcdq\n {2}qcdq says all that the program says/)
  const noInput = await ok(['explain', files.bare, '--brief', '--for', 'qcdq'])
  assert.match(noInput, /\nqcdq\n {2}(warning|note|blocking) in \w[\s\S]*\n {4}fix: /)
  assert.match((await quantrace(['explain', files.program, '--for', 'qcdc'])).err, /--for qcdq or --for qonnx/)
  const { quantizers, losses } = JSON.parse(await ok(['explain', files.program, '--json']))
  assert.is(quantizers.length, 3)
  assert.is(losses[0].path, 'fc')
})

test('viz: a stored program, with what a checkpoint decides, to a file or to stdout', async () => {
  const values = q.orThrow(knownValues(traced(1), { params, state }))
  const page = toHtml(traced(1), { title: 'net', values })
  await ok(['viz', files.program, '--checkpoint', files.numbers, '-o', at('net.html')])
  assert.ok(readFileSync(at('net.html'), 'utf8') === page)
  assert.ok((await ok(['viz', files.program, '--checkpoint', files.numbers, '-o', '-'])) === page)
  assert.ok(
    (await ok(['viz', '-', '--format', 'svg', '-o', '-', '--title', 'net'], { stdin: readFileSync(files.program) })) ===
      toSvg(traced(1), { title: 'net' }),
  )
})

test('export: ONNX from a program or a network, json, svg; import: program, checkpoint and page', async () => {
  const out = at('out.onnx')
  const told = await ok(['export', files.program, '--checkpoint', files.numbers, '--to', 'qcdq', '-o', out])
  assert.equal(
    new Uint8Array(readFileSync(out)),
    q.orThrow(exportOnnx(traced(1), { params, state }, { format: 'qcdq' })),
  )
  assert.is(told, `${out}: ${readFileSync(out).length} bytes\n`)
  const { bytes } = await quantrace([
    'export',
    files.module,
    '--export',
    'net',
    '--input',
    '1,4',
    '--checkpoint',
    files.numbers,
    '--to',
    'qonnx',
    '--opset',
    '15',
    '-o',
    '-',
  ])
  assert.is(q.orThrow(importOnnx(bytes)).opset, 15)
  assert.ok((await ok(['export', files.five, '--to', 'json', '-o', '-'])) === q.programToJSON(traced(5)))
  assert.ok(
    (await ok(['export', files.five, '--to', 'svg', '-o', '-', '--all'])) ===
      toSvg(traced(5), { title: 'five', expand: 'all' }),
  )

  assert.match(await ok(['import', files.onnx, '-o', at('brought')]), /^quantrace, opset 17, qcdq: \d+ nodes/)
  assert.equal(readdirSync(at('brought')).toSorted(), ['net.html', 'net.json', 'net.qtrc'])
  const again = ['run', at('brought', 'net.json'), files.npy, '--checkpoint', at('brought', 'net.qtrc'), '-o', '-']
  const { bytes: results } = await quantrace(again)
  assert.equal(q.orThrow(parseNpz(results)).output.data, expected.value.data)
})

test('a model with open sizes takes the shape that is given, by the name of its input or without', async () => {
  const pool = (x: string, y: string) => node('MaxPool', [x], [y], { attributes: { kernel_shape: [2, 2] } })
  writeFileSync(at('pool.onnx'), encode({ inputs: { x: ['N', 1, 'H', 'W'] }, outputs: ['y'], nodes: [pool('x', 'y')] }))
  // With all open sizes at 1 its window would be larger than its input.
  for (const shape of ['1,1,4,4', 'x=1,1,4,4']) {
    const { results } = JSON.parse(await ok(['explain', at('pool.onnx'), '--input', shape, '--json']))
    assert.equal(results[0].shape, [1, 1, 3, 3])
  }
  assert.match((await quantrace(['explain', at('pool.onnx')])).err, /larger than the padded input/)
  const inputs = { a: ['N', 1, 'H', 'W'], b: ['N', 1, 'H', 'W'] }
  writeFileSync(at('pools.onnx'), encode({ inputs, outputs: ['y', 'z'], nodes: [pool('a', 'y'), pool('b', 'z')] }))
  const unclear = await quantrace(['explain', at('pools.onnx'), '--input', '1,1,4,4'])
  assert.match(unclear.err, /pools\.onnx: ?.*has 2 inputs: a, b\n {2}fix: .*--input a=1,1,4,4/)
})

test('a state dict becomes a checkpoint, and is one for a network', async () => {
  await ok(['import', files.dict, '--net', files.module, '--export', 'net', '--input', '1,4', '-o', at('dict.qtrc')])
  const back = q.orThrow(q.parseNetwork(net)(readFileSync(at('dict.qtrc'))))
  assert.equal(back.params, params)
  const scaleOf = (tree: unknown) => leafAt(tree, 'act.actQuant.scale.value')
  assert.equal(scaleOf(back.state), scaleOf(trained().state))
  const { 'fc.bias': bias, ...others } = q.orThrow(toStateDict(net, trained()))
  writeFileSync(at('part.safetensors'), safetensorsToBytes({ ...others, 'fc.biass': bias }))
  const part = [
    'import',
    at('part.safetensors'),
    '--net',
    files.module,
    '--export',
    'net',
    '--input',
    '1,4',
    '-o',
    at('part.qtrc'),
  ]
  assert.match((await quantrace(part)).err, /has no fc\.bias[\s\S]*--partial/)
  assert.match(
    await ok([...part, '--partial']),
    /not in the file, as init left it: fc\.bias .*\nnot in the network, left out: fc\.biass \(nearest: fc\.bias\)/,
  )
  await ok(['explain', files.module, '--export', 'net', '--input', '1,4', '--checkpoint', files.dict])
  const { err } = await quantrace(['explain', files.program, '--checkpoint', files.dict])
  assert.match(err, /is a state dict, whose names are those of layers, and a stored program has none/)
})

test('run: batches of any number of samples, quant tensors with their integers, the same numbers on each route', async () => {
  const routes: readonly (readonly [readonly string[], World])[] = [
    [[files.program, files.npy, '--checkpoint', files.numbers], {}],
    [[files.five, files.npz, '--checkpoint', files.numbers, '--backend', 'reference'], {}],
    [[files.module, files.npy, '--export', 'net', '--input', '4,4'], {}],
    [
      [files.module, '-', '--export', 'net', '--input', '64,4', '--backend', 'wasm'],
      { stdin: npyToBytes(stored(x), { order: 'Fortran' }) },
    ],
    [[files.module, files.npz, '--export', 'traced', '--checkpoint', files.numbers], {}],
    [[files.onnx, files.npy], {}],
  ]
  for (const [args, world] of routes) {
    const { status, bytes, err } = await quantrace(['run', ...args, '-o', '-'], world)
    assert.is(status, 0, err)
    const results = q.orThrow(parseNpz(bytes))
    assert.equal(Object.keys(results), ['output', 'output.bitWidth', 'output.int', 'output.scale', 'output.zeroPoint'])
    assert.equal(results.output.data, expected.value.data, args.join(' '))
    assert.equal(results['output.int'].data, q.intRepr(expected).data)
    assert.equal(results['output.scale'].data, expected.scale.data)
    assert.equal([...results['output.bitWidth'].data], [4])
  }
  const text = await ok(['run', files.program, files.npy, '--checkpoint', files.numbers, '-o', at('y.npy')])
  assert.match(text, /^output \[10,3\] +from 0 to [\d.]+, mean [\d.]+; uint4\n.*y\.npy: 248 bytes/)
  assert.equal(q.orThrow(parseNpy(readFileSync(at('y.npy')))).shape, [10, 3])
})

test('several inputs and results, by name; a quant tensor as an input', async () => {
  const two = q.functionLayer('two', ({ a, b }: { readonly a: q.Value; readonly b: q.Value }) => ({
    sum: q.add(a, b),
    product: q.mul(a, b),
  }))
  const inputs = { a: q.tensorInput([2, 3]), b: q.quantInput([2, 3], { bits: 8, signed: true }) }
  writeFileSync(at('two.json'), q.programToJSON(q.orThrow(q.trace(two, inputs, { mode: 'eval' })) as q.Program))
  const [a, b] = [
    q.tensorOf(
      [4, 3],
      Array.from({ length: 12 }, (_, i) => i / 2),
    ),
    q.tensorOf(
      [4, 3],
      Array.from({ length: 12 }, (_, i) => i * 0.25),
    ),
  ]
  const given = { a: stored(a), b: stored(b), 'b.scale': stored(q.scalar(0.25)), 'b.zeroPoint': stored(q.scalar(0)) }
  writeFileSync(at('two.npz'), npzToBytes(given))
  const { bytes, err, status } = await quantrace(['run', at('two.json'), at('two.npz'), '-o', '-'])
  assert.is(status, 0, err)
  const { sum, product } = q.orThrow(parseNpz(bytes))
  assert.equal(
    [...sum.data],
    Array.from(a.data, (v, i) => v + b.data[i]),
  )
  assert.equal(
    [...product.data],
    Array.from(a.data, (v, i) => v * b.data[i]),
  )
  writeFileSync(at('less.npz'), npzToBytes({ a: stored(a), 'b.scal': stored(q.scalar(1)), b: stored(q.zeros([2, 3])) }))
  const less = await quantrace(['run', at('two.json'), at('less.npz')])
  assert.is(less.status, 1)
  assert.match(
    less.err,
    /holds no array "b\.scale": it holds the arrays a, b, b\.scal\n  fix: call "b\.scal" so: b\.scale/,
  )
  writeFileSync(at('uneven.npz'), npzToBytes({ ...given, b: stored(q.zeros([6, 3])) }))
  assert.match((await quantrace(['run', at('two.json'), at('uneven.npz')])).err, /a holds 4 samples, and b 6/)
})

test('bench: a line for each backend', async () => {
  const { rows } = JSON.parse(
    await ok(['bench', files.five, '--checkpoint', files.numbers, '--seconds', '0.01', '--threads', '2', '--json']),
  )
  assert.equal(
    rows.map((r: { readonly backend: string }) => r.backend),
    ['reference', 'wasm, 1 thread', 'wasm, 2 threads'],
  )
  assert.ok(rows.every((r: { readonly ms: number; readonly calls: number }) => r.ms > 0 && r.calls >= 5))
  assert.match(
    await ok(['bench', files.five, '--checkpoint', files.numbers, '--seconds', '0.01', '--threads', '1']),
    /five, batch 5, on .*\n {2}reference +[\d.]+ ms a call/,
  )
})

/** What a beginner may do wrong: the status, and what is said. */
const WRONG: readonly (readonly [status: number, says: RegExp, ...args: readonly string[]])[] = [
  [2, /needs a command[\s\S]*name one of viz, explain/],
  [2, /no command "vizz"\n {2}fix: did you mean quantrace viz\?/, 'vizz'],
  [2, /no option --titel\n {2}fix: did you mean --title\?/, 'viz', files.program, '--titel', 'x'],
  [2, /Option '-o, --out <value>' argument missing/, 'viz', files.program, '-o'],
  [2, /needs PROGRAM DATA/, 'run', files.program],
  [2, /was given 2 names/, 'explain', files.program, files.five],
  [2, /x\.pdf says no format[\s\S]*end in \.html/, 'viz', files.program, '-o', 'x.pdf'],
  [2, /two programs side by side make a page/, 'viz', files.program, files.five, '-o', at('a.svg')],
  [2, /only a page shows the numbers/, 'viz', files.program, '--checkpoint', files.numbers, '-o', at('a.svg')],
  [2, /a checkpoint belongs to one program/, 'viz', files.program, files.five, '--checkpoint', files.numbers],
  [2, /needs --to/, 'export', files.program],
  [2, /no target "qcd"\n {2}fix: did you mean --to qcdq\?/, 'export', files.program, '--to', 'qcd'],
  [2, /--opset says nothing to svg/, 'export', files.program, '--to', 'svg', '--opset', '17'],
  [2, /--opset 5 is no version/, 'export', files.program, '--to', 'qcdq', '--opset', '5'],
  [2, /--input 1,x is no shape/, 'explain', files.onnx, '--input', '1,x'],
  [2, /no backend "gpu"/, 'run', files.onnx, files.npy, '--backend', 'gpu'],
  [2, /--threads 0 is no whole number/, 'bench', files.onnx, '--threads', '0'],
  [2, /--seconds long is no time/, 'bench', files.onnx, '--seconds', 'long'],
  [2, /can not both come by stdin/, 'run', '-', '-'],
  [2, /y\.csv is no name of a file/, 'run', files.onnx, files.npy, '-o', 'y.csv'],
  [1, /none\.json could not be read: ENOENT/, 'explain', at('none.json')],
  [1, /folder could not be read: EISDIR[\s\S]*name a file in it/, 'explain', at('folder')],
  [1, /empty\.json is empty/, 'explain', at('empty.json')],
  [1, /stdin is empty/, 'explain', '-'],
  [1, /cut\.json: .*no JSON|cut\.json: program/, 'explain', at('cut.json')],
  [1, /is a checkpoint: parameters and state, but no graph/, 'viz', files.numbers],
  [1, /holds arrays, no program/, 'explain', files.npz],
  [1, /these \d+ bytes are no ONNX model|no ONNX model/, 'import', at('cut.onnx')],
  [1, /is no file that is imported/, 'import', files.npy],
  [1, /no input "y"/, 'explain', files.onnx, '--input', 'y=1,4'],
  [1, /does not fit/, 'explain', files.onnx, '--input', '1,5'],
  [1, /needs numbers for \d+ leaves/, 'run', files.program, files.npy],
  [1, /whose shapes are fixed/, 'explain', files.program, '--input', '1,4'],
  [
    1,
    /holds no array "input": it holds the arrays inputs, more\n {2}fix: call "inputs" so: input/,
    'run',
    files.onnx,
    at('wrong.npz'),
  ],
  [
    1,
    /shape\.npy: input has shape \[2,5\], but the program takes \[1,4\], or \[N,4\]/,
    'run',
    files.onnx,
    at('shape.npy'),
  ],
  [1, /add the axis of the batch: x\.reshape\(1, 4\)/, 'run', files.onnx, at('flat.npy')],
  [1, /cut\.npy: this is no \.npy file/, 'run', files.onnx, at('cut.npy')],
  [1, /net\.json holds no arrays/, 'run', files.onnx, files.program],
  [1, /10 samples are no multiple of 4/, 'run', at('four.json'), files.npy, '--checkpoint', files.numbers],
  [1, /there are 2 results, and \.npy holds one|/, 'run', files.onnx, files.npy, '-o', at('no', 'y.npy')],
  [1, /shape of its input is not known[\s\S]*--input 1,1,28,28/, 'explain', files.module],
  [
    1,
    /no program or network "traecd"\n {2}fix: did you mean --export traced\?/,
    'explain',
    files.module,
    '--export',
    'traecd',
  ],
  [1, /no program or network "learningRate"/, 'explain', files.module, '--export', 'learningRate'],
  [1, /ShapeError in fc: .*net\.ts: linear: input \[5,3\]/, 'explain', files.module, '--export', 'broken'],
  [1, /can't be imported: RangeError: no such luck/, 'explain', at('throws.ts')],
  [1, /exports no program and no network/, 'explain', at('nothing.ts')],
  [1, /is no checkpoint of quantrace/, 'explain', files.program, '--checkpoint', files.npy],
  [1, /net\.qtrc: param fc\.weight has shape/, 'explain', at('wide.json'), '--checkpoint', files.numbers],
]

test('what is wrong is said with its fix, and nothing is written', async () => {
  writeFileSync(at('cut.onnx'), readFileSync(files.onnx).subarray(0, 200))
  writeFileSync(at('four.json'), q.programToJSON(traced(4)))
  const wide = q.chain({
    input: q.QuantIdentity({ returnQuantTensor: true }),
    fc: q.QuantLinear({ inFeatures: 5, outFeatures: 3 }),
  })
  writeFileSync(
    at('wide.json'),
    q.programToJSON(q.orThrow(q.trace(wide, q.tensorInput([1, 5]), { mode: 'eval' })) as q.Program),
  )
  const before = readdirSync(at(), { recursive: true })
  for (const [status, says, ...args] of WRONG) {
    const said = await quantrace(args)
    assert.is(said.status, status, `${args.join(' ')}: ${said.err}`)
    assert.match(said.err, says)
    assert.match(said.err, /\n {2}fix: ./)
    assert.not.match(said.err, /\n {4}at /)
    assert.is(said.out, '')
    assert.is(said.err.includes('usage: quantrace'), status === 2)
    const asJson = await quantrace([...args, '--json'])
    if (args.length > 0 && args.at(-1) !== '-o') assert.ok(JSON.parse(asJson.out).errors.length > 0, args.join(' '))
  }
  assert.equal(readdirSync(at(), { recursive: true }), before)
})

test('progress is shown on a terminal alone, and its line is gone at the end', async () => {
  const args = ['run', files.program, files.npy, '--checkpoint', files.numbers]
  const shown = await quantrace(args, { terminal: true })
  assert.match(shown.err, /^\r.*run .*1\/10 /)
  assert.ok(shown.err.endsWith('\r\u001b[K'))
  assert.is((await quantrace(args)).err, '')
})

const MAIN = ['--import', 'tsx', join(root, 'src/cli/main.ts')]

test(
  'as a process: status, streams, and a pipe whose reader stops',
  async () => {
    const wrong = await runProcess(process.execPath, [...MAIN, 'view'], { cwd: root })
    assert.is(wrong.code, 2)
    assert.match(wrong.output, /did you mean quantrace viz\?|name one of/)
    // A page is larger than what a pipe holds.
    const child = spawn(process.execPath, [...MAIN, 'viz', files.five, '-o', '-'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let err = ''
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    child.stdout.once('data', () => child.stdout.destroy())
    const code = await new Promise((resolve) => child.on('close', resolve))
    assert.is(code, 0)
    assert.is(err, '')
  },
  { timeout: 120_000 },
)

test.run()
