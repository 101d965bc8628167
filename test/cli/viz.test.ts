/** `quantrace viz`: every format by its ending, two programs, checkpoints that fit and that don't. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { knownValues, toGexf, toGraphml, toHtml, toMermaid, toModelExplorer, toSvg } from '../../viz/index.js'
import { suite } from '../support/suite.js'
import { kept, stripped } from '../viz/programs.js'
import { newFolder, quantrace } from './support.js'

const test = suite('quantrace viz')
const { at, remove } = newFolder()
test.after(remove)

/** What is said, or how it refuses. */
const viz = async (...args: readonly string[]): Promise<string> => {
  const { status, out, err } = await quantrace(['viz', ...args])
  return status === 0 ? out.trimEnd() : `refused: ${err}`
}

test('the ending says what is written, whole or not at all', async () => {
  const [program, page, bad, other] = ['net.json', 'net.html', 'bad.json', 'other.json'].map((n) => at(n))
  writeFileSync(program, q.programToJSON(stripped()))
  writeFileSync(other, q.programToJSON(kept()))
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
    const out = at(`net.${ending}`)
    assert.is(await viz(program, '-o', out), `${out}: ${text.length} characters`)
    assert.ok(readFileSync(out, 'utf8') === text, ending)
  }
  // A corrupt file changes nothing: what stood there stays, and nothing half-written lies beside it.
  for (const text of [q.programToJSON(stripped()).slice(0, -20), '{}', '', '\u0000\ufffd']) {
    writeFileSync(bad, text)
    const before = readdirSync(at())
    assert.match(await viz(bad, '-o', page), /refused: ParseError: .*bad\.json/)
    assert.match(await viz(program, bad, '-o', page), /refused: ParseError: .*bad\.json/)
    assert.ok(readFileSync(page, 'utf8') === texts.html)
    assert.equal(readdirSync(at()), before)
  }
  assert.match(await viz(program, '-o', at('no', 'net.html')), /refused: FileError: .*could not be written: ENOENT/)
  assert.match(await viz(program, other, '-o', page), /net\.html: \d+ characters/)
  const pair = toHtml([stripped(), kept()], { sides: [{ title: 'net' }, { title: 'other' }] })
  assert.ok(readFileSync(page, 'utf8') === pair)
})

const linear = (outFeatures: number) =>
  q.chain({ input: q.QuantIdentity({ returnQuantTensor: true }), fc: q.QuantLinear({ inFeatures: 4, outFeatures }) })
const storedOf = (outFeatures: number) => {
  const { params, state } = q.orThrow(q.init(linear(outFeatures), q.manualSeed(1)))
  return { params, state }
}

test('a checkpoint fills a page, or it is said what does not fit', async () => {
  const [file, good, wrong, page] = ['fc.json', 'good.qtrc', 'wrong.qtrc', 'fc.html'].map((n) => at(n))
  const program = q.orThrow(q.trace(linear(3), q.tensorInput([2, 4]), { mode: 'eval' })) as q.Program
  writeFileSync(file, q.programToJSON(program))
  writeFileSync(good, q.tensorsToBytes(storedOf(3)))
  assert.match(await viz(file, '--checkpoint', good, '-o', page), /fc\.html: \d+ characters/)
  const html = toHtml(program, { title: 'fc', values: q.orThrow(knownValues(program, storedOf(3))) })
  assert.ok(readFileSync(page, 'utf8') === html)
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [
      q.tensorsToBytes(storedOf(2)),
      /InputError in fc\.weight: .*wrong\.qtrc: param fc\.weight has shape \[2,4\], but the program has \[3,4\]/,
    ],
    [
      q.tensorsToBytes({ params: storedOf(3).params, state: {} }),
      /the checkpoint has no state input\.actQuant\.scale\.counter/,
    ],
    [q.tensorsToBytes({ weights: q.tensorOf([1], [1]) }), /it holds no params and state/],
    [q.tensorsToBytes(storedOf(3)).subarray(0, 60), /ParseError.*wrong\.qtrc: /],
    [new Uint8Array(0), /wrong\.qtrc is empty/],
    [new TextEncoder().encode('{}'), /wrong\.qtrc is no checkpoint/],
  ]
  for (const [bytes, says] of cases) {
    writeFileSync(wrong, bytes)
    assert.match(await viz(file, '--checkpoint', wrong, '-o', page), says)
  }
  assert.ok(readFileSync(page, 'utf8') === html)
})

test.run()
