/** Files beside a model: read by their path, and only within its folder. */
import * as assert from 'uvu/assert'
import { isLeft, isRight } from 'fp-ts/lib/Either.js'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { externalData } from '../../src/node/index.js'
import { suite } from '../support/suite.js'

const test = suite('node: external data')
const root = mkdtempSync(join(tmpdir(), 'quantrace-'))
test.after(() => rmSync(root, { recursive: true, force: true }))

mkdirSync(join(root, 'model/parts'), { recursive: true })
writeFileSync(join(root, 'secret.bin'), 'secret')
writeFileSync(join(root, 'model/weights.bin'), 'w')
writeFileSync(join(root, 'model/..weights.bin'), 'x')
writeFileSync(join(root, 'model/parts/more.bin'), 'mm')
symlinkSync(join(root, 'secret.bin'), join(root, 'model/link.bin'))
symlinkSync(root, join(root, 'model/up'))

test('files in the folder and below', () => {
  const read = externalData(join(root, 'model'))
  for (const [location, length] of [
    ['weights.bin', 1],
    ['./parts/../weights.bin', 1],
    ['parts/more.bin', 2],
    ['..weights.bin', 1],
  ] as const) {
    const got = read(location)
    assert.ok(isRight(got) && got.right.length === length, location)
  }
})

test('nothing else', () => {
  const read = externalData(join(root, 'model'))
  const away = [
    '../secret.bin',
    join(root, 'secret.bin'),
    'link.bin',
    'up/secret.bin',
    'parts',
    '.',
    '..',
    '',
    'none.bin',
  ]
  for (const location of [...away, 'a\0b', 'C:\\x', '..\\secret.bin', '/dev/zero'])
    assert.ok(isLeft(read(location)), location)
})

test('what is no path is told', () => {
  const read: (location: never) => ReturnType<ReturnType<typeof externalData>> = externalData(root)
  for (const given of [undefined, null, 5, {}, []]) {
    const got = read(given as never)
    assert.ok(isLeft(got) && /path is needed/.test(got.left), String(given))
  }
  assert.throws(() => externalData(undefined as never), /externalData needs folder/)
})

test.run()
