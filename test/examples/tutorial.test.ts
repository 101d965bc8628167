/** The tutorial's cells run and agree; its printer prints as PyTorch does; its assertions notice a wrong digit. */
import * as assert from 'uvu/assert'
import { cell2, cell3, cell4, cell5, cell7, cell8, cell10, cell11 } from '../../examples/tutorial/activations.js'
import { transcript } from '../../examples/tutorial/cells.js'
import { digits, show, showTensor } from '../../examples/tutorial/format.js'
import { expectDigits, expectInOrder, expectTrue } from '../../examples/tutorial/notebook.js'
import { cell15, cell16, cell18 } from '../../examples/tutorial/statistics.js'
import { manualSeed, scalar, tensorOf } from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('tutorial')

const all = (): ReadonlyMap<number, string> => new Map([...transcript()].map((e) => [e.cell, e.printed.join('\n')]))

test('every cell runs in order and agrees with the tutorial', () => {
  const printed = all()
  assert.equal(
    [...printed.keys()],
    Array.from({ length: 24 }, (_, i) => i + 1),
  )
  for (const cell of [2, 3, 4, 6, 16, 17, 20]) assert.is(printed.get(cell), 'True', `cell ${cell}`)
  assert.is(printed.get(21), 'tensor(2.9998)')
  assert.is(printed.get(24), 'tensor([[[[2.9998]],\n\n         [[1.0000]],\n\n         [[1.0000]]]])')
})

test('a quant tensor is printed with its metadata', () => {
  const text = cell5(cell3().made.inp).printed[0]
  assert.ok(
    text.startsWith(
      'IntQuantTensor(value=tensor([[[[-0.4566, -0.5707, -0.5517,  0.5897,  1.5409],\n          [ 0.5136, -0.5897,',
    ),
  )
  assert.ok(
    text.endsWith(
      '1.9214]]]]), scale=tensor(0.0190), zero_point=tensor(0.), bit_width=tensor(8.), signed_t=tensor(True), training_t=tensor(True))',
    ),
  )
})

test('the trace says what becomes of the metadata, and why', () => {
  const { inp } = cell3().made
  const { outTensor } = cell5(inp).made
  assert.match(
    cell7(cell4(inp).made.disabledQuantIdentity, outTensor).printed.join('\n'),
    /stripped: QuantIdentity is disabled/,
  )
  assert.match(cell8(outTensor).printed.join('\n'), /the result: carries, 8 bits signed, integers -128 … 127/)
  assert.match(cell10(outTensor).printed.join('\n'), /the result: carries, 8 bits signed, integers 0 … 127/)
  assert.match(all().get(12) ?? '', /the result: carries, 8 bits unsigned, .*zero point maybe not 0/)
  assert.match(all().get(13) ?? '', /stripped: QuantConv2d does not return quant tensors/)
})

test('errors are typed and carry the words of the tutorial', () => {
  const { outTensor } = cell5(cell3().made.inp).made
  assert.match(
    cell11(outTensor).printed[0],
    /^LayerError: QuantLayer is not correctly configured, check if warnings were raised/,
  )
  assert.match(
    cell18().printed[0],
    /^ConfigError: 'Int8ActPerTensorFloatMinMaxInit' can not resolve attribute 'max_val'/,
  )
})

test('cells are pure: the same again, and old states stay as they were', () => {
  assert.equal(cell2().made.inp, cell3().made.inp)
  const { quantIdentity, inp1, inp2 } = cell15(manualSeed(7)).made
  const first = cell16(quantIdentity, inp1, inp2)
  assert.equal(cell16(quantIdentity, inp1, inp2), first)
  assert.not.equal(first.made.quantIdentity.state, quantIdentity.state)
})

test('the printer follows PyTorch', () => {
  assert.is(showTensor(scalar(8)), 'tensor(8.)')
  assert.is(showTensor(tensorOf([3], [1, -10, 100])), 'tensor([  1., -10., 100.])')
  assert.is(showTensor(tensorOf([2, 2], [1.5, -2, 0, 10])), 'tensor([[ 1.5000, -2.0000],\n        [ 0.0000, 10.0000]])')
  assert.is(show(tensorOf([0], [])), 'tensor([])')
  assert.equal([0.03125, 0.09375, -0, -0.00001, NaN, -Infinity].map(digits), [
    '0.0312',
    '0.0938',
    '-0.0000',
    '-0.0000',
    'nan',
    '-inf',
  ])
})

test('a deviation throws and names cell, place and both digits', () => {
  assert.throws(
    () => expectDigits(9, 'y', tensorOf([2], [0.5974, 1.5403]), '0.5974 1.5402'),
    /cell 9: element 1 of y is 1\.5403, the tutorial prints 1\.5402/,
  )
  assert.throws(() => expectDigits(9, 'y', tensorOf([1], [1]), '1.0000 2.0000'), /has 1 numbers, the tutorial prints 2/)
  assert.throws(() => expectTrue(4, 'a == b', false), /cell 4: a == b is False/)
  assert.throws(() => expectInOrder(22, 'the configuration', 'b a', ['a', 'b']), /cell 22: the configuration lacks "b"/)
})

test.run()
