/** Loops over the steps of sequences, for recurrent cells of one's own: trees of values around the primitive. */
import { failure, type QuantError } from '../../data/error.js'
import {
  argumentProblems,
  count,
  demand,
  fieldProblems,
  flag,
  func,
  required,
  showGiven,
  type Fields,
} from '../../data/fields.js'
import { showShape } from '../../data/shape.js'
import { leaves, mapTree } from '../../data/tree.js'
import type { Kit, Scanned, Value } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'
import { cat, reshape } from './shapes.js'

/** How a loop runs. */
export type ScanOptions = {
  /** The last step first (default false). Results stand in the order of the sequences all the same. */
  readonly reverse?: boolean
  /** How many steps; needed where there is no sequence to count them by. */
  readonly length?: number
  /**
   * Keep the carries of every k-th step only: the backward pass computes the k steps between anew. Memory for T/k + k steps instead of T, for one
   * forward pass more; √T is a good k. Same values; gradients up to the order of sums. Where k does not divide the steps, the claimed scale of a
   * stack whose steps have scales of their own is the mean of two parts' means.
   */
  readonly checkpoint?: number
}

const OPTIONS: Fields<ScanOptions> = { reverse: flag, length: count, checkpoint: count }

const wrong = (input: string, message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input,
  path: '',
  message: `scan: ${message}`,
  fix,
})

const DEEPEST = 64

/** The place of what is neither value nor record nor list of such, and what it is; null where all is well. */
const stray = (tree: unknown, path: string, depth = 0): readonly [string, unknown] | null => {
  if (isValue(tree)) return null
  if (typeof tree !== 'object' || tree === null || ArrayBuffer.isView(tree) || 'data' in tree) return [path, tree]
  // No carry is nested that deep: it holds itself.
  if (depth > DEEPEST) return [path, tree]
  for (const [key, inner] of Object.entries(tree)) {
    const found = stray(inner, path === '' ? key : `${path}.${key}`, depth + 1)
    if (found !== null) return found
  }
  return null
}

const strayProblems = (what: string, tree: unknown): readonly QuantError[] => {
  const found = stray(tree, '')
  return found === null
    ? []
    : [
        wrong(
          what,
          `${what}${found[0] === '' ? '' : ` at ${found[0]}`} is ${showGiven(found[1])}, and no traced value`,
          'give values, or records and lists of values; numbers to start from are made of one: mul(x, 0), or sum(x, 0) of what has the right shape',
        ),
      ]
}

/** A tree of values taken apart. */
type Taken = {
  readonly values: readonly Value[]
  readonly names: readonly string[]
  readonly whole: (v: readonly Value[]) => unknown
}

const taken = (tree: unknown): Taken => {
  const found = leaves(isValue, tree)
  return {
    values: found.map((l) => l.leaf),
    names: found.map((l) => l.path),
    whole: (values) => {
      let next = 0
      return mapTree(isValue, tree, () => values[next++])
    },
  }
}

const listed = (names: readonly string[]): string =>
  names.length === 0 ? 'nothing' : names.map((n) => (n === '' ? 'a single value' : n)).join(', ')

/** What a step handed back, if it is what a step may hand back. */
const handedBack = (out: unknown, carry: Taken): readonly [Taken, Taken] => {
  if (!Array.isArray(out) || out.length !== 2)
    throw failure([
      wrong(
        'body',
        `the body returned ${showGiven(out)}; it must return a pair, the next carry and the result of the step`,
        'return [carry, y], with {} for y where a step has no result',
      ),
    ])
  const [next, y]: readonly unknown[] = out
  demand([...strayProblems('the carry that the body returned', next), ...strayProblems('the result of a step', y)])
  const back = taken(next)
  const places = (t: Taken): string => [...t.names].sort().join('|')
  if (places(back) !== places(carry))
    throw failure([
      wrong(
        'body',
        `the carry consists of ${listed(carry.names)}, but the body hands back ${listed(back.names)}`,
        'let the body hand back every part of the carry, and no other: what is new in a step is its result',
      ),
    ])
  return [back, taken(y)]
}

/** The values of a tree in the order of another one with the same places. */
const inOrderOf = (t: Taken, names: readonly string[]): readonly Value[] =>
  names.flatMap((n) => {
    const i = t.names.indexOf(n)
    return i < 0 ? [] : [t.values[i]]
  })

/** All that a loop is: its operands taken apart, and one step over them that notes what it gave. */
type Loop = {
  readonly kit: Kit
  readonly carry: Taken
  readonly xs: Taken
  readonly reverse: boolean
  readonly step: (carry: readonly Value[], xs: readonly Value[]) => Scanned
}

const stepsOf = (loop: Loop, kit: Kit, carry: readonly Value[], xs: readonly Value[], length: number): Scanned =>
  kit.scan({
    carry,
    xs,
    length,
    reverse: loop.reverse,
    names: { carry: loop.carry.names, xs: loop.xs.names },
    body: loop.step,
  })

const ranged = (x: Value, start: number, end: number): Value => x.kit.emit('slice', [x], { dim: 0, start, end })

/** Stretches of k steps as steps of a loop around them; what is left over is a loop of its own, at the end that runs last. */
const inStretches = (loop: Loop, length: number, k: number): Scanned => {
  const { kit, reverse } = loop
  const many = Math.floor(length / k)
  const rest = length - many * k
  const from = reverse ? rest : 0
  const cut = (x: Value): Value => {
    const own = rest === 0 ? x : ranged(x, from, from + many * k)
    return reshape(own, [many, k, ...x.shape.slice(1)])
  }
  const most = kit.scan({
    carry: loop.carry.values,
    xs: loop.xs.values.map(cut),
    length: many,
    reverse,
    names: { carry: loop.carry.names, xs: loop.xs.names },
    body: (carry, xs, inner) => stepsOf(loop, inner, carry, xs, k),
  })
  const joined = most.ys.map((y) => reshape(y, [many * k, ...y.shape.slice(2)]))
  if (rest === 0) return { carry: most.carry, ys: joined }
  const start = reverse ? 0 : many * k
  const last = stepsOf(
    loop,
    kit,
    most.carry,
    loop.xs.values.map((x) => ranged(x, start, start + rest)),
    rest,
  )
  return { carry: last.carry, ys: joined.map((y, i) => cat(reverse ? [last.ys[i], y] : [y, last.ys[i]], 0)) }
}

/** The number of steps, which sequences and options must agree on. */
const lengthOf = (xs: Taken, { length }: ScanOptions): number => {
  const scalar = xs.values.findIndex((x) => x.shape.length === 0)
  if (scalar >= 0)
    throw failure([
      wrong(
        'xs',
        `the sequence ${xs.names[scalar]} is a single number, which has no steps`,
        'give sequences with one slice per step along the first axis; what all steps share the body may use as it is',
      ),
    ])
  const steps = xs.values.map((x) => x.shape[0])
  const known = steps[0] ?? length
  if (known === undefined)
    throw failure([wrong('length', 'there is no sequence to count the steps by', 'give { length: 10 }, for instance')])
  const odd = steps.findIndex((n) => n !== known)
  if (odd >= 0 || (length !== undefined && length !== known))
    throw failure([
      wrong(
        'xs',
        odd >= 0
          ? `sequences differ in length: ${xs.values.map((x, i) => `${xs.names[i]} ${showShape(x.shape)}`).join(', ')}`
          : `the sequences have ${known} steps, but length is ${length}`,
        'give sequences with one slice per step along the first axis: permute(x, [1, 0, 2]) brings time to the front',
      ),
    ])
  if (known === 0)
    throw failure([wrong('xs', 'the sequences have no step', 'give at least one slice along the first axis')])
  return known
}

/**
 * A loop over steps as one node of the graph, whatever their number: `body(carry, x)` is traced once, gets what the step before handed back and its slice of
 * each sequence (along the first axis), and returns `[carry, y]`. Gives the last carry and the results stacked along a new first axis, as jax.lax.scan.
 * Carry, sequences and results are values, or records and lists of them; the body may use values around it. State of layers goes round as part of the carry.
 * A quant tensor stays one from step to step where the body hands it back on a grid of the same kind. Differentiated in reverse, to any order.
 * @example
 * ```ts
 * import { add, functionLayer, orThrow, run, scan, tensorInput, tensorOf, trace, type Value } from 'quantrace'
 *
 * const sums = functionLayer('Sums', (xs: Value) => {
 *   const [, ys] = scan((sum: Value, x: Value) => [add(sum, x), add(sum, x)], xs.kit.constant(0), xs)
 *   return ys
 * })
 * const program = orThrow(trace(sums, tensorInput([4]), { mode: 'eval' }))
 * const { outputs } = orThrow(run(program, { params: {}, state: {}, inputs: tensorOf([4], [1, 2, 3, 4]) }))
 * console.log(outputs)
 * ```
 * ```text
 * { shape: [ 4 ], data: Float32Array(4) [ 1, 3, 6, 10 ] }
 * ```
 */
export const scan = <C, X, N extends C, Y>(
  body: (carry: C, x: X) => readonly [carry: N, y: Y],
  carry: C,
  xs: X,
  options: ScanOptions = {},
): readonly [carry: N, ys: Y] => {
  demand([
    ...argumentProblems('scan', { body }, { body: required(func) }),
    ...strayProblems('the carry', carry),
    ...strayProblems('the sequences', xs),
    ...fieldProblems('scan', options, OPTIONS),
  ])
  const [start, sequences] = [taken(carry), taken(xs)]
  const first = start.values[0] ?? sequences.values[0]
  if (first === undefined)
    throw failure([wrong('carry', 'there is neither a carry nor a sequence', 'give at least one traced value')])
  const length = lengthOf(sequences, options)
  let seen: readonly [Taken, Taken] = [start, taken({})]
  const loop: Loop = {
    kit: first.kit,
    carry: start,
    xs: sequences,
    reverse: options.reverse === true,
    step: (now, slices) => {
      const out = handedBack(body(start.whole(now) as C, sequences.whole(slices) as X), start)
      seen = out
      return { carry: inOrderOf(out[0], start.names), ys: out[1].values }
    },
  }
  const k = options.checkpoint ?? length
  const done =
    k >= length ? stepsOf(loop, loop.kit, start.values, sequences.values, length) : inStretches(loop, length, k)
  const [back, y] = seen
  const last = back.whole(back.names.map((n) => done.carry[start.names.indexOf(n)]))
  return [last as N, y.whole(done.ys) as Y]
}
