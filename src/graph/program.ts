/** What `trace` returns: a graph with named inputs, outputs and next state. Plain frozen data. */
import type { Declaration } from '../data/declaration.js'
import type { Dtype } from '../data/dtype.js'
import { failure, type QuantErrors } from '../data/error.js'
import { isEither, showGiven, type Field } from '../data/fields.js'
import type { Shape } from '../data/shape.js'
import type { FloatFormat } from '../data/minifloat.js'
import type { Group, NodeId } from '../data/quant.js'
import type { Tree } from '../data/tree.js'
import type { Graph } from './graph.js'
import type { Attrs } from './op.js'

/** One input of a program: a tensor of data, a parameter, a leaf of state, or what an optimizer keeps. */
export type ProgramInput = {
  /** `slot` and `hyper`: an optimizer's memory and its numbers of a step, where the program contains the update. */
  readonly kind: 'data' | 'param' | 'state' | 'slot' | 'hyper'
  /** Where it stands in its tree: `conv1.weight`; empty if the tree is a single leaf. */
  readonly path: string
  readonly node: NodeId
  readonly shape: Shape
  /** A leaf of state that an optimizer may change. */
  readonly learned: boolean
  /** What the numbers of a leaf of state mean, in words; a leaf that says otherwise is refused. */
  readonly means?: string
  /** Which part of a quant tensor given as data this is; `tensor` for everything else. */
  readonly part: 'tensor' | 'value' | 'scale' | 'zeroPoint'
  /** Data that hold whole numbers, or 0 and 1: a run checks them, and nothing is differentiated by them. */
  readonly dtype?: Exclude<Dtype, 'float'>
  /** The declared metadata of a quant tensor given as data (on its `value` part). */
  readonly quant?: Declaration
}

/** Nodes of the metadata of a result that is a quant tensor. */
export type QuantParts = {
  readonly scale: NodeId
  readonly zeroPoint: NodeId
  readonly bitWidth: NodeId
  readonly bits: number
  readonly signed: boolean
  readonly training: boolean
  /** Of minifloats their format, of a learned width that it is, of groups their size and axis. */
  readonly format?: FloatFormat
  readonly learned?: true
  readonly group?: Group
}

/** One output of a program: a result, a leaf of the next state, a gradient, or what an optimizer made of a parameter or its memory. */
export type ProgramOutput = {
  readonly kind: 'result' | 'state' | 'grad' | 'param' | 'slot'
  readonly path: string
  readonly node: NodeId
  /** Present if the result is a quant tensor. */
  readonly quant?: QuantParts
}

/** How one layer of a program was written, all of it as text: what a page needs to say what to change. */
export type ProgramLayer = {
  /** Where it stands, `block.body.conv`; empty for the outermost layer. */
  readonly path: string
  /** Its constructor: `QuantConv2d`, `chain`, or the name that a user's own layer has. */
  readonly layer: string
  /** The options that it was given, as code: `['kernelSize', '3']`. */
  readonly given: readonly (readonly [option: string, code: string])[]
  /** Options that its constructor knows; of the fields of its quantizers only the place, such as `inputQuant`. */
  readonly takes: readonly string[]
  /** Fields of its quantizers by place, as far as they differ from those of a bare quantizer; null: switched off. */
  readonly quantizers: { readonly [place: string]: Attrs | null }
  /** The layer that does the same on quant tensors, and its options as code. */
  readonly twin?: { readonly layer: string; readonly given: readonly (readonly [option: string, code: string])[] }
}

/** Shapes of the trees: each leaf is the index of its `ProgramInput` or `ProgramOutput` (a quant tensor's: of its value). */
export type Structure = {
  readonly data: Tree<number>
  readonly params: Tree<number>
  readonly state: Tree<number>
  readonly results: Tree<number>
  readonly nextState: Tree<number>
  /** Gradients, where the program is a vjp: of `inputs`, `params` and `state` (learned leaves). */
  readonly grads: Tree<number> | null
}

/**
 * A traced program: `(params, state, inputs) → (outputs, state′)`. The type parameters are the trees that `run` takes
 * and returns; they exist only for the compiler.
 */
export type Program<P = unknown, S = unknown, I = unknown, O = unknown> = {
  readonly version: 1
  readonly mode: 'train' | 'eval'
  readonly strict: boolean
  readonly graph: Graph
  readonly inputs: readonly ProgramInput[]
  readonly outputs: readonly ProgramOutput[]
  readonly structure: Structure
  /** How its layers were written, the outermost first; absent where that is not known. */
  readonly layers?: readonly ProgramLayer[]
  readonly types?: { readonly params: P; readonly state: S; readonly inputs: I; readonly outputs: O }
}

const isRecord = (x: unknown): x is { readonly [name: string]: unknown } =>
  typeof x === 'object' && x !== null && !Array.isArray(x)
const areRecords = (x: unknown, list?: string): boolean =>
  Array.isArray(x) && x.every((e) => isRecord(e) && (list === undefined || Array.isArray(e[list])))

const isNode = (n: unknown, i: number): boolean =>
  isRecord(n) &&
  n.id === i &&
  Array.isArray(n.inputs) &&
  Array.isArray(n.shape) &&
  isRecord(n.op) &&
  isRecord(n.attrs) &&
  isRecord(n.carried)

/** Is it a graph: nodes with ops, operands and shapes? Their contents are the builder's affair, or the loader's. */
export const isGraph = (x: unknown): x is Graph =>
  isRecord(x) && Array.isArray(x.inputs) && Array.isArray(x.outputs) && Array.isArray(x.nodes) && x.nodes.every(isNode)

/** A graph, as an argument. */
export const graphField: Field = { says: 'a graph, as a program has one', like: 'program.graph', holds: isGraph }

/** Is it a program, as `trace` and `parseProgram` make them? */
export const isProgram = (x: unknown): x is Program =>
  isRecord(x) && isGraph(x.graph) && areRecords(x.inputs, 'shape') && areRecords(x.outputs) && isRecord(x.structure)

/**
 * What is wrong with what was given as a program; nothing if it is one. An Either that was not unwrapped is told apart: of a Left its own
 * errors are given, since they say why there is no program.
 */
export const programProblems = (asker: string, x: unknown): QuantErrors => {
  if (isProgram(x)) return []
  const wrong = (message: string, fix: string): QuantErrors => [
    { tag: 'InputError', input: 'program', path: '', message: `${asker} ${message}`, fix },
  ]
  if (isEither(x))
    return x._tag === 'Right'
      ? wrong(
          'takes a program, and was given an Either that holds one (a Right)',
          `unwrap it: ${asker}(orThrow(trace(…))), or E.chain((program) => ${asker}(program))`,
        )
      : [
          ...wrong(
            'takes a program, and was given an Either that holds errors instead (a Left)',
            'look at its left, or unwrap it: orThrow(trace(…)) throws what follows',
          ),
          ...('left' in x && Array.isArray(x.left) ? (x.left as QuantErrors) : []),
        ]
  return wrong(
    `takes a program, and was given ${showGiven(x)}`,
    "give what trace made: orThrow(trace(layer, tensorInput([2, 4]), { mode: 'eval' }))",
  )
}

/** Throws where something is no program, for functions that return no Either. */
export const demandProgram = (asker: string, x: unknown): void => {
  if (isProgram(x)) return
  throw failure(programProblems(asker, x))
}
