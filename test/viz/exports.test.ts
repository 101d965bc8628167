import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { programToJSON } from '../../src/index.js'
import { toHtml, toMermaid, toSvg } from '../../viz/index.js'
import { assetsModule, assetsPath } from '../../viz/build/bundle.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'
import { expectedOf } from './expected.js'
import { programs, stripped } from './programs.js'

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

test('the command writes a page, refuses what is no program, and says how it is used', () => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-cli-'))
  const run = (...args: readonly string[]): { readonly code: number; readonly text: string } => {
    try {
      return { code: 0, text: execFileSync(process.execPath, ['--import', 'tsx', join(root, 'viz', 'cli.ts'), ...args], { cwd: root, encoding: 'utf8', stdio: 'pipe' }) }
    } catch (e) {
      return { code: Number(Reflect.get(Object(e), 'status')), text: String(Reflect.get(Object(e), 'stderr')) }
    }
  }
  try {
    const [program, page, bad] = ['net.json', 'net.html', 'bad.json'].map((n) => join(folder, n))
    writeFileSync(program, programToJSON(stripped()))
    writeFileSync(bad, '{}')
    assert.is(run('viz', program, '-o', page).code, 0)
    assert.ok(readFileSync(page, 'utf8') === toHtml(stripped(), { title: 'net' }))
    for (const args of [['viz', bad, '-o', page], ['viz', program], ['viz', program, '-o', 'x.pdf'], ['viz', join(folder, 'none'), '-o', page], ['view'], ['viz', program, '--nonsense']]) {
      const { code, text } = run(...args)
      assert.is(code, 2, text)
      assert.match(text, /usage: quantrace viz/)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test.run()
