/** Memory of plans that are disposed of comes back. */
import assert from 'node:assert/strict'
import { run } from '../support/process.js'
import { suite } from '../support/suite.js'

const test = suite('wasm: memory')

/** Prepares, runs once and disposes of a plan 1,100 times; prints by how many MB the process grew over the last 1,000. */
const sourceFor = (threads: number): string => `
  const q = await import('./src/index.ts')
  const right = q.orThrow
  const backend = right(await q.createWasm({ threads: ${threads}, splitAbove: 0 }))
  const layer = q.ReLU()
  const program = right(q.trace(layer, q.tensorInput([50000]), { mode: 'train' }))
  const { params, state } = right(q.init(layer, 0))
  const x = q.full([50000], 1)
  const once = () => { const c = right(q.compile(program, backend)); right(c.run({ params, state, inputs: x })); c.dispose() }
  const settled = async () => { for (let i = 0; i < 4; i++) { globalThis.gc(); await new Promise((done) => setTimeout(done, 20)) } return process.memoryUsage().rss / 2 ** 20 }
  const times = async (n) => { for (let i = 0; i < n; i++) { once(); if (i % 50 === 49) await settled() } return settled() }
  const before = await times(100)
  console.log('grew ' + Math.round((await times(1000)) - before))
  backend.dispose()
`

for (const threads of [1, 2])
  test(
    `1,000 plans prepared, run and disposed of leave the process as large as it was: ${threads} threads`,
    async () => {
      const ended = await run(
        process.execPath,
        ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', sourceFor(threads)],
        { limit: 110_000 },
      )
      const grew = /grew (-?\d+)/.exec(ended.output)
      assert.ok(grew !== null, `${ended.signal ?? ended.code}: ${ended.output}`)
      assert.ok(Number(grew[1]) < 60, `the process grew by ${grew[1]} MB`)
    },
    { timeout: 120_000 },
  )

test.run()
