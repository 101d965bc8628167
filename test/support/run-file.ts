/**
 * Runs one test file in this process: `node --import tsx test/support/run-file.ts <file>`. Unlike running the file itself, it
 * waits for top-level awaits before the first test, and a file that never calls `.run()` fails.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const uvu: { UVU_DEFER?: number; UVU_INDEX?: number; UVU_QUEUE?: unknown[][] } & typeof globalThis = globalThis

const file = process.argv[2]
if (file === undefined) throw new Error('Usage: run-file.ts <test file>')

uvu.UVU_DEFER = 1
uvu.UVU_INDEX = 0
const queue: unknown[] = [null]
uvu.UVU_QUEUE = [queue]

await import(pathToFileURL(resolve(file)).href)
if (queue.length === 1) {
  console.error(`${file}: no suite was run. End it with test.run().`)
  process.exitCode = 1
} else {
  const { exec } = await import('uvu')
  await exec()
}
