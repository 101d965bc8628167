/** numpy's `.npz`: a zip file of `.npy` files, stored (`numpy.savez`) or deflated (`numpy.savez_compressed`). */
import * as E from 'fp-ts/lib/Either.js'
import { failure, type QuantErrors } from '../../data/error.js'
import {
  argumentProblems,
  demandArguments,
  fieldProblems,
  func,
  required,
  whole,
  type Fields,
} from '../../data/fields.js'
import { showBytes } from '../../data/shape.js'
import type { StoredArray } from './element.js'
import { npyToBytes, readNpy } from './npy.js'
import { arraysField, bytesField, type StoredArrays } from './stored.js'
import { crc32, MOST_ZIP, nameProblem, readZip, zipOf, type ZipEntry } from './zip.js'

/** Raw deflate (RFC 1951) undone: `size` bytes, which are then checked; it throws where the bytes are broken or hold more. */
export type Inflate = (packed: Uint8Array, size: number) => Uint8Array

/** How a file is read. */
export type NpzOptions = {
  /**
   * Undoes deflate, for files of `numpy.savez_compressed`. In Node: `inflate` of `quantrace/node`; in a page a library's, fflate's for instance:
   * `(packed, size) => inflateSync(packed, { out: new Uint8Array(size) })`. What a browser itself has is asynchronous.
   */
  readonly inflate?: Inflate
  /** How many bytes may be unpacked in all (default 1 GiB): a small file can hold a thousand times its size. */
  readonly mostBytes?: number
}

const OPTIONS: Fields<NpzOptions> = { inflate: func, mostBytes: whole }

const MOST_BYTES = 2 ** 30
/** Deflate can't do better: 258 bytes from two bits. */
const BEST_RATIO = 1032
const ENDING = '.npy'
const [STORED, DEFLATED] = [0, 8]
const METHODS: { readonly [method: number]: string } = { 9: 'deflate64', 12: 'bzip2', 14: 'LZMA', 93: 'zstandard' }

const FIX = 'write it again with numpy.savez; a file that was cut off or changed can not be mended'

const bad = (message: string, where: string, fix = FIX): E.Either<QuantErrors, never> =>
  E.left([{ tag: 'ParseError', where, path: '', message: `this is no .npz file of arrays: ${message}`, fix }])

const shown = (name: string): string => JSON.stringify(name).slice(0, 100)

const inflated = (
  { name, packed, size }: ZipEntry,
  inflate: Inflate | undefined,
): E.Either<QuantErrors, Uint8Array> => {
  if (inflate === undefined)
    return bad(
      `${shown(name)} is compressed, and nothing was given that undoes it`,
      name,
      "give parseNpz(bytes, { inflate }): in Node that of 'quantrace/node'; or write the file with numpy.savez, which does not compress",
    )
  try {
    return E.right(inflate(packed, size))
  } catch (e) {
    return bad(`${shown(name)} can't be unpacked (${e instanceof Error ? e.message : String(e)})`, name)
  }
}

/** What an entry holds, checked by its size and its CRC. */
const contentOf = (entry: ZipEntry, options: NpzOptions): E.Either<QuantErrors, Uint8Array> => {
  const { name, method, packed, size, crc } = entry
  if (method !== STORED && method !== DEFLATED)
    return bad(
      `${shown(name)} is compressed by ${METHODS[method] ?? `method ${method}`}, which is not read`,
      name,
      'write it with numpy.savez or numpy.savez_compressed',
    )
  if (size > packed.length * BEST_RATIO)
    return bad(`${shown(name)} is said to hold ${size} bytes in ${packed.length}`, name)
  const content = method === STORED ? E.right(packed) : inflated(entry, options.inflate)
  if (E.isLeft(content)) return content
  const bytes: unknown = content.right
  if (!(bytes instanceof Uint8Array) || bytes.length !== size)
    return bad(`${shown(name)} does not hold the ${size} bytes that it is said to hold`, name)
  return crc32(bytes) === crc ? E.right(bytes) : bad(`${shown(name)} was changed: its CRC-32 does not fit`, name)
}

const arrayOf = (entry: ZipEntry, options: NpzOptions): E.Either<QuantErrors, StoredArray> => {
  if (!entry.name.endsWith(ENDING))
    return bad(
      `it holds ${shown(entry.name)}, which is no ${ENDING} file`,
      entry.name,
      entry.name.endsWith('.pkl')
        ? 'this is a checkpoint of PyTorch, whose pickle is never read: write safetensors there (safetensors.torch.save_file)'
        : 'leave in it what numpy.savez writes',
    )
  const content = contentOf(entry, options)
  if (E.isLeft(content)) return content
  return E.mapLeft((errors: QuantErrors) =>
    errors.map((e) =>
      e.tag === 'ParseError' ? { ...e, where: entry.name, message: `${shown(entry.name)}: ${e.message}` } : e,
    ),
  )(readNpy(content.right))
}

const isFolder = ({ name, size }: ZipEntry): boolean => name.endsWith('/') && size === 0

/**
 * The arrays of a `.npz` file by name, as `parseNpy` reads each. Entries are checked before anything is made of them: names, places, sizes, CRC-32; ZIP64
 * is read, encrypted files are not. Errors: a ParseError that names the entry.
 *
 * @example
 * const { x, target } = orThrow(parseNpz(orThrow(readFileBytes('data.npz')), { inflate }))
 */
export const parseNpz = (bytes: Uint8Array, options: NpzOptions = {}): E.Either<QuantErrors, StoredArrays> => {
  const wrong = [
    ...argumentProblems('parseNpz', { bytes }, { bytes: required(bytesField) }),
    ...fieldProblems('parseNpz', options, OPTIONS),
  ]
  if (wrong.length > 0) return E.left(wrong)
  const zip = readZip(bytes)
  if (E.isLeft(zip)) return bad(zip.left, 'zip')
  const entries = zip.right.filter((e) => !isFolder(e))
  const large = entries.reduce((n, e) => n + (e.method === STORED ? 0 : e.size), 0)
  const most = options.mostBytes ?? MOST_BYTES
  if (large > most)
    return bad(
      `unpacked, it takes ${showBytes(large)}; at most ${showBytes(most)} are allowed`,
      'zip',
      `if you trust the file, allow it: parseNpz(bytes, { mostBytes: ${large} })`,
    )
  const out: Record<string, StoredArray> = Object.create(null)
  for (const entry of entries) {
    const array = arrayOf(entry, options)
    if (E.isLeft(array)) return array
    out[entry.name.slice(0, -ENDING.length)] = array.right
  }
  return E.right(out)
}

const refuse = (input: string, message: string, fix: string): never => {
  throw failure([{ tag: 'InputError', input, path: '', message, fix }])
}

/**
 * Arrays as a `.npz` file, which `numpy.load` reads; stored, names in order, so that the same arrays give the same bytes. Throws a QuantFailure where a
 * name would lead out of the archive, an integer type can't hold a number, or all together take 4 GiB.
 *
 * @example
 * orThrow(writeFileWhole('outputs.npz', npzToBytes({ logits: { ...valueOf(outputs), type: 'F32' } })))
 */
export const npzToBytes = (arrays: StoredArrays): Uint8Array => {
  demandArguments('npzToBytes', { arrays }, { arrays: required(arraysField) })
  const files = Object.keys(arrays)
    .toSorted()
    .map((name) => {
      const problem = nameProblem(`${name}${ENDING}`)
      if (problem !== null)
        refuse(name, `npzToBytes: ${problem}`, 'give a plain name, of letters and dots for instance')
      return [`${name}${ENDING}`, npyToBytes(arrays[name])] as const
    })
  const size = files.reduce((n, [name, content]) => n + content.length + 2 * (name.length * 3 + 50), 22)
  if (size > MOST_ZIP.bytes || files.length > MOST_ZIP.files)
    refuse(
      'arrays',
      `npzToBytes was given ${files.length} arrays that take ${showBytes(size)}; a file without ZIP64 holds 65534 and 4 GiB`,
      'write several files',
    )
  return zipOf(files)
}
