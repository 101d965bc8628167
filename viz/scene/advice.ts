/** What to change so that metadata survives. Rules from an op and its reason to advice in words and in code. */
import type { Advice, SceneNode } from './scene.js'

/** `layer`: the name of the layer that holds nothing but this function, so that another one can take its place; else empty. */
type Rule = {
  readonly applies: (node: SceneNode) => boolean
  readonly advise: (node: SceneNode, layer: string) => Advice
}

const nameOf = (node: SceneNode): string => node.box.split('.').at(-1) ?? ''
const why = (node: SceneNode): string => node.why ?? ''
const says =
  (pattern: RegExp) =>
  (node: SceneNode): boolean =>
    pattern.test(why(node))
const isOp =
  (...ops: readonly string[]) =>
  (node: SceneNode): boolean =>
    ops.includes(node.op.split('~')[0])
/** An activation where the layer stands, under its name; or under one of its own. */
const act = (layer: string, code: string): string => `${layer === '' ? 'act' : layer}: ${code}`
/** Is it the op of this name, or torch's function of this name that made a quant tensor a bare value? */
const isFunction =
  (name: string) =>
  (node: SceneNode): boolean =>
    isOp(name)(node) || why(node).startsWith(`torch.${name} `)
const both =
  (...tests: readonly Rule['applies'][]): Rule['applies'] =>
  (node) =>
    tests.every((t) => t(node))
const stripped = (node: SceneNode): boolean => node.carry === 'stripped'
const claimed = (node: SceneNode): boolean => node.carry === 'claimed'

const REQUANTIZE = 'requant: QuantIdentity({ returnQuantTensor: true })'

const returnQuantTensor: Rule = {
  applies: says(/returnQuantTensor/),
  advise: (node) => {
    const layer = /^(\w+)/.exec(why(node))?.[1] ?? 'the layer'
    return {
      text: `Let ${node.box === '' ? layer : node.box} hand its metadata on.`,
      code: `${nameOf(node) === '' ? 'layer' : nameOf(node)}: ${layer}({ …, returnQuantTensor: true })`,
    }
  },
}

const rules: readonly Rule[] = [
  returnQuantTensor,
  {
    applies: both(stripped, isOp('add')),
    advise: () => ({
      text: 'Put the quant tensor on the left: quant + plain keeps its metadata.',
      code: 'add(quantValue, plainValue)',
    }),
  },
  {
    applies: both(stripped, isOp('mul', 'div', 'concat', 'addBias')),
    advise: () => ({
      text: 'Quantize the plain operand too; with one quantizer for both they share a scale.',
      code: 'const [b1, q] = layers.q(params.q, state.q, b)',
    }),
  },
  {
    applies: both(stripped, isFunction('sigmoid')),
    advise: (_, layer) => ({
      text: 'Use the quantized activation.',
      code: act(layer, 'QuantSigmoid({ returnQuantTensor: true })'),
    }),
  },
  {
    applies: both(stripped, isFunction('tanh')),
    advise: (_, layer) => ({
      text: 'Use the quantized activation.',
      code: act(layer, 'QuantTanh({ returnQuantTensor: true })'),
    }),
  },
  {
    applies: both(stripped, isFunction('clamp')),
    advise: (_, layer) => ({
      text: 'Use the quantized clamp.',
      code: act(layer, 'QuantHardTanh({ minVal: -1, maxVal: 1, returnQuantTensor: true })'),
    }),
  },
  {
    applies: both(stripped, isOp('matmul')),
    advise: () => ({
      text: 'Use a linear layer: it multiplies the scales of input and weight.',
      code: 'fc: QuantLinear({ inFeatures, outFeatures, returnQuantTensor: true })',
    }),
  },
  {
    applies: both(stripped, says(/torch\.relu/)),
    advise: (_, layer) => ({
      text: 'relu(x), the function of quant tensors, keeps the metadata; or quantize again with QuantReLU.',
      code: act(layer, 'QuantReLU({ returnQuantTensor: true })'),
    }),
  },
  {
    applies: both(stripped, says(/gets (the )?bare value/)),
    advise: () => ({
      text: 'Use the function of quant tensors of the same name where there is one; or quantize the result.',
      code: REQUANTIZE,
    }),
  },
  {
    applies: both(claimed, isOp('add', 'sub', 'concat')),
    advise: () => ({
      text: 'Quantize both branches with one quantizer, so that they share one scale; or join with QuantEltwiseAdd or QuantCat.',
      code: 'join: QuantEltwiseAdd({ returnQuantTensor: true })',
    }),
  },
  {
    applies: both(claimed, isOp('relu')),
    advise: (_, layer) => ({
      text: 'Quantize after the ReLU: then all levels of the grid are used, and 0 is on it.',
      code: act(layer, 'QuantReLU({ returnQuantTensor: true })'),
    }),
  },
]

const again: Rule = {
  applies: () => true,
  advise: () => ({ text: 'Quantize the result again, before the next product.', code: REQUANTIZE }),
}

/** Advice for a stripped or claimed node, the most specific first; never empty. `alone`: its layer holds nothing but this function. */
export const adviceFor = (node: SceneNode, alone: boolean): readonly Advice[] => {
  const layer = alone ? nameOf(node) : ''
  const found = rules.filter((r) => r.applies(node)).map((r) => r.advise(node, layer))
  const last = again.advise(node, layer)
  return found.some((a) => a.code === last.code) ? found : [...found.slice(0, 2), last]
}
