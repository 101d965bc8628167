import * as E from 'fp-ts/lib/Either.js'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { programToJSON } from '../../src/index.js'
import { toGexf, toGraphml, toHtml, toMermaid, toModelExplorer, toSvg } from '../../viz/index.js'
import { assetsModule, assetsPath } from '../../viz/build/bundle.js'
import { runCommand } from '../../viz/command.js'
import { root, run as runProcess } from '../support/process.js'
import { suite } from '../support/suite.js'
import { expectedOf } from './expected.js'
import { kept, programs, stripped } from './programs.js'

const test = suite('exports')

test('the generated script is that of these sources: run `npm run viz` where this fails', async () => {
  assert.ok(readFileSync(assetsPath, 'utf8') === await assetsModule())
})

test('a page names its script and style by their hashes, and allows nothing else', () => {
  const html = toHtml(stripped())
  assert.match(html, /<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='; img-src data:; base-uri 'none'; form-action 'none'">/)
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
  assert.match(text, /==>\|"int8 · s₁₈"\|/)
})

test('the command writes what the ending asks for, whole or not at all', () => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-cli-'))
  const run = (...args: readonly string[]): string => E.match((left: string) => `refused: ${left}`, (right: string) => right)(runCommand(args))
  try {
    const [program, page, bad] = ['net.json', 'net.html', 'bad.json'].map((n) => join(folder, n))
    writeFileSync(program, programToJSON(stripped()))
    const title = { title: 'net' }
    const texts = { html: toHtml(stripped(), title), svg: toSvg(stripped(), title), mmd: toMermaid(stripped()), graphml: toGraphml(stripped(), title), gexf: toGexf(stripped(), title), 'model-explorer.json': toModelExplorer(stripped(), title) }
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
    assert.match(run('viz', program, '-o', join(folder, 'no', 'net.html')), /refused: ENOENT/)
    assert.match(run('viz', join(folder, 'none'), '-o', page), /refused: ENOENT/)
    assert.match(run('viz', program, '-o', 'x.pdf'), /refused: -o must name a file that ends in \.html/)
    for (const args of [['viz', program], ['view'], ['viz', program, '--nonsense']]) assert.match(run(...args), /refused: /)
    const other = join(folder, 'other.json')
    writeFileSync(other, programToJSON(kept()))
    assert.match(run('viz', program, other, '-o', page), /net\.html: \d+ characters/)
    assert.ok(readFileSync(page, 'utf8') === toHtml([stripped(), kept()], { sides: [{ title: 'net' }, { title: 'other' }] }))
    assert.match(run('viz', program, other, '-o', join(folder, 'net.svg')), /refused: two programs side by side make a page/)
    assert.match(run('viz', program, bad, '-o', page), /refused: .*bad.json is not a program/)
    assert.match(run('--help'), /usage: quantrace viz/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the command ends with status 2 and its usage where it refuses', async () => {
  const { code, output } = await runProcess(process.execPath, ['--import', 'tsx', join(root, 'viz', 'cli.ts'), 'view'], { cwd: root })
  assert.is(code, 2)
  assert.match(output, /usage: quantrace viz/)
})

test.run()
