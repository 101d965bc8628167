/** How an op is said in ONNX: what every rule is given, and may answer. */
import { computes, type Op } from '../../graph/op.js'
import type { Node } from '../../graph/graph.js'
import type { QuantError } from '../../data/error.js'
import type { NodeId } from '../../data/quant.js'
import type { Tensor } from '../../data/tensor.js'
import type { Shape } from '../../data/shape.js'
import { DataType, type Name, type Writer } from './writer.js'

/** The two ways to write quantizers. */
export type OnnxFormat = 'qcdq' | 'qonnx'

/** Why an op can't be said, and what would help. */
export type Unsupported = { readonly unsupported: string; readonly fix: string }
/** An answer that ONNX, or this format, can't say it. */
export const unsupported = (why: string, fix: string): Unsupported => ({ unsupported: why, fix })
/** Is the answer a refusal? */
export const isUnsupported = (x: Name | Unsupported): x is Unsupported => typeof x !== 'string'

/** The error of what can't be said. */
export type ExportError = Extract<QuantError, { readonly tag: 'ExportError' }>
/** Is it one? */
export const isExportError = (e: QuantError): e is ExportError => e.tag === 'ExportError'

/** Something that is said by other means than the format's own, so that the numbers are right and something else is lost. */
export type Said = { readonly what: string; readonly instead: string; readonly fix: string }
/** Such a remark, and where it holds. */
export type Remark = Said & { readonly path: string; readonly op: string }

/** A program on its way to ONNX. */
export type Exporting = {
  readonly format: OnnxFormat
  readonly opset: number
  /** Write 4-bit quantizers with the types INT4 and UINT4 (opset 21). */
  readonly int4: boolean
  /** Is the first axis left open? */
  readonly openBatch: boolean
  readonly w: Writer
  /** The name of a value; a constant becomes an initializer when first asked for. */
  name(id: NodeId): Name
  /** The numbers of a value that parameters and state fix. */
  tensor(id: NodeId): Tensor | undefined
  node(id: NodeId): Node
  shape(id: NodeId): Shape
  /** The nodes that read a value. */
  users(id: NodeId): readonly Node[]
  /** Notes for `exportReport` that a node is said by other means; it changes nothing of what is written. */
  remark(node: Node, said: Said): void
  /** Appends an ONNX node that stands for `node`. */
  emit(node: Node, opType: string, inputs: readonly Name[], attributes?: Parameters<Writer['node']>[2]): Name
}

/** Writes one node and gives the name of its result. */
export type Rule = (x: Exporting, node: Node) => Name | Unsupported

/** Operand number `i` of a node, by name. */
export const operand = (x: Exporting, node: Node, i: number): Name => x.name(node.inputs[i])

const numbersIn = (v: unknown): readonly number[] => (Array.isArray(v) ? v.map(Number) : [])
/** An attribute that is a list of numbers. */
export const numbers = (node: Node, key: string): readonly number[] => numbersIn(node.attrs[key])
/** An attribute that is a list of pairs. */
export const pairs = (node: Node, key: string): readonly (readonly number[])[] => {
  const v = node.attrs[key]
  return Array.isArray(v) ? v.map(numbersIn) : []
}

/** A list of integers as an int64 constant, as Reshape, Slice, Pad want their arguments. */
export const int64s = (x: Exporting, values: readonly number[], hint: string): Name =>
  x.w.integers(DataType.INT64, [values.length], values, hint)

/** A scalar float constant. */
export const scalarOf = (x: Exporting, value: number, hint: string): Name =>
  x.w.floats({ shape: [], data: Float32Array.of(value) }, hint)

/** The name of what an op computes: of a surrogate its forward. */
export const computed = (op: Op): string => computes(op).name
