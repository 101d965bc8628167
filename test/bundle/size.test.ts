/** How large programs are that import little of the library: bundled and minified by esbuild, compressed by gzip at its best. */
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { isTensor } from '../../src/data/tensor.js'
import { mapTree } from '../../src/data/tree.js'
import * as q from '../../src/index.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'

const test = suite('size')

type Bundle = { readonly bytes: number; readonly gzip: number; readonly files: readonly string[] }

/** What a program that uses these names of an entry is made of. */
const bundle = async (names: readonly string[], entry = './src/index.ts'): Promise<Bundle> => {
  const contents = `import { ${names.join(', ')} } from '${entry}'\nconsole.log(${names.join(', ')})`
  const made = await build({
    stdin: { contents, resolveDir: root, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    external: ['node:*'],
    absWorkingDir: root,
  })
  const [text] = made.outputFiles
  const files = Object.values(made.metafile.outputs).flatMap((o) =>
    Object.entries(o.inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  )
  return { bytes: text.contents.length, gzip: gzipSync(text.contents, { level: 9 }).length, files }
}

const KB = 1000

/** A digits network precompiled with weights of zeros, which take no room: its code and its header are left. */
const bareLenet = (): Uint8Array => {
  const quant = { returnQuantTensor: true } as const
  const net = q.chain({
    input: q.QuantIdentity(quant),
    conv1: q.QuantConv2d({ inChannels: 1, outChannels: 6, kernelSize: 5 }),
    act1: q.QuantReLU(quant),
    pool1: q.MaxPool2d({ kernelSize: 2 }),
    conv2: q.QuantConv2d({ inChannels: 6, outChannels: 16, kernelSize: 5 }),
    act2: q.QuantReLU(quant),
    pool2: q.MaxPool2d({ kernelSize: 2 }),
    flat: q.Flatten(),
    fc1: q.QuantLinear({ inFeatures: 256, outFeatures: 120 }),
    act3: q.QuantReLU(quant),
    fc2: q.QuantLinear({ inFeatures: 120, outFeatures: 10 }),
  })
  const { params, state } = q.orThrow(q.init(net, 0))
  const program = q.orThrow(q.trace(net, q.tensorInput([1, 1, 28, 28]), { mode: 'eval' }))
  const none = mapTree(isTensor, params, (t) => q.zeros(t.shape)) as typeof params
  return q.orThrow(q.precompile(program, { params: none, state }))
}

test('run alone: at most 40 KB, nothing of WebAssembly, no op', async () => {
  const { gzip, files } = await bundle(['run'])
  assert.ok(gzip <= 40 * KB, `run takes ${gzip} bytes`)
  assert.equal(
    files.filter((f) => /^src\/(evaluator\/(wasm|plan)|ops)\//.test(f)),
    [],
  )
})

test('layers, trace and run on the reference: nothing of WebAssembly', async () => {
  const { gzip, files } = await bundle(['chain', 'init', 'trace', 'run', 'QuantIdentity', 'QuantConv2d', 'QuantReLU'])
  assert.ok(gzip <= 106 * KB, `layers, trace and run take ${gzip} bytes`)
  assert.equal(
    files.filter((f) => /^src\/evaluator\/(wasm|plan)\//.test(f)),
    [],
  )
})

test('inference of a precompiled program: at most 35 KB, no layers, no gradients, no compiler', async () => {
  const { gzip, files } = await bundle(['loadPrecompiled', 'orThrow', 'tensorOf', 'intRepr'], './src/runtime/index.ts')
  assert.ok(gzip <= 35 * KB, `the runtime takes ${gzip} bytes`)
  assert.equal(
    files.filter((f) =>
      /^(src\/(nn\/(layers|training|functions)|autodiff|testing|interop|evaluator\/(wasm|reference))\/|node_modules\/immer)/.test(
        f,
      ),
    ),
    [],
  )
})

test('the same with code and all but the weights: at most 60 KB', async () => {
  const { gzip } = await bundle(['loadPrecompiled', 'orThrow', 'tensorOf', 'intRepr'], './src/runtime/index.ts')
  const module = gzipSync(bareLenet(), { level: 9 }).length
  assert.ok(gzip + module <= 60 * KB, `the runtime takes ${gzip} bytes, the module ${module}`)
})

// Ops bring their gradients and claims, the backend the kernels of training and what it says of its plans (`Backend.explain`): where the program is compiled in the page, this is the price. It may not grow unseen: 2 KB of it are averages, moves and picks of bytes, 5 KB depthwise convolutions by planes.
test('a stored program compiled in the page: no layers, no training', async () => {
  const { gzip, files } = await bundle(['parseProgram', 'parseTensors', 'ops', 'compile', 'wasm'])
  assert.ok(gzip <= 169 * KB, `inference takes ${gzip} bytes`)
  assert.equal(
    files.filter((f) => /^src\/(nn\/(layers|training|functions)|autodiff|testing|interop)\//.test(f)),
    [],
  )
})

test('nothing above the evaluator imports the WebAssembly backend but by engines.ts', async () => {
  const { files } = await bundle(['trace', 'train', 'trainer', 'evaluate', 'explainPlan', 'profile', 'showPlan'])
  const above = files.filter((f) => f.startsWith('src/') && !f.startsWith('src/evaluator/'))
  assert.equal(
    above.filter((f) => /evaluator\/(wasm|fastest)/.test(readFileSync(`${root}/${f}`, 'utf8'))),
    [],
  )
})

test.run()
