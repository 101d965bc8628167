/** The network of W6 as ONNX: float, and quantized as Brevitas exports it (QuantizeLinear, DequantizeLinear: "QCDQ"). */
import type { Tensor } from '../../src/index.js'
import type { Initializer, OnnxModel, OnnxNode } from './onnx.js'

/** Scale of the quantizer at a path, `conv1.weightQuant` or `relu1.actQuant`. */
export type ScaleAt = (path: string) => number
type Given = (name: string) => Tensor

/** Steps of the network that say how the rest hangs together. */
type Parts = { readonly initializers: readonly Initializer[]; readonly nodes: readonly OnnxNode[] }

const CONV = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] } as const
const POOL = { kernel_shape: [2, 2], strides: [2, 2] } as const

const both = (...parts: readonly Parts[]): Parts => ({
  initializers: parts.flatMap((p) => p.initializers),
  nodes: parts.flatMap((p) => p.nodes),
})

const float = (name: string, t: Tensor): Initializer => ({ name, shape: t.shape, data: t.data })
const scalarOf = (name: string, value: number): Initializer => ({ name, shape: [], data: Float32Array.of(value) })

/** Through an 8-bit grid and back. */
const grid = (from: string, to: string, scale: number, signed: boolean): Parts => ({
  initializers: [
    scalarOf(`${to}.scale`, scale),
    { name: `${to}.zero`, shape: [], data: signed ? new Int8Array(1) : new Uint8Array(1) },
  ],
  nodes: [
    { op: 'QuantizeLinear', inputs: [from, `${to}.scale`, `${to}.zero`], output: `${to}.int` },
    { op: 'DequantizeLinear', inputs: [`${to}.int`, `${to}.scale`, `${to}.zero`], output: to },
  ],
})

/** Weights as 8-bit integers that are dequantized at the use. */
const integerWeight = (name: string, weight: Tensor, scale: number): Parts => ({
  initializers: [
    {
      name: `${name}.int`,
      shape: weight.shape,
      data: Int8Array.from(weight.data, (w) => Math.max(-127, Math.min(127, roundHalfToEven(w / scale)))),
    },
    scalarOf(`${name}.scale`, scale),
    { name: `${name}.zero`, shape: [], data: new Int8Array(1) },
  ],
  nodes: [{ op: 'DequantizeLinear', inputs: [`${name}.int`, `${name}.scale`, `${name}.zero`], output: name }],
})

const roundHalfToEven = (x: number): number => {
  const down = Math.floor(x)
  return x - down === 0.5 ? 2 * Math.round(down / 2) : Math.round(x)
}

/** The network, with or without quantizers. */
export const onnxNet = (batch: number, given: Given, scaleAt: ScaleAt | null): OnnxModel => {
  const weighted = (layer: string, from: string, op: 'Conv' | 'Gemm'): Parts => {
    const [w, b] = [`${layer}.weight`, `${layer}.bias`]
    const weight =
      scaleAt === null
        ? { initializers: [float(w, given(w))], nodes: [] }
        : integerWeight(w, given(w), scaleAt(`${layer}.weightQuant`))
    return both(weight, {
      initializers: [float(b, given(b))],
      nodes: [{ op, inputs: [from, w, b], output: layer, attributes: op === 'Conv' ? CONV : { transB: 1 } }],
    })
  }
  const relu = (name: string, from: string): Parts => {
    const act: Parts = {
      initializers: [],
      nodes: [{ op: 'Relu', inputs: [from], output: scaleAt === null ? name : `${name}.float` }],
    }
    return scaleAt === null ? act : both(act, grid(`${name}.float`, name, scaleAt(`${name}.actQuant`), false))
  }
  const one = (op: string, from: string, output: string, attributes: NonNullable<OnnxNode['attributes']>): Parts => ({
    initializers: [],
    nodes: [{ op, inputs: [from], output, attributes }],
  })
  const parts = both(
    scaleAt === null ? { initializers: [], nodes: [] } : grid('x', 'input', scaleAt('input.actQuant'), true),
    weighted('conv1', scaleAt === null ? 'x' : 'input', 'Conv'),
    relu('relu1', 'conv1'),
    one('MaxPool', 'relu1', 'pool1', POOL),
    weighted('conv2', 'pool1', 'Conv'),
    relu('relu2', 'conv2'),
    one('MaxPool', 'relu2', 'pool2', POOL),
    one('Flatten', 'pool2', 'flat', { axis: 1 }),
    weighted('fc1', 'flat', 'Gemm'),
    relu('relu3', 'fc1'),
    weighted('fc2', 'relu3', 'Gemm'),
  )
  return { input: { name: 'x', shape: [batch, 1, 28, 28] }, output: { name: 'fc2', shape: [batch, 10] }, ...parts }
}
