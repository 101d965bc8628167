import * as E from 'fp-ts/lib/Either.js'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { programToJSON } from '../../src/index.js'
import {
  knownValues,
  sceneOf,
  toGexf,
  toGraphml,
  toHtml,
  toMermaid,
  toModelExplorer,
  toSvg,
  watch,
} from '../../viz/index.js'
import { assetsModule, assetsPath } from '../../viz/build/bundle.js'
import { runCommand } from '../../viz/command.js'
import { right } from '../graph/fixtures/programs.js'
import { root, run as runProcess } from '../support/process.js'
import { suite } from '../support/suite.js'
import { expectedOf } from './expected.js'
import { kept, programs, stripped } from './programs.js'

const test = suite('exports')

test('the generated script is that of these sources: run `npm run viz` where this fails', async () => {
  assert.ok(readFileSync(assetsPath, 'utf8') === (await assetsModule()))
})

test('a page names its script and style by their hashes, and allows nothing else', () => {
  const html = toHtml(stripped())
  assert.match(
    html,
    /<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='; img-src data:; base-uri 'none'; form-action 'none'">/,
  )
  assert.not.match(html, /\sstyle="|\son\w+="/)
})

test('a page of the same program is the same text', () => {
  for (const make of Object.values(programs)) assert.ok(toHtml(make()) === toHtml(make()))
})

test('an SVG of everything has every edge', () => {
  const { edges } = expectedOf(stripped())
  assert.is(toSvg(stripped(), { expand: 'all' }).match(/data-from="/g)?.length, edges.length)
  assert.match(toSvg(stripped()), /data-carry="stripped"[^>]*data-why="QuantReLU does not return quant tensors/)
})

test('a Mermaid chart tells the layers and where metadata is lost', () => {
  const text = toMermaid(stripped())
  assert.match(text, /^flowchart TB\n/)
  assert.match(text, /-\.->\|"stripped"\|/)
  assert.match(text, /==>\|"int8 · s₂₁"\|/)
})

test('the command writes what the ending asks for, whole or not at all', () => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-cli-'))
  const run = (...args: readonly string[]): string =>
    E.match(
      (left: string) => `refused: ${left}`,
      (right: string) => right,
    )(runCommand(args))
  try {
    const [program, page, bad] = ['net.json', 'net.html', 'bad.json'].map((n) => join(folder, n))
    writeFileSync(program, programToJSON(stripped()))
    const title = { title: 'net' }
    const texts = {
      html: toHtml(stripped(), title),
      svg: toSvg(stripped(), title),
      mmd: toMermaid(stripped()),
      graphml: toGraphml(stripped(), title),
      gexf: toGexf(stripped(), title),
      'model-explorer.json': toModelExplorer(stripped(), title),
    }
    for (const [ending, text] of Object.entries(texts)) {
      const out = join(folder, `net.${ending}`)
      assert.is(run('viz', program, '-o', out), `${out}: ${text.length} characters`)
      assert.ok(readFileSync(out, 'utf8') === text, ending)
    }
    // A corrupt file changes nothing: what stood there stays, and nothing half-written lies beside it.
    for (const text of [programToJSON(stripped()).slice(0, -20), '{}', '', '\u0000\ufffd']) {
      writeFileSync(bad, text)
      const before = readdirSync(folder)
      assert.match(run('viz', bad, '-o', page), /refused: .*bad.json is not a program: ParseError/)
      assert.ok(readFileSync(page, 'utf8') === texts.html)
      assert.equal(readdirSync(folder), before)
    }
    assert.match(
      run('viz', program, '-o', join(folder, 'no', 'net.html')),
      /refused: FileError: .*could not be written: ENOENT/,
    )
    assert.match(run('viz', join(folder, 'none'), '-o', page), /refused: ENOENT/)
    assert.match(run('viz', program, '-o', 'x.pdf'), /refused: -o must name a file that ends in \.html/)
    for (const args of [['viz', program], ['view'], ['viz', program, '--nonsense']])
      assert.match(run(...args), /refused: /)
    const other = join(folder, 'other.json')
    writeFileSync(other, programToJSON(kept()))
    assert.match(run('viz', program, other, '-o', page), /net\.html: \d+ characters/)
    assert.ok(
      readFileSync(page, 'utf8') === toHtml([stripped(), kept()], { sides: [{ title: 'net' }, { title: 'other' }] }),
    )
    assert.match(
      run('viz', program, other, '-o', join(folder, 'net.svg')),
      /refused: two programs side by side make a page/,
    )
    assert.match(run('viz', program, bad, '-o', page), /refused: .*bad.json is not a program/)
    assert.match(run('--help'), /usage: quantrace viz/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

const linear = (outFeatures: number) =>
  q.chain({ input: q.QuantIdentity({ returnQuantTensor: true }), fc: q.QuantLinear({ inFeatures: 4, outFeatures }) })
const traced = () => right(q.trace(linear(3), q.tensorInput([2, 4]), { mode: 'eval' }))
const storedOf = (outFeatures: number) => {
  const { params, state } = right(q.init(linear(outFeatures), q.manualSeed(1)))
  return { params, state }
}

test('a checkpoint decides the scales and the quantized weights, whatever the data; of activations the grid alone is shown', () => {
  const program = traced()
  const stored = storedOf(3)
  const known = right(knownValues(program as q.Program, stored))
  for (const seed of [1, 2]) {
    const args = {
      ...stored,
      inputs: q.tensorOf(
        [2, 4],
        Float32Array.from({ length: 8 }, (_, i) => Math.sin(seed * 10 + i)),
      ),
    }
    const seen = watch(program, args)
    right(q.run(program, args, { observe: seen.observe }))
    for (const [node, value] of known) assert.equal(seen.values.get(node), value, `%${node}`)
  }
  const scene = sceneOf(program as q.Program, { values: known })
  const [weight, act] = ['fc.weightQuant', 'input.actQuant'].map(
    (box) => scene.nodes.find((n) => n.box === box && n.op === 'quantize')?.id ?? '',
  )
  const largest = Math.max(...(stored.params.fc.weight?.data ?? []).map(Math.abs))
  assert.is(scene.observed[weight].scales?.[0], Math.fround(largest / 127))
  assert.is(scene.observed[weight].count, 12)
  // Fresh statistics stand at 1, of 128 steps.
  assert.equal([scene.observed[act].scales, scene.observed[act].count, known.has(Number(act))], [[1 / 128], 0, false])
})

test('the command fills a page from a checkpoint, or says what does not fit', () => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-cli-'))
  const run = (...args: readonly string[]): string =>
    E.match(
      (left: string) => `refused: ${left}`,
      (text: string) => text,
    )(runCommand(args))
  try {
    const [file, good, wrong, page] = ['net.json', 'net.qtrc', 'wrong.qtrc', 'net.html'].map((n) => join(folder, n))
    const program = traced() as q.Program
    writeFileSync(file, programToJSON(program))
    writeFileSync(good, q.tensorsToBytes(storedOf(3)))
    assert.match(run('viz', file, '--checkpoint', good, '-o', page), /net\.html: \d+ characters/)
    const html = toHtml(program, { title: 'net', values: right(knownValues(program, storedOf(3))) })
    assert.ok(readFileSync(page, 'utf8') === html)
    writeFileSync(wrong, q.tensorsToBytes(storedOf(2)))
    assert.match(
      run('viz', file, '--checkpoint', wrong, '-o', page),
      /refused: .*wrong\.qtrc does not fit the program: InputError in fc\.weight: param fc\.weight has shape \[2,4\], but the program has \[3,4\]/,
    )
    writeFileSync(wrong, q.tensorsToBytes({ params: storedOf(3).params, state: {} }))
    assert.match(
      run('viz', file, '--checkpoint', wrong, '-o', page),
      /the checkpoint has no state input\.actQuant\.scale\.counter/,
    )
    writeFileSync(wrong, q.tensorsToBytes({ weights: q.tensorOf([1], [1]) }))
    assert.match(run('viz', file, '--checkpoint', wrong, '-o', page), /it holds no params and state/)
    for (const bytes of [
      readFileSync(good).subarray(0, 60),
      new Uint8Array(0),
      Uint8Array.from('{}', (c) => c.charCodeAt(0)),
    ]) {
      writeFileSync(wrong, bytes)
      assert.match(
        run('viz', file, '--checkpoint', wrong, '-o', page),
        /refused: .*wrong\.qtrc is not a checkpoint: ParseError/,
      )
    }
    assert.match(run('viz', good, '-o', page), /refused: .*net\.qtrc is a checkpoint: .* no graph .*--checkpoint/)
    assert.match(run('viz', file, '--checkpoint', good, '-o', join(folder, 'net.svg')), /refused: only a page/)
    assert.match(
      run('viz', file, file, '--checkpoint', good, '-o', page),
      /refused: a checkpoint belongs to one program/,
    )
    assert.ok(readFileSync(page, 'utf8') === html)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the command ends with status 2 and its usage where it refuses', async () => {
  const { code, output } = await runProcess(
    process.execPath,
    ['--import', 'tsx', join(root, 'viz', 'cli.ts'), 'view'],
    { cwd: root },
  )
  assert.is(code, 2)
  assert.match(output, /usage: quantrace viz/)
})

test.run()
