import * as assert from 'uvu/assert'
import { quantOf } from '../../src/data/quant.js'
import { formula, printProgram } from '../../src/graph/print.js'
import { QuantReLU } from '../../src/index.js'
import { printConfig } from '../../src/nn/layers/printConfig.js'
import { suite } from '../support/suite.js'
import { deep, net, netGrad } from './fixtures/programs.js'

const test = suite('print')
const text = printProgram(net('train'))

test('names inputs, metadata, layers and outputs', () => {
  assert.match(text, /^program train \{\n {2}inputs\n {4}%0:f32\[3,2,3,3\] param conv\.weight learned\n/)
  assert.match(
    text,
    /= quantize\[bits=8 signed !narrow rounding=ROUND clamp=mask training zero=zero\] %8 %19 %24 +# carries 8s scale %19 {2}@quant\.actQuant/,
  )
  assert.match(text, /= relu %49 +# claimed 21s scale %42 zeroPoint %48 \(any\): its zero point may be/)
  assert.match(text, /# stripped: one factor is a plain tensor/)
  assert.match(text, /%23:f32\[\] state quant\.actQuant\.scale\.counter/)
  assert.match(text, /signedLowerBound~identity\[min=1e-10\]/)
  assert.match(printProgram(netGrad()), / grad net\.conv\.weight/)
})

test('draws a phase as one box with both branches', () => {
  const lines = text.split('\n')
  const at = lines.findIndex((l) => / = phase\[/.test(l))
  assert.match(lines[at + 1], /^ {6}┌ collect\(%0:f32\[1,2,4,4\]/)
  assert.match(lines[at + 2], /^ {6}│ {3}%4/)
  const rest = lines.slice(at)
  assert.ok(rest.findIndex((l) => /^ {6}├ learned\(/.test(l)) < rest.findIndex((l) => /^ {6}└$/.test(l)))
})

test('expands scales to formulas of limited depth', () => {
  const { graph } = net('train')
  const conv = graph.nodes.find((n) => n.op.name === 'conv')
  const scale = conv === undefined ? -1 : (quantOf(conv.carried)?.scale ?? -1)
  assert.is(formula(graph, scale, 0), `s${scale}`)
  assert.is(formula(graph, scale, 1), 's19·s36')
  assert.is(formula(graph, scale, 2), 's19·%34/127')
  assert.ok(formula(graph, scale, 1000).length < 2000)
  assert.is(formula(graph, 10 ** 6, 3), '%1000000')
})

test('prints 10,000 nodes in a row, and their formula', () => {
  const program = deep(10_000)
  assert.ok(printProgram(program).split('\n').length > 10_000)
  assert.ok(formula(program.graph, 10_000, 1e6).length < 2000)
})

test('prints a configuration as Python prints a module', () => {
  const lines = printConfig(QuantReLU({}).config).split('\n')
  assert.is(lines[0], 'QuantReLU(')
  assert.ok(lines.includes('  (actQuant): Uint8ActPerTensorFloat: RescalingIntQuant('))
  assert.ok(lines.includes('    (intQuant): IntQuant('))
  assert.ok(lines.includes('      (statsInputViewShapeImpl): OverTensorView()'))
  assert.is(lines[lines.length - 1], ')')
})

test.run()
