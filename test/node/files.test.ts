/** Files are written whole or not at all, whatever fails on the way. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as nodeFs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ensureFolder,
  ensureWritable,
  readFileBytes,
  writeFileWhole,
  writeFolder,
  type FileSystem,
} from '../../src/node/index.js'
import { suite } from '../support/suite.js'

const test = suite('files')

const inFolder = (body: (folder: string) => void): void => {
  const folder = nodeFs.mkdtempSync(join(tmpdir(), 'quantrace-files-'))
  try {
    body(folder)
  } finally {
    nodeFs.rmSync(folder, { recursive: true, force: true })
  }
}

type Call = keyof FileSystem

/** Node's file system, which keeps the names of the calls and fails with `code` at call number `failing`. */
const faulty = (failing: number, code = 'ENOSPC'): { readonly fs: FileSystem; readonly calls: readonly Call[] } => {
  const calls: Call[] = []
  const wrapped = Object.fromEntries(
    (
      ['closeSync', 'fsyncSync', 'mkdirSync', 'openSync', 'readFileSync', 'renameSync', 'rmSync', 'writeSync'] as const
    ).map((name) => [
      name,
      (...args: readonly never[]): unknown => {
        calls.push(name)
        if (calls.length - 1 === failing) throw Object.assign(new Error(`${code}: it failed, ${name}`), { code })
        return Reflect.apply(nodeFs[name], nodeFs, args)
      },
    ]),
  )
  return { fs: { ...nodeFs, ...wrapped }, calls }
}

test('text and bytes come back, and no part is left', () =>
  inFolder((folder) => {
    const file = join(folder, 'a')
    assert.ok(E.isRight(writeFileWhole(file, 'grüße')))
    assert.is(nodeFs.readFileSync(file, 'utf8'), 'grüße')
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251)
    assert.ok(E.isRight(writeFileWhole(file, bytes)))
    const read = readFileBytes(file)
    assert.ok(E.isRight(read) && Buffer.compare(read.right, bytes) === 0)
    assert.equal(nodeFs.readdirSync(folder), ['a'])
  }))

test('a power cut finds the old file or the new: flushed, then renamed, then the folder flushed', () =>
  inFolder((folder) => {
    const { fs, calls } = faulty(-1)
    writeFileWhole(join(folder, 'a'), 'new', fs)
    const order = calls.filter((c) => ['writeSync', 'fsyncSync', 'renameSync'].includes(c))
    assert.equal(order, ['writeSync', 'fsyncSync', 'renameSync', 'fsyncSync'])
  }))

test('whichever call fails: a typed error, the old content, no part', () =>
  inFolder((folder) => {
    const file = join(folder, 'a')
    const all = faulty(-1)
    writeFileWhole(file, 'old', all.fs)
    const renamed = all.calls.indexOf('renameSync')
    for (let k = 0; k <= renamed; k++) {
      const { fs } = faulty(k)
      const written = writeFileWhole(file, 'new', fs)
      if (E.isRight(written)) throw new Error(`call ${k} (${all.calls[k]}) failed, and nobody said so`)
      const [error] = written.left
      assert.is(error.tag, 'FileError')
      assert.match(error.message, /a could not be written: ENOSPC/)
      assert.match(error.fix, /free some space/)
      assert.is(nodeFs.readFileSync(file, 'utf8'), 'old')
      assert.equal(nodeFs.readdirSync(folder), ['a'])
    }
  }))

test('a folder that can not be flushed is no error: the file stands', () =>
  inFolder((folder) => {
    const file = join(folder, 'a')
    const all = faulty(-1)
    writeFileWhole(file, 'old', all.fs)
    for (let k = all.calls.indexOf('renameSync') + 1; k < all.calls.length; k++) {
      assert.ok(E.isRight(writeFileWhole(file, `new ${k}`, faulty(k, 'EISDIR').fs)))
      assert.is(nodeFs.readFileSync(file, 'utf8'), `new ${k}`)
    }
  }))

test('folders are made, and refused before any work relies on them', () =>
  inFolder((folder) => {
    assert.ok(E.isRight(ensureFolder(join(folder, 'a', 'b'))))
    assert.equal(nodeFs.readdirSync(join(folder, 'a', 'b')), [])
    nodeFs.writeFileSync(join(folder, 'file'), '')
    for (const bad of [join(folder, 'file'), join(folder, 'file', 'below'), '/proc/none/below']) {
      const made = ensureFolder(bad)
      assert.ok(E.isLeft(made) && made.left[0].tag === 'FileError')
    }
    const readOnly = ensureFolder(join(folder, 'c'), faulty(0, 'EROFS').fs)
    assert.ok(E.isLeft(readOnly) && /name another folder/.test(readOnly.left[0].fix))
  }))

test('whether a file can be written is known before there is anything to write, and nothing is changed', () =>
  inFolder((folder) => {
    const file = join(folder, 'net.qtrc')
    assert.ok(E.isRight(ensureWritable(file)))
    assert.equal(nodeFs.readdirSync(folder), [])
    nodeFs.writeFileSync(file, 'old')
    assert.ok(E.isRight(ensureWritable(file)))
    assert.equal(nodeFs.readdirSync(folder), ['net.qtrc'])
    assert.is(nodeFs.readFileSync(file, 'utf8'), 'old')
    for (const bad of [folder, join(folder, 'none', 'net'), join(file, 'below')]) {
      const asked = ensureWritable(bad)
      assert.ok(E.isLeft(asked) && asked.left[0].tag === 'FileError', bad)
    }
    const readOnly = ensureWritable(join(folder, 'c'), faulty(0, 'EROFS').fs)
    assert.ok(E.isLeft(readOnly) && /name another folder/.test(readOnly.left[0].fix))
  }))

test('what can not be read is said', () => {
  const read = readFileBytes('/nowhere/at/all')
  assert.ok(E.isLeft(read) && read.left[0].tag === 'FileError' && /ENOENT/.test(read.left[0].message))
})

test('names and contents that are none are refused, and nothing is written', () =>
  inFolder((folder) => {
    const file = join(folder, 'a')
    for (const wrong of [undefined, null, 3, {}, [], () => 'a', Symbol('a')]) {
      const calls = [
        writeFileWhole(wrong as never, 'text'),
        writeFileWhole(file, wrong as never),
        writeFolder(wrong as never, { a: 'text' }),
        writeFolder(folder, { a: wrong as never }),
        ensureFolder(wrong as never),
        ensureWritable(wrong as never),
        readFileBytes(wrong as never),
      ]
      for (const [k, c] of calls.entries()) assert.ok(E.isLeft(c), `call ${k} with ${String(wrong)}`)
    }
    assert.equal(nodeFs.readdirSync(folder), [])
  }))

test('a bug is not taken for a file that fails; a name that is none is refused', () => {
  const broken = (): never => {
    throw new Error('a bug')
  }
  assert.throws(() => writeFileWhole('a', 'b', { ...faulty(-1).fs, openSync: broken }), /a bug/)
  const read = readFileBytes('a\0b')
  assert.ok(E.isLeft(read) && read.left[0].tag === 'FileError')
})

test('a folder takes plain file names alone, and nothing is written where one leads elsewhere or a content is none', () =>
  inFolder((folder) => {
    for (const name of ['../out', '../../out', '/out', 'a/b', 'a\\b', '..', '.', '', 'a\0b', '__proto__/x']) {
      const e = writeFolder(join(folder, 'in'), { fine: 'x', [name]: 'y' })
      assert.ok(E.isLeft(e), name)
      if (E.isLeft(e)) assert.match(e.left[0].message, /does not lie in the folder itself/)
    }
    const wrong: readonly unknown[] = [
      undefined,
      null,
      5,
      'text',
      { a: 5 },
      { a: 'x', b: undefined },
      { a: E.right('x') },
    ]
    for (const files of wrong) assert.ok(E.isLeft(writeFolder(join(folder, 'in'), files as never)), String(files))
    assert.equal(nodeFs.readdirSync(folder), [])
    assert.ok(E.isRight(writeFolder(join(folder, 'in'), { '..a': 'x', ['__proto__']: 'y' })))
    assert.equal(nodeFs.readdirSync(join(folder, 'in')), ['..a', '__proto__'])
  }))

test('an empty path names nothing, and leaves nothing', () => {
  const before = nodeFs.readdirSync('.')
  for (const e of [writeFileWhole('', 'x'), readFileBytes(''), ensureFolder(''), ensureWritable('')]) {
    assert.ok(E.isLeft(e))
    if (E.isLeft(e)) assert.is(e.left[0].tag, 'ConfigError')
  }
  assert.equal(nodeFs.readdirSync('.'), before)
})

test.run()
