/** Threads are used where they pay, and tried again where they did not. */
import * as assert from 'uvu/assert'
import { newBalance } from '../../src/evaluator/wasm/balance.js'
import { suite } from '../support/suite.js'

const test = suite('evaluator: balance')

/** Runs `n` times; gives how many were split, if split and whole runs take so long. */
const splits = (b: ReturnType<typeof newBalance>, n: number, split: number, whole: number): number => {
  let count = 0
  for (let i = 0; i < n; i++) {
    const many = b.split()
    if (many) count++
    b.took(many ? split : whole)
  }
  return count
}

test('begins with threads', () => assert.is(splits(newBalance(), 5, 1, 1), 5))

test('keeps to threads where they are faster, but for some tries', () =>
  assert.ok(splits(newBalance(), 1000, 1, 1.8) > 900))

test('leaves them where they are slower, but for some tries', () => assert.ok(splits(newBalance(), 1000, 5, 1) < 100))

test('comes back when the machine is quiet again', () => {
  const b = newBalance()
  splits(b, 500, 5, 1)
  splits(b, 500, 0.5, 1)
  assert.ok(splits(b, 300, 0.5, 1) > 250)
})

test.run()
