import * as assert from 'uvu/assert'
import { diffPrograms } from '../../src/graph/diff.js'
import { functionLayer, relu, relu6, tanh, tensorInput, trace, type Program, type Value } from '../../src/index.js'
import { suite } from '../support/suite.js'
import { deep, net, netGrad, right } from './fixtures/programs.js'

const test = suite('diff')
const of = (f: (x: Value) => Value): Program => right(trace(functionLayer('f', f), tensorInput([2]), { mode: 'eval' }))

test('equal programs do not differ', () => {
  for (const make of [() => net('train'), () => net('eval'), netGrad, () => deep(10_000)])
    assert.is(diffPrograms(make(), make()), '')
})

test('shows changed attributes and metadata, in branches too', () => {
  const text = diffPrograms(net('train'), net('train', 4))
  assert.match(text, /~ %26 → %26 quantize: bits 8 → 4; carries 8s \[-128, 127\].* → carries 4s \[-8, 7\]/)
  assert.match(text, /collect of %18\n.*\n.*~ %(\d+) → %\1 const: value 128 → 8/)
  assert.not.match(text, /^ *[-+] /m)
})

test('shows what stands on one side alone', () => {
  assert.is(
    diffPrograms(
      of((x) => tanh(relu(x))),
      of((x) => tanh(relu6(x))),
    )
      .split('\n')
      .filter((l) => /^ {2}[-+]/.test(l))
      .join('|'),
    '  - %1:f32[2] = relu %0|  + %1:f32[2] = relu6 %0',
  )
  assert.match(
    diffPrograms(
      of(relu),
      of((x) => tanh(relu(x))),
    ),
    /^ {2}\+ %2:f32\[2\] = tanh %1$/m,
  )
  assert.match(diffPrograms(net('train'), net('eval')), /^~ mode train → eval/)
})

test('shows rewired operands', () => {
  const swap = (flip: boolean): Program => of((x) => x.kit.emit('sub', flip ? [tanh(x), relu(x)] : [relu(x), tanh(x)]))
  assert.ok(diffPrograms(swap(false), swap(true)) !== '')
})

test('two long programs that share little are compared in reasonable time', () => {
  const mixed = of((x) => Array.from({ length: 4000 }).reduce<Value>((y, _, i) => (i % 3 === 0 ? tanh(y) : relu(y)), x))
  assert.ok(diffPrograms(deep(4000), mixed).length > 0)
})

test.run()
