/** What a graph under construction can do: the types of builder.ts, for those that it calls. */
import type { Dtype } from '../data/dtype.js'
import type { QuantError } from '../data/error.js'
import type { Carried, NodeId } from '../data/quant.js'
import type { Shape } from '../data/shape.js'
import type { Graph, Node } from './graph.js'
import type { Attrs, Kit, OpTable, Value } from './op.js'

/** How a graph is built. */
export type BuilderOptions = {
  readonly table: OpTable
  readonly mode: 'train' | 'eval'
  /** Paths that are traced as in `eval`, whatever the mode. */
  readonly frozen?: (path: string) => boolean
  readonly strict?: boolean
  /** Record the source location of every call (costly: a stack trace per node). */
  readonly locations?: boolean
  /** Compute metadata (off in backward passes, whose values never carry any). */
  readonly metadata?: boolean
  /** Of the body of a loop: the graph around it, whose values it may use. */
  readonly outer?: Outer
}

/** What the body of a loop may ask of the graph around it. */
export type Outer = {
  /** How many loops deep: ids of a body start at `level * 2^24`, so that they are told from those outside. */
  readonly level: number
  /** Where errors are noted. */
  readonly errors: QuantError[]
  /** The path at which the body starts. */
  readonly path: string
  readonly value: (id: NodeId) => Value
  readonly whereIs: (id: NodeId) => string
  readonly whyPlain: (v: Value) => string
  /** The value as one of that graph, or null if it is none of it and of those around it. */
  readonly capture: (v: Value) => Value | null
  /** Runs something at a path of that graph: what depends on nothing that the loop changes is done there, once. */
  readonly at: <A>(path: string, run: (kit: Pick<Kit, 'apply' | 'constant' | 'phase'>) => A) => A
}

/** A graph under construction. */
export type Builder = Kit & {
  readonly errors: QuantError[]
  input(kind: string, name: string, shape: Shape, carried?: Carried, dtype?: Dtype): Value
  /** Changes what a value carries; for inputs that are declared as quant tensors. */
  declare(value: Value, carried: Carried): Value
  /** Appends a node that is already there in another graph, ids mapped; used by graph passes. */
  copy(node: Node, inputs: readonly Value[]): Value
  /** Runs `body`; the nodes that it appends are said to be the backward pass of node `of`. */
  differentiating<A>(of: NodeId, body: () => A): A
  /** Says how a node is tied to others by differentiation. */
  tie(id: NodeId, ties: Pick<Node, 'backwardOf' | 'cotangent'>): void
  finish(outputs: readonly Value[]): Graph
  /** Identifies the content built so far; equal for equal sub-graphs. */
  fingerprint(): string
  /** A value of a graph around this one as an input of this one; null if it is of neither. */
  capture(v: Value): Value | null
  /** What was captured, in order, as values of the graph around. */
  captured(): readonly Value[]
  /** The value around the loop of which this one is a capture; null if it is none. */
  outside(id: NodeId): Value | null
  /** Starts the body of a loop; until `close` is called, whatever this builder is asked for goes into it. */
  open(path?: string): Builder
  close(): void
  /** Appends a node with sub-graphs; its outputs are read by `output`. */
  appendLoop(inputs: readonly Value[], attrs: Attrs, body: Graph): Value
  /** One output of a node with sub-graphs. */
  output(of: NodeId, index: number, shape: Shape, carried?: Carried): Value
}
