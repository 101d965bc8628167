/** Arrays of files as the inputs of a program, cut into its batches; results as arrays for a file. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { nearestName } from '../data/fields.js'
import { intRepr, isQuantTensor, type Output } from '../data/quantTensor.js'
import { sameShape, showShape, sizeOf, type Shape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { leaves, mapTree, type Tree } from '../data/tree.js'
import type { Program, ProgramInput } from '../graph/program.js'
import {
  npyToBytes,
  npzToBytes,
  parseNpy,
  parseNpz,
  parseSafetensors,
  type StoredArrays,
} from '../interop/arrays/index.js'
import { inflate } from '../node/index.js'
import { badFile, ofFile, shownFile, type File } from './files.js'

/** The name of an array that a `.npy` file holds. */
const ONLY = ''

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
const ZIP = [0x50, 0x4b]

/** The arrays of a file, by what it begins with, `.npy` or `.npz`, or by its ending, safetensors. */
export const arraysIn = (file: File): E.Either<QuantErrors, StoredArrays> => {
  const { bytes, path } = file
  const begins = (magic: readonly number[]): boolean => magic.every((b, i) => bytes[i] === b)
  const said = ofFile(path)
  if (begins(ZIP)) return said(parseNpz(bytes, { inflate }))
  if (begins(MAGIC)) return said(E.map((array: StoredArrays[string]) => ({ [ONLY]: array }))(parseNpy(bytes)))
  return path.endsWith('.safetensors')
    ? said(parseSafetensors(bytes))
    : badFile(
        path,
        'holds no arrays',
        'name a file that numpy.save or numpy.savez wrote (.npy, .npz), or a .safetensors',
      )
}

/** The name under which an input stands in a file: its path, with the part of a quant tensor behind it. */
const nameOf = ({ path, part }: ProgramInput): string => {
  const own = path === '' ? 'input' : path
  return part === 'tensor' || part === 'value' ? own : `${own}.${part}`
}

const inputsOf = (program: Program): readonly ProgramInput[] => program.inputs.filter((i) => i.kind === 'data')

const inputError = (input: string, message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input,
  path: '',
  message,
  fix,
})

/** Arrays by input; a single array is the single input's, whatever its name. */
const matched = (
  program: Program,
  file: File,
  arrays: StoredArrays,
): E.Either<QuantErrors, ReadonlyMap<ProgramInput, Tensor>> => {
  const inputs = inputsOf(program)
  const names = Object.keys(arrays)
  if (inputs.length === 1 && names.length === 1) return E.right(new Map([[inputs[0], arrays[names[0]]]]))
  const wanted = inputs.map(nameOf)
  const missing = wanted.filter((n) => !names.includes(n))
  if (missing.length === 0) return E.right(new Map(inputs.map((i) => [i, arrays[nameOf(i)]] as const)))
  const unused = names.filter((n) => !wanted.includes(n))
  const holds = names[0] === ONLY ? 'one array without a name' : `the arrays ${names.join(', ')}`
  return E.left(
    missing.map((n) => {
      const near = nearestName(n, unused)
      return inputError(
        n,
        `${shownFile(file.path)} holds no array ${JSON.stringify(n)}: it holds ${names.length === 0 ? 'none' : holds}`,
        near === undefined
          ? `write it with numpy.savez(file, ${wanted.map((w) => `**{${JSON.stringify(w)}: …}`).join(', ')})`
          : `call ${JSON.stringify(near)} so: ${n}`,
      )
    }),
  )
}

/** Inputs for several calls: `batches[k]` is what call k is given. */
export type Batches = {
  readonly samples: number
  readonly batch: number
  readonly count: number
  readonly rest: number
  readonly part: (k: number) => Tree<Output>
}

/** The arrays of a file, which fit: to be cut into batches of a size, or of the program's own. */
export type Cutting = (size?: number) => Batches

/** How many times the rows of an input its array holds, or why it does not fit. */
const rowsOf = (i: ProgramInput, t: Tensor): number | QuantError => {
  if (sameShape(i.shape, t.shape)) return i.shape[0] ?? 1
  const [, ...inner] = i.shape
  if (i.shape.length > 0 && t.shape.length === i.shape.length && sameShape(inner, t.shape.slice(1))) return t.shape[0]
  const open = i.shape.length > 0 ? `[N${inner.map((n) => `,${n}`).join('')}]` : '[]'
  return inputError(
    i.path,
    `${nameOf(i)} has shape ${showShape(t.shape)}, but the program takes ${showShape(i.shape)}, or ${open} in batches of ${i.shape[0] ?? 1}`,
    t.shape.length + 1 === i.shape.length
      ? `add the axis of the batch: x.reshape(1, ${t.shape.join(', ')})`
      : 'reshape or transpose the array before it is stored',
  )
}

const isShared = (i: ProgramInput): boolean => i.part === 'scale' || i.part === 'zeroPoint' || i.shape.length === 0

const sliced = (t: Tensor, batch: number, k: number, size: number): Tensor => {
  const inner = t.shape.slice(1)
  const step = sizeOf(inner)
  return { shape: [size, ...inner], data: t.data.slice(k * batch * step, (k * batch + size) * step) }
}

/** What a call is given, in the structure of the program. */
const treeOf = (program: Program, at: (i: ProgramInput) => Tensor): Tree<Output> =>
  mapTree(
    (x): x is number => typeof x === 'number',
    program.structure.data,
    (index): Output => {
      const i = program.inputs[index]
      if (i.quant === undefined) return at(i)
      const part = (p: ProgramInput['part']): Tensor => {
        const found = program.inputs.find((o) => o.kind === 'data' && o.path === i.path && o.part === p)
        return found === undefined ? { shape: [], data: new Float32Array(1) } : at(found)
      }
      const { bits, signed, training } = i.quant
      return {
        kind: 'quant',
        value: at(i),
        scale: part('scale'),
        zeroPoint: part('zeroPoint'),
        bitWidth: { shape: [], data: Float32Array.of(bits) },
        signed,
        training,
      }
    },
  )

/** Reads the arrays of a file for a program, and looks whether they fit. */
export const cuttingOf = (program: Program, file: File): E.Either<QuantErrors, Cutting> => {
  const arrays = arraysIn(file)
  if (E.isLeft(arrays)) return arrays
  const given = matched(program, file, arrays.right)
  if (E.isLeft(given)) return given
  const rows = [...given.right].map(([i, t]) => ({ i, rows: rowsOf(i, t) }))
  const errors = rows.flatMap(({ rows: r }) => (typeof r === 'number' ? [] : [r]))
  const cut = rows.filter(({ i }) => !isShared(i))
  const [first] = cut
  const uneven = cut.find(({ i, rows: r }) => r !== first.rows || i.shape[0] !== first.i.shape[0])
  if (errors.length === 0 && uneven !== undefined)
    errors.push(
      inputError(
        uneven.i.path,
        `${nameOf(first.i)} holds ${String(first.rows)} samples, and ${nameOf(uneven.i)} ${String(uneven.rows)}`,
        'give as many of each',
      ),
    )
  if (errors.length > 0) return ofFile(file.path)(E.left(errors))
  const samples = Number(first?.rows ?? 1)
  return E.right((size) => {
    const batch = size ?? Math.max(1, first?.i.shape[0] ?? 1)
    const part = (k: number): Tree<Output> =>
      treeOf(program, (i) => {
        const t = given.right.get(i) ?? { shape: [], data: new Float32Array(1) }
        const plain: Tensor = { shape: t.shape, data: t.data }
        return isShared(i) ? plain : sliced(plain, batch, k, Math.min(batch, samples - k * batch))
      })
    return { samples, batch, count: Math.ceil(samples / batch), rest: samples % batch, part }
  })
}

/** The arrays of a file in batches of the program. */
export const batchesOf = (program: Program, file: File): E.Either<QuantErrors, Batches> =>
  E.map((cut: Cutting) => cut())(cuttingOf(program, file))

/** A result of several calls. */
export type Result = { readonly name: string; readonly parts: readonly Output[] }

const isOutput = (x: unknown): x is Output =>
  typeof x === 'object' &&
  x !== null &&
  (('kind' in x && x.kind === 'quant') || ('data' in x && x.data instanceof Float32Array))

/** The results of each call, by name. */
export const resultsOf = (calls: readonly unknown[]): readonly Result[] => {
  const all = calls.map((c) => leaves(isOutput, c))
  return (all[0] ?? []).map(({ path }, k) => ({
    name: path === '' ? 'output' : path,
    parts: all.map((c) => c[k].leaf),
  }))
}

/** Tensors of all calls, one behind the other; what has no axis gets one. */
export const joined = (parts: readonly Tensor[]): Tensor => {
  const [first] = parts
  if (parts.length === 1) return first
  const inner: Shape = first.shape.slice(1)
  const data = new Float32Array(parts.reduce((n, p) => n + p.data.length, 0))
  let at = 0
  for (const p of parts) {
    data.set(p.data, at)
    at += p.data.length
  }
  const rows = parts.reduce((n, p) => n + (p.shape[0] ?? 1), 0)
  return { shape: [rows, ...inner], data }
}

/** The same in every call: said once. */
const once = (parts: readonly Tensor[]): Tensor => {
  const [first] = parts
  const same = parts.every((p) => p.data.every((v, i) => Object.is(v, first.data[i])))
  return same ? first : joined(parts.map((p) => ({ shape: [1, ...p.shape], data: p.data })))
}

/** Results as arrays: the value by its name, and of a quant tensor its integers, scale, zero point and bit width behind a dot. */
export const arraysOf = (results: readonly Result[]): StoredArrays => {
  const out: Record<string, StoredArrays[string]> = {}
  const put = (name: string, t: Tensor): void => {
    out[name] = { shape: [...t.shape], data: t.data, type: 'F32' }
  }
  for (const { name, parts } of results) {
    const quants = parts.filter(isQuantTensor)
    put(name, joined(parts.map((p) => (isQuantTensor(p) ? p.value : p))))
    if (quants.length !== parts.length) continue
    put(`${name}.int`, joined(quants.map(intRepr)))
    put(`${name}.scale`, once(quants.map((q) => q.scale)))
    put(`${name}.zeroPoint`, once(quants.map((q) => q.zeroPoint)))
    put(`${name}.bitWidth`, once(quants.map((q) => q.bitWidth)))
  }
  return out
}

/** The arrays as a file: `.npy` holds one. */
export const fileOf = (arrays: StoredArrays, npy: boolean): Uint8Array => {
  const [first] = Object.values(arrays)
  return npy ? npyToBytes(first) : npzToBytes(arrays)
}
