/** Load, in small; `npm run load` takes minutes. Time and memory of processes are measured there alone: here machines are shared. */
import * as assert from 'uvu/assert'
import { suite } from '../support/suite.js'
import { concurrent, linear, programs, steps } from './checks.js'

const test = suite('load')

test('programs that step in turns give what they give one after the other', async () => {
  assert.is((await concurrent(6)).fault, null)
})

test('thousands of steps and a hundred programs run', async () => {
  assert.match((await steps(1500)).figures, /1500 training steps/)
  assert.match((await programs(60)).figures, /60 programs/)
})

test('a program of thousands of nodes is traced, differentiated and compiled', () => {
  assert.match(linear(2000).figures, /nodes: traced/)
})

test.run()
