/** Numbers handed from our process to the peers' as files: inputs, parameters, and the results they must reproduce. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Tensor } from '../../src/index.js'

/** One tensor as a file of little-endian float32. */
type Stored = { readonly file: string; readonly shape: readonly number[] }
/** A result, and how far a peer's may be from it: the length of the difference over the length of the result. */
type Expected = Stored & { readonly tolerance: number }
/** All of one case; this is the text of its JSON file. */
type Manifest = {
  readonly given: { readonly [name: string]: Stored }
  readonly expected: { readonly [name: string]: Expected }
}

/** The numbers of one case. `given` may be shared by cases under a name of its own. */
export type Numbers = {
  readonly given: { readonly [name: string]: Tensor }
  readonly expected: { readonly [name: string]: { readonly tensor: Tensor; readonly tolerance: number } }
  /** Files of `given` tensors that several cases share, by tensor name. */
  readonly shared?: { readonly [name: string]: string }
}

const safe = (id: string): string => id.replaceAll('/', '_')

const put = (folder: string, file: string, t: Tensor): Stored => {
  const path = join(folder, file)
  if (!existsSync(path)) {
    // Complete or not there at all: another process may look.
    writeFileSync(`${path}.part`, new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength))
    renameSync(`${path}.part`, path)
  }
  return { file, shape: t.shape }
}

/** Writes the numbers of a case, unless they are there already. */
export const handOver = (folder: string, id: string, make: () => Numbers): void => {
  const path = join(folder, `${safe(id)}.json`)
  if (existsSync(path)) return
  mkdirSync(folder, { recursive: true })
  const numbers = make()
  const given = Object.fromEntries(
    Object.entries(numbers.given).map(([name, t]) => [
      name,
      put(folder, numbers.shared?.[name] ?? `${safe(id)}.${name}.f32`, t),
    ]),
  )
  const expected = Object.fromEntries(
    Object.entries(numbers.expected).map(([name, e]) => [
      name,
      { ...put(folder, `${safe(id)}.${name}.expected.f32`, e.tensor), tolerance: e.tolerance },
    ]),
  )
  writeFileSync(path, JSON.stringify({ given, expected } satisfies Manifest))
}

const take = (folder: string, s: Stored): Tensor => {
  const bytes = readFileSync(join(folder, s.file))
  return {
    shape: s.shape,
    data: new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)),
  }
}

/** What a peer reads of a case. */
export type Received = {
  readonly given: (name: string) => Tensor
  /** Throws where a result differs by more than it may; says nothing of results that are not handed over. */
  readonly check: (name: string, result: Float32Array | ArrayLike<number>) => void
}

/** The length of a − b over that of b. */
export const relativeError = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  if (a.length !== b.length) return Infinity
  let [difference, length] = [0, 0]
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2
    length += b[i] ** 2
  }
  return difference === 0 ? 0 : Number.isNaN(difference) ? Infinity : Math.sqrt(difference / length)
}

/** A peer computed something else. */
export class Mismatch extends Error {}

/** Opens the numbers of a case. */
export const receive = (folder: string, id: string): Received => {
  const path = join(folder, `${safe(id)}.json`)
  if (!existsSync(path)) throw new Error('our side handed no numbers over')
  const manifest: Manifest = JSON.parse(readFileSync(path, 'utf8'))
  return {
    given: (name) => {
      const s = manifest.given[name]
      if (s === undefined) throw new RangeError(`${id}: no numbers ${name} were handed over`)
      return take(folder, s)
    },
    check: (name, result) => {
      const e = manifest.expected[name]
      if (e === undefined) throw new RangeError(`${id}: no result ${name} was handed over`)
      const error = relativeError(result, take(folder, e).data)
      if (!(error <= e.tolerance))
        throw new Mismatch(
          `its ${name} differs from ours: relative error ${error.toPrecision(3)}, at most ${e.tolerance} is allowed`,
        )
    },
  }
}
