/**
 * Which layer of ours computes a node. No table says it: candidates are made from the node's weight and attributes,
 * traced, and taken where they are that very op with these attributes.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Node } from '../../graph/graph.js'
import { computes, sameOp, type Attrs, type Op } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { inputOp } from '../../graph/structural.js'
import { tensorInput, type InputDecl } from '../../graph/trace.js'
import * as layers from '../../nn/layers/index.js'
import type { AnyLayer } from '../../nn/layers/layer.js'
import { trace } from '../../nn/program/program.js'
import { Add, Cat } from '../joins.js'
import { netOf } from '../trees.js'

/** A node without the operands of which a layer knows nothing. */
type Asked = { readonly op: Op; readonly attrs: Attrs }

/** The one node of a layer, if it is one. */
const onlyNode = (layer: AnyLayer, inputs: object): Node | null => {
  if (layer.problems.length > 0) return null
  const made = trace(netOf<unknown, unknown>(layer), inputs, { mode: 'eval' })
  if (E.isLeft(made)) return null
  const { graph } = made.right as Program
  const nodes = graph.nodes.filter((n) => n.op !== inputOp)
  return nodes.length === 1 ? nodes[0] : null
}

/** Attributes as one text, in whatever order they were written. */
const textOf = (attrs: Attrs): string => JSON.stringify(Object.entries(attrs).toSorted(([a], [b]) => (a < b ? -1 : 1)))

/** Is the layer this op and nothing else? */
const isThat = (layer: AnyLayer, inputs: object, { op, attrs }: Asked): boolean => {
  const node = onlyNode(layer, inputs)
  return node !== null && sameOp(node.op, computes(op)) && textOf(node.attrs) === textOf(attrs)
}

const isList = (x: unknown): x is readonly unknown[] => Array.isArray(x)
const isNumber = (x: unknown): x is number => typeof x === 'number'

/** Padding before and after each axis, as numbers; null where it is written otherwise. */
const pairsOf = (x: unknown): readonly (readonly [number, number])[] | null =>
  isList(x) && x.every((p) => isList(p) && p.length === 2 && p.every(isNumber))
    ? (x as readonly (readonly [number, number])[])
    : null

/**
 * A layer with weights that computes a product: the weight as it keeps it, and what its input is padded with in front.
 */
export type ProductForm = {
  readonly layer: AnyLayer
  readonly weight: Tensor
  /** Zeros per axis of the input before and after, which the layer can't say; null: none. */
  readonly pad: readonly (readonly [number, number])[] | null
}

const transposed = ({ shape: [rows, columns], data }: Tensor): Tensor => {
  const out = new Float32Array(data.length)
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c]
  return { shape: [columns, rows], data: out }
}

const linearForm = (node: Node, weight: Tensor, x: Shape): ProductForm | null => {
  const columns = node.op.product?.columns === true
  if (weight.shape.length !== 2 || x.length < (columns ? 2 : 1)) return null
  const w = columns ? transposed(weight) : weight
  const [outFeatures, inFeatures] = w.shape
  const layer = layers.Linear({ inFeatures, outFeatures, bias: false })
  const fits = columns ? layer.problems.length === 0 : isThat(layer, tensorInput(x), node)
  return fits ? { layer, weight: w, pad: null } : null
}

const CONVOLUTIONS = [layers.Conv1d, layers.Conv2d, layers.Conv3d]
const TRANSPOSED = [layers.QuantConvTranspose1d, layers.QuantConvTranspose2d, layers.QuantConvTranspose3d]

/** Options that the attributes of a convolution and the shape of its weight say, by the names that both have. */
const convolutionForms = (node: Node, { shape }: Tensor): readonly AnyLayer[] => {
  const { attrs } = node
  const [first, second, ...kernelSize] = shape
  const [forward, backward] = [CONVOLUTIONS[kernelSize.length - 1], TRANSPOSED[kernelSize.length - 1]]
  const groups = isNumber(attrs.groups) ? attrs.groups : 1
  const { stride, dilation, padding, outputPadding, correct } = attrs as { readonly [name: string]: never }
  const common = { kernelSize, stride, dilation, groups, bias: false }
  if (forward === undefined) return []
  const pairs = pairsOf(padding)
  return [
    forward({
      ...common,
      inChannels: second * groups,
      outChannels: first,
      ...(pairs === null ? {} : { padding: pairs.map(([before]) => before) }),
    }),
    backward({
      ...common,
      inChannels: first,
      outChannels: second * groups,
      padding,
      outputPadding,
      weightQuant: null,
      ...(correct === true ? { correctMetadata: true } : {}),
    }),
  ]
}

const convolutionForm = (node: Node, weight: Tensor, x: Shape): ProductForm | null => {
  const pairs = pairsOf(node.attrs.padding)
  const even = pairs === null || pairs.every(([before, after]) => before === after)
  const bare: Node = even ? node : { ...node, attrs: { ...node.attrs, padding: pairs.map(() => [0, 0]) } }
  const pad = even ? null : [...x.slice(0, -pairs.length).map((): readonly [number, number] => [0, 0]), ...pairs]
  const given = pad === null ? x : x.map((n, d) => n + pad[d][0] + pad[d][1])
  const layer = convolutionForms(bare, weight).find((l) => isThat(l, tensorInput(given), bare))
  return layer === undefined ? null : { layer, weight, pad }
}

/** The layer that computes a product of a value of shape `x` with a constant weight; null: there is none. */
export const productForm = (node: Node, weight: Tensor, x: Shape): ProductForm | null =>
  node.op.product === undefined ? null : (linearForm(node, weight, x) ?? convolutionForm(node, weight, x))

/** The layer that cuts its input off at these bounds and has a quantized form. */
const cutting = ([least, most]: readonly [number | null, number | null]): AnyLayer | null => {
  if (least === 0 && most === null) return layers.ReLU()
  if (least === 0 && most === 6) return layers.ReLU6()
  return least === null || most === null || least >= most ? null : layers.Hardtanh({ minVal: least, maxVal: most })
}

/** Activations with a quantized form that are an op of their own. */
const ACTIVATIONS: readonly (() => AnyLayer)[] = [
  () => layers.Sigmoid(),
  () => layers.Tanh(),
  () => layers.QuantHardSwish({ actQuant: null }),
]

/** The activation layer that computes a node; null: there is none. */
export const activationForm = (node: Node): AnyLayer | null => {
  const bounds = node.op.cuts?.(node.attrs) ?? null
  if (bounds !== null) return cutting(bounds)
  return ACTIVATIONS.map((make) => make()).find((l) => isThat(l, tensorInput(node.shape), node)) ?? null
}

/** A layer that joins values, and how it is given them. */
export type JoinForm = { readonly layer: AnyLayer; readonly give: (values: readonly unknown[]) => unknown }

/** The join that computes a node of several values; null: there is none. */
export const joinForm = (node: Node, shapes: readonly Shape[]): JoinForm | null => {
  const { dim } = node.attrs
  const forms: readonly JoinForm[] = [
    { layer: Add(), give: (values) => values },
    { layer: Cat(), give: (values) => ({ values, ...(isNumber(dim) ? { dim } : {}) }) },
  ]
  const inputs: readonly InputDecl[] = shapes.map((s) => tensorInput(s))
  return forms.find(({ layer, give }) => isThat(watched(layer, give), inputs, node)) ?? null
}

/** A join that takes a bare list of values, for a look at what it computes. */
const watched = (layer: AnyLayer, give: JoinForm['give']): AnyLayer => ({
  ...layer,
  apply: (p: never, s: never, x: readonly unknown[], kit) => netOf<unknown, unknown>(layer).apply(p, s, give(x), kit),
})
