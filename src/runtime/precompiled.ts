/** Programs that were compiled ahead of time (`precompile`), loaded from their file and run in the calling thread. */
import * as E from 'fp-ts/lib/Either.js'
import type { Declaration } from '../data/declaration.js'
import type { QuantError, QuantErrors, QuantWarning } from '../data/error.js'
import { fieldProblems, flag, type Field, type Fields } from '../data/fields.js'
import type { Output } from '../data/quantTensor.js'
import type { Shape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { mapTree, type Tree } from '../data/tree.js'
import type { TrustOptions } from '../evaluator/backend.js'
import { backendError } from '../evaluator/messages.js'
import type { Header, Place, StoredCalls } from '../evaluator/precompiled/header.js'
import { isOp, type OpTable } from '../graph/op.js'
import type { ProgramInput } from '../graph/program.js'
import { outputOf } from '../graph/results.js'
import { bindInputs } from '../nn/program/binding.js'
import { disposed } from '../nn/program/refusals.js'
import { hostCall, opsByName, viewOf, type Call } from './host.js'
import { open, refused, type Opened } from './load.js'

/** What a program takes: a tensor, or with `part` other than `tensor` a part of the quant tensor at this path. */
export type PrecompiledInput = {
  /** Where it stands in the inputs; empty where these are a single tensor. */
  readonly path: string
  readonly part: 'tensor' | 'value' | 'scale' | 'zeroPoint'
  readonly shape: Shape
  /** As what the quant tensor was declared (on its `value`). */
  readonly quant?: Declaration
  /** Present if its numbers must be whole (`integer`: indices, classes), or 0 and 1 (`boolean`: masks). */
  readonly dtype?: 'integer' | 'boolean'
}

/** What a run gives. */
export type PrecompiledRun<O> = { readonly outputs: O; readonly warnings: readonly QuantWarning[] }

/** A loaded program. The same inputs give the same bits, always: those of `compile(program, wasm)`. */
export type Precompiled<I, O> = {
  readonly inputs: readonly PrecompiledInput[]
  /** Runs it once. Inputs are checked and copied in, results copied out. */
  readonly run: (inputs: I, options?: TrustOptions) => E.Either<QuantErrors, PrecompiledRun<O>>
  /** Lets go of its memory; a run after this is a `BackendError`. */
  readonly dispose: () => void
}

/** How a file is loaded. */
export type LoadOptions = {
  /** Records of ops that run outside WebAssembly, your own for instance, by name. What is missing, the error names. */
  readonly ops?: OpTable
}

const opsField: Field = {
  says: 'a record of ops by name',
  like: '{ myOp }',
  holds: (x) => typeof x === 'object' && x !== null && Object.values(x).every(isOp),
}
const LOAD: Fields<LoadOptions> = { ops: opsField }
const RUN: Fields<TrustOptions> = { trusted: flag }

/** One way to compute the results: where inputs go, what is called, where results lie. */
type Way = {
  readonly storage: readonly (Float32Array | null)[]
  readonly calls: readonly Call[]
  readonly results: Header['results']
}

/** The calls of one execution, in order. */
const callsOf = (
  { order, hosts }: StoredCalls,
  { functions, memory }: Opened,
  where: string,
  ops: OpTable,
): E.Either<QuantErrors, readonly Call[]> => {
  const known = opsByName(ops)
  const calls: Call[] = []
  for (const o of order) {
    const f = typeof o === 'string' ? functions.get(o) : undefined
    if (f !== undefined) {
      calls.push(() => (f(0, 1) === 0 ? null : backendError('precompiled', `${o} did not end well`, RELOAD)))
      continue
    }
    const made = hostCall(hosts[Number(o)], `${where}hosts[${o}]`, memory, known)
    if (E.isLeft(made)) return refused(made.left)
    calls.push(made.right)
  }
  return E.right(calls)
}

/** The way with bytes, with the word that says whether it could be gone; what both have in common is copied. */
const bytesWay = (
  opened: Opened,
  ops: OpTable,
): E.Either<QuantErrors, (Way & { readonly guard: Float32Array }) | null> => {
  const { header, memory } = opened
  const { bytes } = header
  if (bytes === undefined) return E.right(null)
  for (const copy of bytes.copies) {
    const [from, to] = [viewOf(memory, copy.from).data, viewOf(memory, copy.to).data]
    to.set(from.subarray(0, to.length))
  }
  return E.map((calls: readonly Call[]) => ({
    calls,
    results: bytes.results,
    storage: bytes.inputs.map((place) => (place === null ? null : viewOf(memory, place).data)),
    guard: viewOf(memory, bytes.guard).data,
  }))(callsOf(bytes, opened, 'bytes.', ops))
}

/** All ways, the one to try first in front. */
const waysOf = (opened: Opened, ops: OpTable): E.Either<QuantErrors, Ways> => {
  const { header, memory } = opened
  const calls = callsOf(header, opened, '', ops)
  if (E.isLeft(calls)) return calls
  const storage = header.inputs.map(({ at, shape }) => (at === null ? null : viewOf(memory, { at, shape }).data))
  const plain: Way = { storage, calls: calls.right, results: header.results }
  return E.map((bytes: Ways['bytes']): Ways => ({ plain, bytes }))(bytesWay(opened, ops))
}

type Ways = { readonly plain: Way; readonly bytes: (Way & { readonly guard: Float32Array }) | null }

const goneBy = ({ storage, calls }: Way, given: readonly Tensor[]): QuantError | null => {
  given.forEach((t, i) => storage[i]?.set(t.data))
  for (const call of calls) {
    const failure = call()
    if (failure !== null) return failure
  }
  return null
}

/** Computes; gives where the results lie. */
const computed = ({ plain, bytes }: Ways, given: readonly Tensor[]): E.Either<QuantError, Header['results']> => {
  bytes?.guard.fill(0)
  const failure = bytes === null ? null : goneBy(bytes, given)
  if (failure !== null) return E.left(failure)
  if (bytes !== null && bytes.guard[0] === 0) return E.right(bytes.results)
  const other = goneBy(plain, given)
  return other === null ? E.right(plain.results) : E.left(other)
}

const RELOAD = 'make the file again with precompile, and load it anew'

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** A file opened, with its calls, as a program. */
const programOf = <I, O>({ header, memory }: Opened, ways: Ways): Precompiled<I, O> => {
  const inputs = header.inputs.map(({ at: _, ...input }, node): ProgramInput => ({
    ...input,
    kind: 'data',
    node,
    learned: false,
  }))
  let left: Ways | null = ways
  const copyOf = (place: Place): Tensor => ({ shape: place.shape, data: viewOf(memory, place).data.slice() })
  const execute = (all: Ways, given: readonly Tensor[]): E.Either<QuantErrors, PrecompiledRun<O>> => {
    const done = computed(all, given)
    if (E.isLeft(done)) return E.left([done.left])
    const results = done.right.map((r): Output => outputOf(r, copyOf))
    return E.right({
      outputs: mapTree(isIndex, header.tree, (i) => results[i]) as O,
      warnings: header.warnings,
    })
  }
  return {
    inputs: header.inputs.map(({ at: _, ...input }) => input),
    run: (given, options = {}) => {
      if (left === null) return E.left(disposed('this precompiled program', 'precompiled'))
      const wrong = fieldProblems('run', options, RUN)
      if (wrong.length > 0) return E.left(wrong)
      const bound = bindInputs({ inputs }, { params: null, state: null, inputs: given }, options)
      if (E.isLeft(bound)) return bound
      try {
        return execute(left, bound.right)
      } catch (e) {
        // Only the code of a file that precompile did not write ends like this.
        return E.left([backendError('precompiled', `the program was stopped: ${String(e)}`, RELOAD)])
      }
    },
    dispose: () => {
      left = null
    },
  }
}

/**
 * Loads what `precompile` wrote. The file is checked (checksum, module, every field and place of its header): what is wrong is a `ParseError`,
 * an engine that can't run it a `BackendError`, and nothing is thrown. The module has no imports: it reaches nothing but its own memory. A
 * checksum is no signature, though: a file of unknown origin may compute for ever. The types of inputs and outputs are taken on trust; a run checks
 * the inputs.
 *
 * @example
 * const bytes = new Uint8Array(await (await fetch('net.wasm')).arrayBuffer())
 * const net = orThrow(await loadPrecompiled<Tensor, Tensor>(bytes))
 * const { outputs } = orThrow(net.run(tensorOf([1, 4], [1, 2, 3, 4])))
 */
export const loadPrecompiled = async <I = unknown, O = Tree<Output>>(
  bytes: Uint8Array,
  options: LoadOptions = {},
): Promise<E.Either<QuantErrors, Precompiled<I, O>>> => {
  const wrong = fieldProblems('loadPrecompiled', options, LOAD)
  if (wrong.length > 0) return E.left(wrong)
  const opened = await open(bytes)
  if (E.isLeft(opened)) return opened
  const ways = waysOf(opened.right, options.ops ?? {})
  return E.isLeft(ways) ? ways : E.right(programOf<I, O>(opened.right, ways.right))
}
