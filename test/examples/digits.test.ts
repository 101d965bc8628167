/** `npm start` where nothing can be kept: a typed error, nothing half written, no stack. */
import * as assert from 'uvu/assert'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../support/process.js'
import { suite } from '../support/suite.js'

const test = suite('npm start')

const start = (out: string, before = ''): ReturnType<typeof run> =>
  run(
    'bash',
    [
      '-c',
      `${before}exec "$0" --import tsx examples/digits/main.ts --epochs 1 --limit 64 --out "$1"`,
      process.execPath,
      out,
    ],
    { limit: 60_000 },
  )

test('a disk that fills up: the error says so, and no part is left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-digits-'))
  try {
    // A limit on the size of files stands in for a full disk.
    const ended = await start(folder, 'ulimit -f 100; ')
    assert.is(ended.code, 1)
    assert.match(ended.output, /FileError: .*checkpoint-8bit.* could not be written: EFBIG/)
    assert.match(ended.output, /fix: /)
    assert.not.match(ended.output, /\n\s+at /)
    assert.equal(readdirSync(folder), [])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a folder that can not be one is refused before training', async () => {
  const ended = await start(join(process.execPath, 'below'))
  assert.is(ended.code, 1)
  assert.match(ended.output, /^FileError: .* could not be used as a folder to write to/)
  assert.not.match(ended.output, /training|\n\s+at /)
})

test.run()
