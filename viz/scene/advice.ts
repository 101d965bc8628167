/** What to change so that metadata survives. Rules from an op and its reason to advice in words and in code. */
import type { Advice, SceneNode } from './scene.js'

type Rule = { readonly applies: (node: SceneNode) => boolean; readonly advise: (node: SceneNode) => Advice }

const nameOf = (node: SceneNode): string => node.box.split('.').at(-1) ?? ''
const why = (node: SceneNode): string => node.why ?? ''
const says = (pattern: RegExp) => (node: SceneNode): boolean => pattern.test(why(node))
const isOp = (...ops: readonly string[]) => (node: SceneNode): boolean => ops.includes(node.op.split('~')[0])
const both = (...tests: readonly Rule['applies'][]): Rule['applies'] => (node) => tests.every((t) => t(node))
const stripped = (node: SceneNode): boolean => node.carry === 'stripped'
const claimed = (node: SceneNode): boolean => node.carry === 'claimed'

const REQUANTIZE = "requant: QuantIdentity({ returnQuantTensor: true })"

const returnQuantTensor: Rule = {
  applies: says(/returnQuantTensor/),
  advise: (node) => {
    const layer = /^(\w+)/.exec(why(node))?.[1] ?? 'the layer'
    return { text: `Let ${node.box === '' ? layer : node.box} hand its metadata on.`, code: `${nameOf(node) === '' ? 'layer' : nameOf(node)}: ${layer}({ …, returnQuantTensor: true })` }
  },
}

const rules: readonly Rule[] = [
  returnQuantTensor,
  { applies: both(stripped, isOp('add')), advise: () => ({ text: 'Put the quant tensor on the left: quant + plain keeps its metadata.', code: 'add(quantValue, plainValue)' }) },
  { applies: both(stripped, isOp('mul', 'div', 'concat', 'addBias')), advise: () => ({ text: 'Quantize the plain operand too; with one quantizer for both they share a scale.', code: 'const [b1, q] = layers.q(params.q, state.q, b)' }) },
  { applies: both(stripped, isOp('sigmoid')), advise: () => ({ text: 'Use the quantized activation.', code: 'act: QuantSigmoid({ returnQuantTensor: true })' }) },
  { applies: both(stripped, isOp('tanh')), advise: () => ({ text: 'Use the quantized activation.', code: 'act: QuantTanh({ returnQuantTensor: true })' }) },
  { applies: both(stripped, isOp('clamp')), advise: () => ({ text: 'Use the quantized clamp.', code: 'act: QuantHardTanh({ minVal: -1, maxVal: 1, returnQuantTensor: true })' }) },
  { applies: both(stripped, isOp('matmul')), advise: () => ({ text: 'Use a linear layer: it multiplies the scales of input and weight.', code: 'fc: QuantLinear({ inFeatures, outFeatures, returnQuantTensor: true })' }) },
  { applies: both(stripped, says(/torch\.relu/)), advise: () => ({ text: 'relu(x), the function of quant tensors, keeps the metadata; or quantize again with QuantReLU.', code: 'act: QuantReLU({ returnQuantTensor: true })' }) },
  { applies: both(stripped, says(/gets (the )?bare value/)), advise: () => ({ text: 'Use the function of quant tensors of the same name where there is one; or quantize the result.', code: REQUANTIZE }) },
  { applies: both(claimed, isOp('add', 'sub', 'concat')), advise: () => ({ text: 'Quantize both branches with one quantizer, so that they share one scale; or join with QuantEltwiseAdd or QuantCat.', code: 'join: QuantEltwiseAdd({ returnQuantTensor: true })' }) },
  { applies: both(claimed, isOp('relu')), advise: () => ({ text: 'Quantize after the ReLU: then all levels of the grid are used, and 0 is on it.', code: 'act: QuantReLU({ returnQuantTensor: true })' }) },
]

const again: Rule = { applies: () => true, advise: () => ({ text: 'Quantize the result again, before the next product.', code: REQUANTIZE }) }

/** Advice for a stripped or claimed node, the most specific first; never empty. */
export const adviceFor = (node: SceneNode): readonly Advice[] => {
  const found = rules.filter((r) => r.applies(node)).map((r) => r.advise(node))
  const last = again.advise(node)
  return found.some((a) => a.code === last.code) ? found : [...found.slice(0, 2), last]
}
