/** How large programs are that import little of the library: bundled and minified by esbuild, compressed by gzip at its best. */
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'

const test = suite('size')

type Bundle = { readonly bytes: number; readonly gzip: number; readonly files: readonly string[] }

/** What a program that uses these names of the root is made of. */
const bundle = async (names: readonly string[]): Promise<Bundle> => {
  const contents = `import { ${names.join(', ')} } from './src/index.ts'\nconsole.log(${names.join(', ')})`
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
  assert.ok(gzip <= 85 * KB, `layers, trace and run take ${gzip} bytes`)
  assert.equal(
    files.filter((f) => /^src\/evaluator\/(wasm|plan)\//.test(f)),
    [],
  )
})

// The goal of 60 KB is not reached: ops bring their gradients and claims, the backend the kernels of training. It may not grow unseen.
test('inference of a stored program on WebAssembly: no layers, no training', async () => {
  const { gzip, files } = await bundle(['parseProgram', 'parseTensors', 'ops', 'compile', 'wasm'])
  assert.ok(gzip <= 125 * KB, `inference takes ${gzip} bytes`)
  assert.equal(
    files.filter((f) => /^src\/(nn\/(layers|training|functions)|autodiff|testing|interop)\//.test(f)),
    [],
  )
  assert.equal(
    files.filter((f) => /wasm\/(describe|profile|limits)\.ts$/.test(f)),
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
