/**
 * The contract of a primitive: everything that any reader of a graph (tracer, autodiff, evaluator, page, exporter)
 * may want to know about an operation, in one record. Nobody re-states a rule that stands here.
 */
import type { Shape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import type { Dtype } from '../data/dtype.js'
import type { Carried, NodeId, ZeroPointKind } from '../data/quant.js'
import { failure, type QuantError } from '../data/error.js'
import { showGiven } from '../data/fields.js'
import type { Attrs, AttrSchema, NoAttrs } from './attributes.js'
import type { Traits } from './traits.js'

export type { Attr, Attrs, NoAttrs } from './attributes.js'
export type { LaneRule, Lanes, LaneMask, Lane } from './lanes.js'
export type { Reduction, Traits } from './traits.js'

/** Says that a rule refuses its operands: what is wrong, and how to mend it. */
export type Refusal = {
  readonly refuse: string
  readonly fix: string
  readonly tag?: 'ShapeError' | 'MetadataError' | 'ConfigError'
}
/** A refusal. */
export const refuse = (message: string, fix: string, tag: Refusal['tag'] = 'ShapeError'): Refusal => ({
  refuse: message,
  fix,
  tag,
})
/** Is the answer of a rule a refusal? */
export const isRefusal = (x: object): x is Refusal => 'refuse' in x

/**
 * A traced value: a node of a graph under construction. What its numbers are tells `dtype`, whether it is a quant tensor `carried`.
 * Make values with `trace` and with functions of values only.
 */
export type Value = {
  readonly id: NodeId
  readonly shape: Shape
  readonly carried: Carried
  readonly dtype: Dtype
  readonly kit: Kit
}

/**
 * The attributes of each primitive by its name: the file of an op adds its line. A misspelt name, or a wrong or missing
 * attribute, of `Kit.emit` is a compile error. Users' own ops may add theirs, or go through `Kit.apply`.
 */
// oxlint-disable-next-line typescript/no-empty-interface, typescript/no-empty-object-type -- merged into by src/ops
export interface Primitives {}

/** Names of the primitives that have no attributes. */
export type BarePrimitive = {
  [N in keyof Primitives]: NoAttrs extends Primitives[N] ? N : never
}[keyof Primitives]

/** How attributes are given: left out where there is nothing that must be given. */
export type AttrArgs<A> = Record<never, never> extends A ? readonly [attrs?: A] : readonly [attrs: A]

/** A primitive applied to earlier values: what a graph keeps of it. */
export type Emitted = {
  readonly id: NodeId
  readonly op: Op
  readonly inputs: readonly NodeId[]
  readonly attrs: Attrs
  readonly shape: Shape
  readonly carried: Carried
  /** Layer path, `net.conv1`; empty at the top level. */
  readonly path: string
}

/** What rules and functions use to emit nodes; one per graph under construction. */
export interface Kit {
  /** Mode of the trace, in the layer that is being traced: batch statistics and state updates (`train`), or not (`eval`). */
  readonly mode: 'train' | 'eval'
  /** Strict mode: a claim is stripped, and what Brevitas computes to no use is refused. */
  readonly strict: boolean
  /** Appends a node of a primitive of the registry, by name (rules may not import their siblings: that would be a cycle). */
  emit<N extends keyof Primitives>(op: N, args: readonly Value[], ...attrs: AttrArgs<Primitives[N]>): Value
  /** Appends a node of any primitive, a user's own included. */
  apply(op: Op, args: readonly Value[], attrs?: Attrs): Value
  /** A constant, filled into `shape` (a scalar if absent). */
  constant(value: number, shape?: Shape): Value
  /** The value of a node of this graph. */
  value(id: NodeId): Value
  /** Records an error and returns an invalid value, which later ops pass on silently. */
  fail(error: Refusal & { readonly op: string }): Value
  /** Records an error of any kind and returns an invalid value. */
  failWith(error: QuantError): Value
  /** The layer that is being traced. */
  path(): string
  /** Where a node of this graph was made, for messages: its layer, or the input that it is. */
  whereIs(id: NodeId): string
  /** Why a value is a plain tensor, for messages: where its metadata was lost and why, or that it never had any. */
  whyPlain(v: Value): string
  /**
   * Do two nodes hold the same numbers in the same shape, because they are computed alike, in whatever layer? Layout is looked through:
   * a scale of one element may stand in any shape.
   */
  same(a: NodeId, b: NodeId): boolean
  /** Runs `body` with `name` appended to the layer path, or to `home`: that of the layer whose part is called, where it is called from another one. */
  scoped<A>(name: string, body: () => A, home?: string): A
  /**
   * `counter < limit` runs `collect`, else `learned`: two sub-graphs over the same `args`, evaluated lazily,
   * differentiated branch by branch. Both must return values of the same shapes.
   */
  phase(spec: PhaseSpec): readonly Value[]
  scan(spec: ScanSpec): Scanned
  /** How many loops stand around what is traced now. */
  readonly depth?: () => number
  /** What was emitted so far, in order, by id; in the body of a loop that of the body. For those who read a network's structure. */
  readonly emitted?: () => readonly Emitted[]
  /** Told of each layer that another one calls, with what it is given; for those who read a network's structure. Must return what `body` returns. */
  readonly onCall?: <A>(input: unknown, body: () => A) => A
}

/**
 * A loop over steps: each is given what the one before handed back, and its slices of `xs` along the first axis (the last first with `reverse`).
 * The body may use values of the graph around. `path`: where its nodes stand, if not at the path of the call.
 */
export type ScanSpec = {
  readonly carry: readonly Value[]
  readonly xs: readonly Value[]
  readonly length: number
  readonly reverse?: boolean
  readonly path?: string
  /** What messages call the carries and the sequences; their numbers, if absent. */
  readonly names?: { readonly carry: readonly string[]; readonly xs: readonly string[] }
  readonly body: (carry: readonly Value[], xs: readonly Value[], kit: Kit) => Scanned
}
/** Carries and results: of one step, or the carries after the last one and the results stacked along a new first axis. */
export type Scanned = { readonly carry: readonly Value[]; readonly ys: readonly Value[] }

/** The two lazily evaluated branches of `phase`. */
export type PhaseSpec = {
  readonly counter: Value
  readonly limit: number
  readonly args: readonly Value[]
  /** Reported as a typed warning if `collect` runs in eval: `collectStatsSteps`, or null for a branch that isn't worth one. */
  readonly warnSteps: number | null
  readonly collect: (args: readonly Value[], kit: Kit) => readonly Value[]
  readonly learned: (args: readonly Value[], kit: Kit) => readonly Value[]
}

/** What a gradient rule is given. */
export type VjpInput<A extends Attrs = Attrs> = {
  /** Cotangent of the result; has the result's shape. */
  readonly g: Value
  readonly args: readonly Value[]
  readonly attrs: A
  /** The forward result of the op *whose rule this is* (of a surrogate: of the gradient's op), emitted on demand. */
  readonly out: () => Value
  /** Which operands need a gradient; a rule may return null for the others. */
  readonly needs: readonly boolean[]
  readonly kit: Kit
}

/** A gradient rule: one cotangent per operand, null where there is no path. */
export type Vjp<A extends Attrs = Attrs> = { rule(v: VjpInput<A>): readonly (Value | null)[] }['rule']

/** How the laws may sample one operand: shape, and optionally a quant tensor on its grid or a restricted range. */
export type ExampleArg = {
  readonly shape: Shape
  /** Draw a quant tensor: bits, sign, and what its zero point may be; `scaleShape` per channel. */
  readonly quant?: {
    readonly bits: number
    readonly signed: boolean
    readonly zero?: ZeroPointKind
    readonly scaleShape?: Shape
  }
  /** The numbers are integers of so many bits times the operand with this index, a scale: what a claim of the op says of them is true. */
  readonly steps?: { readonly of: number; readonly bits: number; readonly signed: boolean }
  /** Not a number to differentiate by: an index, a class, a counter. */
  readonly fixed?: boolean
  /** Range of the numbers (default -3 … 3). */
  readonly range?: readonly [number, number]
}
/** The operands of an op: the role of each in order, or how many (from `least` on) of one role. */
export type Operands = readonly string[] | { readonly each: string; readonly least: number }

/** One way to call the op, from which laws draw their inputs. */
export type Example<A extends Attrs = Attrs> = { readonly args: readonly ExampleArg[]; readonly attrs: A }

/**
 * A primitive operation. Methods are pure. `A` is the type of its attributes.
 * `evaluate` writes the result into `out.data` (already of the right size; contents undefined) in exact float32 order,
 * and returns null, or the message of a failed check.
 */
export interface Op<A extends Attrs = Attrs> extends Traits<A> {
  readonly name: string
  /** What it computes, in a sentence, with the torch or Brevitas name. */
  readonly doc: string
  /** What it is called with; without it, any number of operands from that of its smallest example on. */
  readonly operands?: Operands
  /** Which attributes it has and what each may hold; without it, any JSON, but those that all its examples have must be given. */
  readonly attributes?: AttrSchema<A>
  /** Shape of the result, or a refusal. Number of operands and attributes are checked before (`shapeOfCall`). */
  shape(shapes: readonly Shape[], attrs: A): Shape | Refusal
  /** Optional: inserts checks in front of operands, or refuses them for their metadata. */
  guard?(args: readonly Value[], attrs: A, kit: Kit): readonly Value[] | Refusal
  /** True of the op in which metadata is born: its carry rule is called even where no operand has any. */
  readonly births?: boolean
  /** True of a check: it runs even where nobody reads its result. */
  readonly guards?: boolean
  /** The tag of a check's failure; `CheckFailed` if absent. */
  readonly finds?: 'NonFinite'
  /** What happens to metadata; called only if an operand has any. May emit nodes (a product of scales). */
  carry(args: readonly Value[], attrs: A, kit: Kit, shape: Shape): Carried
  /** Gradient (STE) rule, or the reason why there is none. */
  readonly vjp: Vjp<A> | NoGradient
  evaluate(args: readonly Tensor[], attrs: A, out: Tensor): string | null
  /** Calls from which the laws over the registry sample; at least one. */
  readonly examples: readonly Example<A>[]
  /** Is the vjp the true derivative (away from kinks)? Then finite differences must agree with it. */
  readonly smooth: boolean
  /** Of a surrogate: the op whose numbers it computes, and the one whose gradient it has. */
  readonly forward?: Op
  readonly backward?: Op
}

/** Why an op has no gradient at all; asking for one is a typed error. */
export type NoGradient = { readonly none: string }
/** Is there a gradient rule? */
export const hasVjp = (op: Op): op is Op & { readonly vjp: Vjp } => typeof op.vjp === 'function'

const isSchema = (x: unknown): boolean =>
  typeof x === 'object' &&
  x !== null &&
  !Array.isArray(x) &&
  Object.values(x).every((f) => typeof f === 'object' && f !== null && typeof f.holds === 'function')

const isOperands = (x: unknown): boolean =>
  Array.isArray(x)
    ? x.every((name) => typeof name === 'string')
    : typeof x === 'object' && x !== null && 'least' in x && Number.isSafeInteger(x.least) && 'each' in x

const isFunction = (x: unknown): boolean => typeof x === 'function'
const isText = (x: unknown): boolean => typeof x === 'string'
const isExample = (x: unknown): boolean => typeof x === 'object' && x !== null && 'args' in x && Array.isArray(x.args)

/** What the fields of an op hold; the last two may be absent. */
const FIELDS: readonly (readonly [name: string, holds: (x: unknown) => boolean])[] = [
  ['name', isText],
  ['doc', isText],
  ['shape', isFunction],
  ['carry', isFunction],
  ['evaluate', isFunction],
  ['vjp', (x) => isFunction(x) || (typeof x === 'object' && x !== null && 'none' in x)],
  ['examples', (x) => Array.isArray(x) && x.every(isExample)],
  ['operands', (x) => x === undefined || isOperands(x)],
  ['attributes', (x) => x === undefined || isSchema(x)],
]

/** Is it the record of an op? */
export const isOp = (x: unknown): x is Op =>
  typeof x === 'object' && x !== null && FIELDS.every(([name, holds]) => holds(Reflect.get(x, name)))

/** Throws where something is no op. */
export const demandOp = (asker: string, x: unknown): void => {
  if (!isOp(x))
    throw failure([
      {
        tag: 'InputError',
        input: 'op',
        path: '',
        message: `${asker} takes an op, and was given ${showGiven(x)}`,
        fix: 'give one of ops, ops.round for instance, or one that unary, binary or surrogate made',
      },
    ])
}

/** All primitives by name. */
export type OpTable = { readonly [name: string]: Op }

/** The op whose numbers this one computes: of a surrogate its forward, else itself. */
export const computes = (op: Op): Op => op.forward ?? op

/**
 * Do two records mean the same op? The same record, or a surrogate that was made twice: one name, one forward, one backward.
 * (Functions can't be compared: `unary` called twice makes two ops.)
 */
export const sameOp = (a: Op, b: Op): boolean =>
  a === b ||
  (a.name === b.name &&
    a.forward !== undefined &&
    b.forward !== undefined &&
    a.backward !== undefined &&
    b.backward !== undefined &&
    sameOp(a.forward, b.forward) &&
    sameOp(a.backward, b.backward))

/** Those attributes that an op knows, of those of a call that was meant for two. */
export const attrsFor = ({ attributes }: Op, attrs: Attrs): Attrs =>
  attributes === undefined
    ? attrs
    : Object.fromEntries(Object.entries(attrs).filter(([name]) => Object.hasOwn(attributes, name)))
