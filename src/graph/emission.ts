/** From a call to a node: checks, guards, the shape rule, the node that computes the same already, and what the result carries. */
import {
  float,
  gridOf,
  isFloatGrid,
  isInteger,
  isPlainInteger,
  stripped,
  type Carried,
  type Grid,
  type NodeId,
} from '../data/quant.js'
import { isShape, nearestName, showGiven } from '../data/fields.js'
import type { Shape } from '../data/shape.js'
import type { Outer } from './building.js'
import { capture, capturedAll, outsideOf } from './capture.js'
import {
  append,
  fail,
  failWith,
  invalid,
  isInvalid,
  keyOf,
  LEVEL,
  NO_ATTRS,
  nodeAt,
  valueOf,
  type GraphDraft,
} from './draft.js'
import { isRefusal, sameOp, type Attrs, type Op, type Value } from './op.js'
import { misuse } from './signature.js'

const isObject = (x: unknown): x is object => typeof x === 'object' && x !== null
const hint = (near: string | undefined): string => (near === undefined ? '' : ` (${near}?)`)

/** The first metadata among operands that a rule which knows these kinds does not know. */
const oddGrid = (args: readonly Value[], known: Op['grids']): Grid | null => {
  if (known === 'all') return null
  const isKnown = known === 'learned' ? isInteger : isPlainInteger
  for (const a of args) {
    const g = gridOf(a.carried)
    if (g !== null && !isKnown(g)) return g
  }
  return null
}

const whyLost = (op: Op, g: Grid): string => {
  if (g.group !== undefined)
    return `${op.name} of a tensor with scales of groups gives a plain tensor; quantize the result again`
  if (isFloatGrid(g))
    return `${op.name} of minifloats leaves their grid and gives a plain tensor; quantize the result again`
  return `the bit width of an operand of ${op.name} is learned, so that nothing is known of the result's`
}

/** A rule of an op of anyone's making has answered with what is no answer. */
const oddRule = (d: GraphDraft, op: Op, rule: 'shape' | 'carry', said: unknown): Value =>
  failWith(d, {
    tag: 'ConfigError',
    option: op.name,
    path: d.path,
    message: `the ${rule} rule of ${op.name} returned ${showGiven(said)}`,
    fix:
      rule === 'shape'
        ? 'return a list of whole numbers, or refuse(why, fix)'
        : "return strips('why')(), or the metadata that the result carries: args[0].carried, or { tag: 'claimed', quant, why }",
  })

const ruled = (d: GraphDraft, op: Op, args: readonly Value[], attrs: Attrs, shape: Shape): Carried => {
  d.ruling = true
  try {
    return op.carry(args, attrs, d.kit, shape)
  } finally {
    d.ruling = false
  }
}

const carryAny = (args: readonly Value[]): boolean => {
  for (let i = 0; i < args.length; i++) if (gridOf(args[i].carried) !== null) return true
  return false
}

/** Is it a node of this graph, of one around it, or of a body in it: what was hoisted out of a body may say its widths by nodes of that. */
const isNode = (d: GraphDraft, id: unknown): boolean =>
  typeof id === 'number' && Number.isInteger(id) && id >= 0 && (id >= LEVEL || d.base > 0 || id < d.nodes.length)

/** Metadata whose parts are nodes of this graph. Rules of users' own may say anything; whoever reads metadata relies on this. */
const isGrid = (d: GraphDraft, q: unknown): boolean =>
  isObject(q) &&
  'scale' in q &&
  'zeroPoint' in q &&
  'bitWidth' in q &&
  'bits' in q &&
  'signed' in q &&
  isNode(d, q.scale) &&
  isNode(d, q.zeroPoint) &&
  isNode(d, q.bitWidth) &&
  typeof q.bits === 'number' &&
  typeof q.signed === 'boolean'

const isSaid = (x: object): boolean => 'why' in x && typeof x.why === 'string' && x.why !== ''

/** Did the rule answer with one of the four things that a value can carry, with all that belongs to it? */
const isCarried = (d: GraphDraft, said: unknown): said is Carried => {
  if (!isObject(said) || !('tag' in said)) return false
  if (said.tag === 'float') return true
  if (said.tag === 'stripped') return isSaid(said)
  const grid = 'quant' in said && isGrid(d, said.quant)
  return grid && (said.tag === 'carries' || (said.tag === 'claimed' && isSaid(said)))
}

const carriedOf = (d: GraphDraft, op: Op, args: readonly Value[], attrs: Attrs, shape: Shape): Carried => {
  if (d.options.metadata === false || d.ruling || (op.births !== true && !carryAny(args))) return float
  // Where an op's rule knows plain integers only, as in Brevitas, others are lost.
  const odd = op.births === true ? null : oddGrid(args, op.grids)
  if (odd !== null) return stripped(whyLost(op, odd))
  const said = ruled(d, op, args, attrs, shape)
  if (!isCarried(d, said)) {
    oddRule(d, op, 'carry', said)
    return float
  }
  if (said.tag === 'float') return stripped(`${op.name} does not say what becomes of its operand's metadata`)
  return d.options.strict === true && said.tag === 'claimed' ? stripped(`strict: ${said.why}`) : said
}

/** Are all of them values of this graph? Failed ones are of none. */
const areOwn = (d: GraphDraft, values: readonly Value[]): boolean => {
  for (let i = 0; i < values.length; i++) if (values[i].kit !== d.kit) return false
  return true
}

const foreign = (d: GraphDraft, op: Op): Value =>
  failWith(d, {
    tag: 'InputError',
    input: op.name,
    path: d.path,
    message: `${op.name} was given a value of another trace`,
    fix: 'use only values that this trace handed to you; pass others as inputs; what the body of a loop made leaves it as its carry or its result',
  })

const twoOps = (d: GraphDraft, op: Op): Value =>
  failWith(d, {
    tag: 'ConfigError',
    option: op.name,
    path: d.path,
    message: `two different ops are named ${op.name}: prints, stored programs and the sharing of equal nodes tell ops apart by their names`,
    fix: 'make the op once, outside the traced function, or give each a name of its own',
  })

/** The op of a name in this graph: that of the table, or the first one that was applied; null where it is another one. */
const opOf = (d: GraphDraft, asked: Op): Op | null => {
  const known = d.opsByName.get(asked.name)
  const { table } = d.options
  const op = known ?? (Object.hasOwn(table, asked.name) ? table[asked.name] : asked)
  if (!sameOp(op, asked)) return null
  d.opsByName.set(op.name, op)
  return op
}

/** In the body of a loop: what depends on nothing that the loop changes is computed outside. Null: this does depend. */
const hoisted = (d: GraphDraft, outer: Outer, op: Op, given: readonly Value[], attrs: Attrs): Value | null => {
  const made = outer.at(d.path, (around) => {
    const args = outsideOf(d, given, around)
    return args === null ? null : around.apply(op, args, attrs)
  })
  if (made === null) return null
  return isInvalid(made) ? invalid(d) : (capture(d, made) ?? invalid(d))
}

/** The node of a call that is in order. */
const emitted = (d: GraphDraft, op: Op, args: readonly Value[], attrs: Attrs): Value => {
  const ids: NodeId[] = []
  const shapes: Shape[] = []
  for (let i = 0; i < args.length; i++) {
    ids.push(args[i].id)
    shapes.push(args[i].shape)
  }
  const shape = op.shape(shapes, attrs)
  if (!isShape(shape)) {
    const said: unknown = shape
    return isObject(said) && isRefusal(said) ? fail(d, { ...said, op: op.name }) : oddRule(d, op, 'shape', said)
  }
  const call = { op, ids, attrs, shape }
  const key = keyOf(d, call)
  const known = d.keys.get(key)
  return known === undefined ? append(d, key, call, carriedOf(d, op, args, attrs, shape)) : valueOf(d, nodeAt(d, known))
}

const guarded = (d: GraphDraft, op: Op, given: readonly Value[], attrs: Attrs): Value => {
  const bad = misuse(op, given.length, attrs)
  if (bad !== null) return fail(d, { ...bad, op: op.name })
  if (d.options.metadata === false || op.guard === undefined || !carryAny(given)) return emitted(d, op, given, attrs)
  const args = op.guard(given, attrs, d.kit)
  if (isRefusal(args)) return fail(d, { ...args, op: op.name })
  return args.some(isInvalid) ? invalid(d) : emitted(d, op, args, attrs)
}

/** Appends a node of any primitive, or finds the one that computes the same. */
export const apply = (d: GraphDraft, asked: Op, asGiven: readonly Value[], attrs: Attrs = NO_ATTRS): Value => {
  const given = areOwn(d, asGiven) ? asGiven : capturedAll(d, asGiven)
  if (given === 'invalid') return invalid(d)
  if (given === null) return foreign(d, asked)
  const outside = d.options.outer === undefined ? null : hoisted(d, d.options.outer, asked, given, attrs)
  if (outside !== null) return outside
  const op = d.opsByName.get(asked.name) === asked ? asked : opOf(d, asked)
  return op === null ? twoOps(d, asked) : guarded(d, op, given, attrs)
}

/** The same of a primitive of the registry, by its name. */
export const emit = (d: GraphDraft, name: string, args: readonly Value[], attrs?: Attrs): Value => {
  const { table } = d.options
  const op = d.opsByName.get(name) ?? (Object.hasOwn(table, name) ? table[name] : undefined)
  if (op !== undefined) return apply(d, op, args, attrs)
  return failWith(d, {
    tag: 'ConfigError',
    option: 'op',
    path: d.path,
    message: `there is no op named ${showGiven(name)}`,
    fix: `name one of the table${hint(nearestName(String(name), Object.keys(table)))}, or apply an op of your own`,
  })
}
