/** Runs one kernel in a memory full of noise, checks that it writes nowhere else, and splits its stages as it is told. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { sizeOf, type Shape } from '../../../src/data/shape.js'
import { tensor } from '../../../src/data/tensor.js'
import type { Kernel, KernelSpec } from '../../../src/evaluator/wasm/kernel.js'
import { isRefusal, type Attrs } from '../../../src/graph/op.js'
import { ops } from '../../../src/ops/index.js'
import { instantiate, rounded, type Runnable } from './instantiate.js'

/** Which units one call does, in the order of the calls. */
export type Split = (units: number) => readonly (readonly [number, number])[]
/** All units in one call. */
export const whole: Split = (units) => [[0, units]]
/** Unit by unit, the last first. */
export const backwards: Split = (units) => Array.from({ length: units }, (_, i) => [units - 1 - i, units - i])
/** Two unequal parts, the second first. */
export const third: Split = (units) => [
  [Math.ceil(units / 3), units],
  [0, Math.ceil(units / 3)],
]

/** A kernel in memory, with its operands. */
export type Loaded = Pick<Runnable, 'outs' | 'stages'> & { readonly run: (split?: Split) => void }

/** Memory in which every change is looked at after a run; larger ones only cost time. */
const WATCHED = 1 << 22

/** Lines of 64 bytes that a kernel may write: its outputs, its scratch, its flags. */
const writable = (kernel: Kernel, { places }: Runnable, outSizes: readonly number[]): ReadonlySet<number> => {
  const regions = [
    ...outSizes.map((n, i) => [places.outs[i], n * 4] as const),
    [places.scratch, kernel.scratch] as const,
    [places.flags, 8] as const,
  ]
  return new Set(regions.flatMap(([at, bytes]) => Array.from({ length: rounded(bytes) / 64 }, (_, i) => at / 64 + i)))
}

/** Puts a kernel and its operands into memory. Outputs are given by their numbers of elements. */
export const loadKernel = (kernel: Kernel, args: readonly Float32Array[], outSizes: readonly number[]): Loaded => {
  const made = instantiate(
    kernel,
    args.map((a) => a.length),
    outSizes,
  )
  args.forEach((a, i) => made.args[i].set(a))
  const written = writable(kernel, made, outSizes)
  const words = new Int32Array(made.memory.buffer)
  const before = words.slice()
  return {
    outs: made.outs,
    stages: made.stages,
    run: (split = whole) => {
      made.run((stage) => split(stage.units).forEach(([from, to]) => stage.run(from, to)))
      if (words.byteLength > WATCHED) return
      for (let i = 0; i < words.length; i++)
        if (words[i] !== before[i] && !written.has(i >> 4))
          assert.fail(`${kernel.name} wrote at ${4 * i}, outside its outputs and scratch`)
    },
  }
}

/** The outputs of a kernel, run once on fresh memory. */
export const runKernel = (
  kernel: Kernel,
  args: readonly Float32Array[],
  outSizes: readonly number[],
  split: Split = whole,
): readonly Float32Array[] => {
  const loaded = loadKernel(kernel, args, outSizes)
  loaded.run(split)
  return loaded.outs.map((o) => o.slice())
}

/** Are two arrays the same to the bit, NaN of any kind being one? */
export const sameBits = (a: Float32Array, b: Float32Array): boolean =>
  a.length === b.length && a.every((x, i) => Object.is(x, b[i]))

/** Fails where two arrays differ, saying where. */
export const assertSameBits = (a: Float32Array, b: Float32Array, what: string): void => {
  const i = a.findIndex((x, i) => !Object.is(x, b[i]))
  if (a.length !== b.length || i >= 0)
    assert.fail(`${what}: element ${i} is ${a[i]}, expected ${b[i]} (${a.length} and ${b.length} elements)`)
}

/** What tests draw numbers from. */
export type Kind = 'plain' | 'ties' | 'wild' | 'relu' | 'zeros'

const SPECIAL = [
  0,
  -0,
  NaN,
  Infinity,
  -Infinity,
  1e-45,
  -1e-45,
  1.1754942e-38,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  1,
  -1,
  2,
  0.5,
]

/** Float32 arrays of one length: plain numbers, few values often repeated, or anything with NaN and infinities; a seed determines the numbers. */
export const numbers = (length: number, seed: number, kind: Kind): Float32Array => {
  let state = (seed * 2654435761 + 12345) >>> 0
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const plain = (): number => next() + next() + next() - 1.5
  const one = (): number => {
    if (kind === 'zeros') return 0
    if (kind === 'ties') return Math.floor(next() * 7) - 3
    if (kind === 'relu') return Math.max(0, plain())
    if (kind === 'wild') return next() < 0.3 ? SPECIAL[Math.floor(next() * SPECIAL.length)] : plain()
    return plain()
  }
  return Float32Array.from({ length }, one)
}

/** A kind of numbers. */
export const kinds = fc.constantFrom(
  'plain' as const,
  'ties' as const,
  'wild' as const,
  'relu' as const,
  'zeros' as const,
)
/** A seed of numbers. */
export const seeds = fc.integer({ min: 0, max: 1e6 })

/** Runs an op by its kernel, split in three ways, and compares each bit with the reference (or as `same` says). */
export const checkOp = (
  make: (spec: KernelSpec) => Kernel | null,
  op: string,
  shapes: readonly Shape[],
  attrs: Attrs,
  kind: Kind,
  seed: number,
  same: typeof assertSameBits = assertSameBits,
): void => {
  const shape = ops[op].shape(shapes, attrs)
  if (isRefusal(shape)) return assert.fail(shape.refuse)
  const args = shapes.map((s, i) => numbers(sizeOf(s), seed + i, kind))
  checkArgs(make, { op, attrs, shapes, shape }, args, same)
}

/** The same of given numbers. */
export const checkArgs = (
  make: (spec: KernelSpec) => Kernel | null,
  spec: KernelSpec,
  args: readonly Float32Array[],
  same: typeof assertSameBits = assertSameBits,
): void => {
  const { op, attrs, shapes, shape } = spec
  const n = sizeOf(shape)
  const kernel = make(spec)
  if (kernel === null)
    return assert.fail(`no kernel for ${op} of ${shapes.map((s) => `[${s.join()}]`).join()} ${JSON.stringify(attrs)}`)
  const out = tensor(shape, new Float32Array(n))
  assert.equal(
    ops[op].evaluate(
      args.map((a, i) => tensor(shapes[i], a)),
      attrs,
      out,
    ),
    null,
  )
  const what = `${kernel.name}, ${shapes.map((s) => `[${s.join()}]`).join()} ${JSON.stringify(attrs)}`
  const first = runKernel(kernel, args, [n])[0]
  same(first, out.data, what)
  for (const split of [backwards, third])
    assertSameBits(runKernel(kernel, args, [n], split)[0], first, `${what}, split otherwise`)
}
