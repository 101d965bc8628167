/**
 * A loop as one node. What a carry carries is decided by a fixed point over the body: a quant tensor that comes back as one of the same kind
 * stays one, its scale handed on beside its value; else it is plain in the body. A carry that the body hands back untouched is shared by
 * all steps, and what depends on such alone is computed once, outside.
 */
import { failure } from '../data/error.js'
import { float, intMax, intMin } from '../data/quant.js'
import { sameShape, showShape } from '../data/shape.js'
import type { Builder } from './building.js'
import type { ScanSpec, Scanned, Value } from './op.js'
import { emitted, gridOf, onGrid, partsOf, plainOf, type Grid, type Opened, type Traced, type Way } from './scanOut.js'

/** A grid on which both lie, or null: then the carry is plain in the body. */
const joined = (a: Grid | null, b: Grid | null): Grid | null => {
  if (a === null || b === null) return null
  if (a.bits !== b.bits || a.signed !== b.signed || a.training !== b.training || a.zero !== b.zero) return null
  const same = a.lo === b.lo && a.hi === b.hi && a.slack === b.slack
  return {
    ...a,
    // Ranges that move are the whole range at once, so that the fixed point is reached.
    lo: same ? a.lo : Math.min(a.lo, b.lo, intMin(a.bits, a.signed)),
    hi: same ? a.hi : Math.max(a.hi, b.hi, intMax(a.bits, a.signed)),
    slack: Math.max(a.slack, b.slack),
    claim: a.claim ?? b.claim,
  }
}

const sameGrid = (a: Grid | null, b: Grid | null): boolean => JSON.stringify(a) === JSON.stringify(b)

/** An input of a body: by its place, and as the program calls it. */
const named = (place: string, name: string | undefined): string =>
  name === undefined || name === '' ? place : `${place} ${name}`

/** Declares the carries of a body. */
const opened = (
  outer: Builder,
  child: Builder,
  carry: readonly Value[],
  ways: readonly Way[],
  names: readonly string[],
): Opened => {
  const inits: Value[] = []
  const leaf = (init: Value, name: string, dtype = init.dtype): Value => {
    inits.push(init)
    return child.input('branch', named(`carry${inits.length - 1}`, name), init.shape, float, dtype)
  }
  const given = carry.map((v, i): Value => {
    const way = ways[i]
    if (way.kind === 'shared') return v
    const name = names[i] ?? ''
    if (way.kind === 'plain') return leaf(v, name)
    const value = leaf(v, name, 'float')
    const [scale, zeroPoint] = partsOf(outer, v)
    const part = (p: Value, of: string): Value => (way.fixed ? (child.capture(p) ?? p) : leaf(p, `${name}.${of}`))
    const ids = {
      scale: part(scale, 'scale').id,
      zeroPoint: part(zeroPoint, 'zeroPoint').id,
      bitWidth: child.constant(way.grid.bits).id,
    }
    return child.declare(value, onGrid(way.grid, ids))
  })
  return { inits, given }
}

/** Traces the body once; null where it failed. */
const traced = (b: Builder, spec: ScanSpec, ways: readonly Way[]): Traced | null => {
  const before = b.errors.length
  // Before the body is opened: until it is closed, all that is emitted goes into it.
  const carry = spec.carry.map((v, i) => (ways[i].kind === 'plain' ? plainOf(v) : v))
  const child = b.open(spec.path)
  try {
    const start = opened(b, child, carry, ways, spec.names?.carry ?? [])
    const xs = spec.xs.map((x, i) =>
      child.input('branch', named(`x${i}`, spec.names?.xs[i]), x.shape.slice(1), float, x.dtype),
    )
    const out = spec.body(start.given, xs, child)
    const own = (v: Value): Value => child.capture(v) ?? v
    const done = { child, opened: start, carry: out.carry.map(own), ys: out.ys.map(own) }
    return b.errors.length > before || misshapen(b, spec, done.carry) ? null : done
  } finally {
    b.close()
  }
}

/** Refuses carries that come back otherwise than they were given. */
const misshapen = (b: Builder, spec: ScanSpec, carry: readonly Value[]): boolean => {
  const refuse = (said: string): boolean => {
    b.fail({
      op: 'scan',
      refuse: said,
      fix: 'let the body hand back its carries in the order and in the shapes in which it was given them; give what changes its shape as a result of the step',
    })
    return true
  }
  if (carry.length !== spec.carry.length)
    return refuse(`the body was given ${spec.carry.length} carries, and hands back ${carry.length}`)
  const odd = carry.findIndex((v, i) => !sameShape(v.shape, spec.carry[i].shape))
  return odd < 0
    ? false
    : refuse(
        `${spec.names?.carry[odd] === '' ? 'its carry' : `carry ${spec.names?.carry[odd] ?? odd}`} has shape ${showShape(spec.carry[odd].shape)}, but the body hands it back as ${showShape(carry[odd].shape)}`,
      )
}

/** How one carry goes round, after one look at what the body makes of it. */
const improvedWay = (b: Builder, t: Traced, way: Way, init: Value, i: number): Way => {
  const out = t.carry[i]
  const untouched = t.child.outside(out.id)?.id === init.id
  if (way.kind === 'shared') return untouched ? way : { kind: 'plain' }
  if (untouched || out.id === t.opened.given[i].id) return { kind: 'shared' }
  const grid = joined(way.kind === 'quant' ? way.grid : null, gridOf(out.carried))
  if (grid === null) return { kind: 'plain' }
  const [s, z] = partsOf(b, init)
  const [sOut, zOut] = partsOf(t.child, out)
  if (!sameShape(s.shape, sOut.shape) || !sameShape(z.shape, zOut.shape)) return { kind: 'plain' }
  const stays = t.child.outside(sOut.id)?.id === s.id && isFixedZero(t.child, zOut, z, grid)
  return { kind: 'quant', grid, fixed: way.kind === 'quant' && way.fixed && stays }
}

const improved = (b: Builder, spec: ScanSpec, ways: readonly Way[], t: Traced): readonly Way[] =>
  ways.map((way, i) => improvedWay(b, t, way, spec.carry[i], i))

const isFixedZero = (child: Builder, inside: Value, outside: Value, grid: Grid): boolean =>
  grid.zero === 'zero' || child.outside(inside.id)?.id === outside.id

const OF_SLICES = 'a step gets a slice of the bare value, as indexing does in Brevitas; quantize it in the body'

/** A grid never gets finer, and each can get coarser a few times only. */
const MOST_ROUNDS = 12

/** Appends a loop to the graph of a builder. */
export const scanOn = (b: Builder, given: ScanSpec): Scanned => {
  // How many results a failed body would have given nobody knows: what follows from it is not traced.
  const before = b.errors.length
  const own = (v: Value): Value => b.capture(v) ?? v
  const spec = { ...given, carry: given.carry.map(own), xs: given.xs.map((x) => plainOf(own(x), OF_SLICES)) }
  const failed = (): never => {
    throw failure(b.errors.splice(before))
  }
  if ([...given.carry, ...given.xs].some((v) => b.capture(v) === null))
    b.failWith({
      tag: 'InputError',
      input: 'scan',
      path: b.path(),
      message: 'scan was given a value of another trace',
      fix: 'use only values that this trace handed to you; pass others as inputs',
    })
  if (b.errors.length > before || [...spec.carry, ...spec.xs].some((v) => v.id < 0)) return failed()
  const odd = spec.xs.findIndex((x) => x.shape[0] !== spec.length)
  if (odd >= 0) {
    b.fail({
      op: 'scan',
      refuse: `the sequence ${spec.names?.xs[odd] ?? odd} ${showShape(spec.xs[odd].shape)} has no ${spec.length} steps along its first axis`,
      fix: 'give sequences with one slice per step along the first axis: permute(x, [1, 0, 2]) brings time to the front',
    })
    return failed()
  }
  let ways: readonly Way[] = spec.carry.map((v): Way => {
    const grid = gridOf(v.carried)
    return grid === null ? { kind: 'plain' } : { kind: 'quant', grid, fixed: true }
  })
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const t = traced(b, spec, ways)
    if (t === null) return failed()
    const next = improved(b, spec, ways, t)
    if (sameWays(ways, next)) return emitted(b, spec, ways, t)
    ways = next
  }
  ways = ways.map((w): Way => (w.kind === 'quant' ? { kind: 'plain' } : w))
  const t = traced(b, spec, ways)
  return t === null ? failed() : emitted(b, spec, ways, t)
}

const sameWays = (a: readonly Way[], b: readonly Way[]): boolean =>
  a.every((w, i) => {
    const v = b[i]
    if (w.kind !== 'quant' || v.kind !== 'quant') return w.kind === v.kind
    return w.fixed === v.fixed && sameGrid(w.grid, v.grid)
  })
