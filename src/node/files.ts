/**
 * Files, written so that a kill, a full disk or a power cut leaves the old content or the new, never half of one. For Node;
 * nothing else of quantrace touches a file system.
 */
import * as E from 'fp-ts/lib/Either.js'
import * as nodeFs from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { QuantErrors } from '../data/error.js'
import { argumentProblems, record, required, type Field } from '../data/fields.js'

/** What is used of `node:fs`; tests give one that fails on request. Written out, so that who has no `@types/node` can compile against it. */
export type FileSystem = {
  readonly closeSync: (handle: number) => void
  readonly existsSync: (file: string) => boolean
  readonly fsyncSync: (handle: number) => void
  readonly mkdirSync: (folder: string) => void
  readonly openSync: (file: string, flags: string) => number
  readonly readFileSync: (file: string) => Uint8Array
  readonly renameSync: (from: string, to: string) => void
  readonly rmSync: (file: string, options: { readonly force: boolean }) => void
  readonly writeSync: (handle: number, bytes: Uint8Array, offset: number, length: number) => number
}

const FIXES: { readonly [code: string]: string } = {
  ENOSPC: 'free some space on that disk, or name a folder on another one',
  EDQUOT: 'free some space within your quota, or name a folder on another disk',
  EFBIG: 'this process may not write files that large: raise the limit (ulimit -f), or write less',
  EROFS: 'that file system is read-only: name another folder',
  EACCES: 'give yourself the right to it, or name another folder',
  EPERM: 'give yourself the right to it, or name another folder',
  ENOENT: 'check the name; folders on the way must be there',
  ENOTDIR: 'a part of the path is a file: name another folder',
  EISDIR: 'that is a folder: name a file in it',
  EEXIST: 'a file stands where a folder is needed: name another folder',
}

/** A failed call of the file system as an error of ours; anything else is a bug and goes on. */
const fileError = (doing: string, file: string, e: unknown): QuantErrors => {
  if (!(e instanceof Error) || !('code' in e) || typeof e.code !== 'string') throw e
  return [
    {
      tag: 'FileError',
      file,
      path: '',
      message: `${file} could not be ${doing}: ${e.message}`,
      fix: FIXES[e.code] ?? 'see what the system says, and try again',
    },
  ]
}

const content: Field = {
  says: 'a text or bytes (a Uint8Array)',
  like: 'checkpointToBytes(training)',
  holds: (x) => typeof x === 'string' || x instanceof Uint8Array,
}

/** A path: an empty one would leave the part of a file behind, and name nothing. */
const path: Field = { says: 'a path, a text', like: "'name'", holds: (x) => typeof x === 'string' && x !== '' }

const writeAll = (fs: FileSystem, handle: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(handle, bytes, at, bytes.length - at)
}

/** Runs `body` with an open handle, which is closed however it ends. */
const opened = (fs: FileSystem, file: string, flags: string, body: (handle: number) => void): void => {
  const handle = fs.openSync(file, flags)
  try {
    body(handle)
  } finally {
    fs.closeSync(handle)
  }
}

/** Some systems (Windows) can't open a folder to flush it; its files are as safe there as they get. */
const flushFolder = (fs: FileSystem, folder: string): void => {
  try {
    opened(fs, folder, 'r', (handle) => fs.fsyncSync(handle))
  } catch {
    return
  }
}

/**
 * Writes a file whole or not at all: beside it (`FILE.PID.part`), flushed to the disk, then renamed over it, and the folder flushed too. After an error
 * the old file is as it was and the part is gone. `FileError` says why: no space, no right, no such folder.
 *
 * @example
 * const saved = writeFileWhole('out/net.qtrc', checkpointToBytes(training))
 * if (isLeft(saved)) console.error(explainAll(saved.left))
 */
export const writeFileWhole = (
  file: string,
  given: string | Uint8Array,
  fs: FileSystem = nodeFs,
): E.Either<QuantErrors, void> => {
  const wrong = argumentProblems(
    'writeFileWhole',
    { file, content: given },
    { file: required(path), content: required(content) },
  )
  if (wrong.length > 0) return E.left(wrong)
  const part = `${file}.${process.pid}.part`
  const bytes = typeof given === 'string' ? new TextEncoder().encode(given) : given
  try {
    // What a killed process of the same number left goes; exclusively, so that no link there leads elsewhere.
    fs.rmSync(part, { force: true })
    opened(fs, part, 'wx', (handle) => {
      writeAll(fs, handle, bytes)
      fs.fsyncSync(handle)
    })
    fs.renameSync(part, file)
    flushFolder(fs, dirname(file))
    return E.right(undefined)
  } catch (e) {
    removeQuietly(fs, part)
    return E.left(fileError('written', file, e))
  }
}

/** What can't be removed stays; the error that led here is the one to tell. */
const removeQuietly = (fs: FileSystem, file: string): void => {
  try {
    fs.rmSync(file, { force: true })
  } catch {
    return
  }
}

/** Folders are made one by one: Node's recursive way never returns where the system says ENOENT of a folder that is there (`/proc`). */
const makeFolders = (fs: FileSystem, folder: string): void => {
  if (fs.existsSync(folder)) return
  const above = dirname(folder)
  if (above !== folder) makeFolders(fs, above)
  fs.mkdirSync(folder)
}

/** Makes a folder, and those above it, and checks that files can be written there, before any long work relies on it. */
export const ensureFolder = (folder: string, fs: FileSystem = nodeFs): E.Either<QuantErrors, void> => {
  const wrong = argumentProblems('ensureFolder', { folder }, { folder: required(path) })
  if (wrong.length > 0) return E.left(wrong)
  const probe = join(folder, `.${process.pid}.probe`)
  try {
    makeFolders(fs, resolve(folder))
    opened(fs, probe, 'w', () => undefined)
    fs.rmSync(probe, { force: true })
    return E.right(undefined)
  } catch (e) {
    return E.left(fileError('used as a folder to write to', folder, e))
  }
}

/**
 * Checks that a file can be written there, before any long work relies on it: its folder is there and can be written to, and the name is no folder's.
 * What stands in the file stays.
 */
export const ensureWritable = (file: string, fs: FileSystem = nodeFs): E.Either<QuantErrors, void> => {
  const wrong = argumentProblems('ensureWritable', { file }, { file: required(path) })
  if (wrong.length > 0) return E.left(wrong)
  const probe = `${file}.${process.pid}.probe`
  try {
    if (fs.existsSync(`${file}/.`)) throw Object.assign(new Error(`EISDIR: ${file} is a folder`), { code: 'EISDIR' })
    opened(fs, probe, 'w', () => undefined)
    fs.rmSync(probe, { force: true })
    return E.right(undefined)
  } catch (e) {
    return E.left(fileError('written', file, e))
  }
}

/** Does the name lead to another place than this very folder? Names may come out of files that others wrote. */
const leads = (name: string): boolean => name === '' || name === '.' || name === '..' || /[/\\\0]/.test(name)

const FILES = {
  files: required({
    ...record,
    says: 'a record of contents (texts or bytes) by file name',
    like: "{ 'net.c': source }",
  }),
}

/** What is wrong with the files of a folder: asked before the first is written. */
const folderProblems = (files: { readonly [name: string]: string | Uint8Array }): QuantErrors => {
  const wrong = argumentProblems('writeFolder', { files }, FILES)
  if (wrong.length > 0) return wrong
  const names = Object.keys(files)
  return [
    ...names.filter(leads).map((name) => ({
      tag: 'FileError' as const,
      file: name,
      path: '',
      message: `writeFolder was given the file name ${JSON.stringify(name)}, which does not lie in the folder itself`,
      fix: 'give plain names, without a path; writeFileWhole writes to any path',
    })),
    ...argumentProblems(
      'writeFolder',
      Object.fromEntries(names.map((n) => [n, files[n]])),
      Object.fromEntries(names.map((n) => [n, required(content)])),
    ),
  ]
}

/**
 * Writes files, by name, into a folder, which is made if need be; ends at the first that can't be written. Nothing is written where a name leads out of
 * the folder, or a content is none. Right: their paths.
 */
export const writeFolder = (
  folder: string,
  files: { readonly [name: string]: string | Uint8Array },
): E.Either<QuantErrors, readonly string[]> => {
  const wrong = folderProblems(files)
  if (wrong.length > 0) return E.left(wrong)
  const made = ensureFolder(folder)
  if (E.isLeft(made)) return made
  const paths: string[] = []
  for (const [name, content] of Object.entries(files)) {
    const file = join(folder, name)
    const written = writeFileWhole(file, content)
    if (E.isLeft(written)) return written
    paths.push(file)
  }
  return E.right(paths)
}

/** The bytes of a file, or a `FileError`. */
export const readFileBytes = (file: string, fs: FileSystem = nodeFs): E.Either<QuantErrors, Uint8Array> => {
  const wrong = argumentProblems('readFileBytes', { file }, { file: required(path) })
  if (wrong.length > 0) return E.left(wrong)
  try {
    return E.right(fs.readFileSync(file))
  } catch (e) {
    return E.left(fileError('read', file, e))
  }
}
