/** Walks a specialized program and says of each value what it is among integers. */
import { fieldsOfQuantizer, roundingOf } from './births.js'
import { sameShape, sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Graph, Node } from '../../graph/graph.js'
import { computes } from '../../graph/op.js'
import { inputOp } from '../../graph/structural.js'
import { add as addOp } from '../../ops/add.js'
import { moves } from '../ops/moves.js'
import { integerBias } from '../ops/sums.js'
import { INT32, narrow, rangeOf, type Range } from '../values.js'
import { broadcastQuotient, root, type Expr } from './chain.js'
import { isUnmapped } from './forms.js'
import { gridOf, moved, uniform, whyPlain } from './grids.js'
import { mapped } from './map.js'
import { PASSING, rules } from './rules.js'
import { settle, settlePlain } from './settle.js'
import {
  append,
  constantOf,
  inputOf,
  prevented,
  type Integer,
  type Lowered,
  type Session,
  type Tap,
} from './session.js'

/** Where integers come from: the nodes of the float program whose values are quantized by floats, and their inputs in the integer graph. */
export type Border = {
  readonly name: string
  readonly node: Node
  readonly integer: Integer
  readonly bits: number
  readonly signed: boolean
}

const shapeAsAxis = (t: Tensor, rank: number, axis: number): Tensor => ({
  shape: Array.from({ length: rank }, (_, d) => (d === axis ? sizeOf(t.shape) : 1)),
  data: t.data,
})

/** The quantizer's own integers: what comes in at the border. */
const borderOf = (s: Session, node: Node, borders: Border[], name: string): Lowered => {
  const known = gridOf(s, node)
  if (known === null)
    return prevented(
      s,
      node,
      'its scale or zero point depends on the data, so that no constant multiplier stands for it',
      'give the quantizer a learned or constant scale, and evaluate it once collection has ended',
    )
  const { lo, hi, bits, signed } = known.quant
  const range: Range = { lo, hi }
  if (lo < INT32.lo || hi > INT32.hi)
    return prevented(s, node, `its integers need ${bits} bits, more than 32 hold`, 'give it a bitWidth of at most 32')
  const value = inputOf(s, 'data', name, node.shape)
  const integer = { value, range, grid: known.grid }
  borders.push({ name, node, integer, bits, signed })
  return { tag: 'integer', integer }
}

/** A bias that lies on the accumulator's own grid: whole numbers, exactly. */
const integersOnGrid = (b: Tensor, x: Integer): Float64Array | null => {
  const zero = uniform(x.grid.zeroPoint)
  if (zero !== 0) return null
  const steps = broadcastQuotient(b, x.grid.scale)
  if (steps === null) return null
  const out = Float64Array.from(steps.quotient, (v) => Math.round(v) + 0)
  return out.every((q, i) => Math.fround(q * steps.divisors[i]) === steps.numbers[i]) ? out : null
}

/** `x + b` as integers, where b lies on the grid of x; null where it doesn't, or 32 bits are too few. */
const biased = (s: Session, node: Node, x: Integer, b: Tensor): Lowered | null => {
  const data = integersOnGrid(b, x)
  if (data === null) return null
  const steps = broadcastQuotient(b, x.grid.scale)
  const { lo, hi } = rangeOf(data)
  if (lo === 0 && hi === 0) return { tag: 'integer', integer: x }
  const range = { lo: x.range.lo + lo, hi: x.range.hi + hi }
  if (steps === null || range.lo < INT32.lo || range.hi > INT32.hi) return null
  const bias = constantOf(s, node.path, narrow(steps.shape, data))
  return { tag: 'integer', integer: { ...x, value: append(s, node.path, integerBias, [x.value, bias], range), range } }
}

/** Operands of an element-wise op as expressions of one integer; null where there are several. */
const expressions = (s: Session, node: Node): { readonly root: Integer; readonly args: readonly Expr[] } | null => {
  let found: Integer | null = null
  const args: Expr[] = []
  for (const id of node.inputs) {
    const x = s.lowered.get(id)
    if (x === undefined || x.tag === 'lost' || x.tag === 'entry') return null
    if (x.tag === 'fixed') {
      args.push({ tag: 'fixed', tensor: x.tensor })
      continue
    }
    const own = x.tag === 'integer' ? x.integer : x.root
    if (found !== null && found.value.id !== own.value.id) return null
    found = own
    args.push(x.tag === 'integer' ? root : x.expr)
  }
  return found === null ? null : { root: found, args }
}

/** The root in the shape of a result that its constants have made larger. */
const broadcastRoot = (s: Session, node: Node, x: Integer): Integer => {
  if (sameShape(x.value.shape, node.shape)) return x
  const op = moves.broadcastTo
  const attrs = { shape: node.shape }
  const value = append(s, node.path, op.integer, [x.value], { ...attrs, ...x.range })
  const through = (t: Tensor): Tensor => moved(op.float, attrs, [t], [x.value.shape])
  return { ...x, value, grid: { scale: through(x.grid.scale), zeroPoint: through(x.grid.zeroPoint) } }
}

const chained = (s: Session, node: Node): Lowered | null => {
  const found = expressions(s, node)
  if (found === null) return null
  const at = broadcastRoot(s, node, found.root)
  if (node.op.births === true) return quantized(s, node, at, found.args)
  return {
    tag: 'chain',
    root: at,
    expr: { tag: 'op', op: computes(node.op), attrs: node.attrs, args: found.args },
    node,
  }
}

/** A quantizer behind an integer: a requantization. */
const quantized = (s: Session, node: Node, x: Integer, args: readonly Expr[]): Lowered => {
  const target = gridOf(s, node)
  if (target === null)
    return prevented(
      s,
      node,
      'its scale or zero point depends on the data',
      'give the quantizer a learned or constant scale',
    )
  const expr: Expr = { tag: 'op', op: computes(node.op), attrs: node.attrs, args }
  const made = mapped(s, { path: node.path, root: x, expr, target: target.grid, rounding: roundingOf(node) })
  if (isUnmapped(made)) return prevented(s, node, made.why, made.fix)
  s.taps.push({ path: node.path, float: node.id, integer: made.value.id, grid: target.grid, shape: node.shape })
  return { tag: 'integer', integer: made }
}

/** A bias that is no whole number of steps goes into the requantization, exactly; what it is in whole steps is kept for those who ask. */
const rememberBias = (s: Session, x: Integer, bias: Tensor): void => {
  const steps = broadcastQuotient(bias, x.grid.scale)
  if (steps === null) return
  const data = Float64Array.from(steps.quotient, (v) => Math.round(v) + 0)
  s.biases.push({ node: x.value.id, bias: narrow(steps.shape, data) })
}

/** A bias along an axis: the float op `add` of the bias in the shape in which it broadcasts. */
const addBias = (s: Session, node: Node): Lowered | null => {
  const [x, b] = node.inputs.map((id) => s.lowered.get(id))
  if (x === undefined || b === undefined || b.tag !== 'fixed' || (x.tag !== 'integer' && x.tag !== 'chain')) return null
  const bias = shapeAsAxis(b.tensor, node.shape.length, Number(node.attrs.axis))
  if (x.tag === 'integer') {
    const made = biased(s, node, x.integer, bias)
    if (made !== null) return made
  }
  const at = x.tag === 'integer' ? x.integer : x.root
  if (x.tag === 'integer') rememberBias(s, x.integer, bias)
  const args: readonly Expr[] = [x.tag === 'integer' ? root : x.expr, { tag: 'fixed', tensor: bias }]
  return { tag: 'chain', root: at, expr: { tag: 'op', op: addOp, attrs: {}, args }, node }
}

/** `x + b` with a constant b that lies on the grid of x. */
const constantAdded = (s: Session, node: Node): Lowered | null => {
  if (computes(node.op).name !== 'add') return null
  const [x, b] = node.inputs.map((id) => s.lowered.get(id))
  const usable = x?.tag === 'integer' && b?.tag === 'fixed' && sameShape(x.integer.value.shape, node.shape)
  return usable ? biased(s, node, x.integer, b.tensor) : null
}

const NO_RULE = 'put a quantizer (QuantIdentity) behind the last op in front of it, and compute this part in floats'

const waiting = (s: Session, node: Node): readonly Lowered[] =>
  node.inputs.map((id) => s.lowered.get(id)).filter((x) => x !== undefined)

const delayed = (s: Session, node: Node): Lowered | null => {
  const remaining = s.lowered.get(node.inputs[2] ?? -1)
  if (computes(node.op).name !== 'delay' || remaining?.tag !== 'fixed') return null
  return s.lowered.get(node.inputs[remaining.tensor.data[0] > 0 ? 1 : 0]) ?? null
}

/** What floats that nobody has quantized yet become: integers at a quantizer, an error where sums are asked of them. */
const ofFloats = (s: Session, node: Node, args: readonly Lowered[], place: Places): Lowered => {
  if (node.op.births === true && args[0].tag === 'entry') return borderOf(s, node, place.borders, place.nameOf(node))
  const floats = args.every((a) => a.tag === 'entry' || a.tag === 'fixed')
  // Sums of products: floats may not come in there.
  if (floats && computes(node.op).product === undefined) return { tag: 'entry' }
  return prevented(
    s,
    node,
    floats
      ? 'its input is a plain tensor of floats, which no quantizer has made integers of'
      : 'integers meet floats here that no quantizer has made integers of',
    fieldsOfQuantizer,
  )
}

/** What an op with integers among its operands is. */
const ofIntegers = (s: Session, node: Node): Lowered => {
  const name = computes(node.op).name
  const own = delayed(s, node) ?? (name === 'addBias' ? addBias(s, node) : constantAdded(s, node))
  if (own !== null) return own
  const chain = node.op.elementwise === true ? chained(s, node) : null
  if (chain !== null) return chain
  const rule = rules[name]
  return rule === undefined
    ? prevented(s, node, `it has no rule for integers${whyPlain(node)}`, NO_RULE)
    : rule(s, node)
}

/** Where integers come in, and how such a place is called. */
type Places = { readonly borders: Border[]; readonly nameOf: (node: Node) => string }

/** What a node that reads data is. */
const loweredOf = (s: Session, node: Node, place: Places): Lowered => {
  const args = waiting(s, node)
  if (args[0] === undefined || args.some((a) => a.tag === 'lost')) return { tag: 'lost' }
  if (args.some((a) => a.tag === 'entry')) return ofFloats(s, node, args, place)
  return PASSING.has(computes(node.op).name) || node.op.guards === true ? args[0] : ofIntegers(s, node)
}

/** Which nodes the results are computed from; metadata alone count for nothing. */
export const neededFor = (graph: Graph, results: readonly number[]): Uint8Array => {
  const needed = new Uint8Array(graph.nodes.length)
  for (const id of results) needed[id] = 1
  for (let i = graph.nodes.length - 1; i >= 0; i--)
    if (needed[i] === 1) for (const id of graph.nodes[i].inputs) needed[id] = 1
  return needed
}

/** Lowers all nodes that the results need; returns the borders. */
export const lowerAll = (s: Session): readonly Border[] => {
  const { program, valueOf } = s.fixed
  const { graph } = program
  const names = new Map(program.inputs.map((i) => [i.node, i.path === '' ? 'input' : i.path] as const))
  const borders: Border[] = []
  const taken = new Set<string>()
  const nameOf = (node: Node): string => {
    const base = names.get(behind(graph, node)) ?? 'input'
    const free = [base, `${base}_${node.path.replaceAll('.', '_')}`].find((n) => !taken.has(n)) ?? `${base}_${node.id}`
    taken.add(free)
    return free
  }
  const needed = neededFor(
    graph,
    program.outputs.map((o) => o.node),
  )
  for (const node of graph.nodes) {
    if (needed[node.id] === 0) continue
    const tensor = valueOf(node.id)
    if (tensor !== undefined) s.lowered.set(node.id, { tag: 'fixed', tensor, node })
    else if (node.op === inputOp)
      s.lowered.set(node.id, node.carried.tag === 'float' ? { tag: 'entry' } : borderOf(s, node, borders, nameOf(node)))
    else s.lowered.set(node.id, loweredOf(s, node, { borders, nameOf }))
  }
  return borders
}

/** Where what is no quantizer's stands for a float value: sums of products, of branches and of windows, and what only moves. */
export const innerTaps = (s: Session): readonly Tap[] =>
  s.fixed.program.graph.nodes.flatMap((node): readonly Tap[] => {
    const x = s.lowered.get(node.id)
    if (node.op.births === true || node.op === inputOp || x?.tag !== 'integer') return []
    const { value, grid } = x.integer
    const { path, shape } = node
    return sameShape(shape, value.shape) ? [{ path, float: node.id, integer: value.id, grid, shape }] : []
  })

/** The first input of the program behind a node. */
const behind = (graph: Graph, node: Node): number => {
  let at = node
  while (at.inputs.length > 0) at = graph.nodes[at.inputs[0]]
  return at.id
}

/** The integers of the results, null where an error says why not. */
export const settleResults = (s: Session): readonly (Integer | null)[] =>
  s.fixed.program.outputs.map((o) => {
    const node = s.fixed.program.graph.nodes[o.node]
    const made = (o.quant === undefined ? settlePlain : settle)(s, o.node, node)
    if (made !== null)
      s.taps.push({ path: o.path, float: o.node, integer: made.value.id, grid: made.grid, shape: node.shape })
    return made
  })
