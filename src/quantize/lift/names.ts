/** Names of lifted layers: from where their weights or nodes stood, made valid and unique. */
import type { NodeId } from '../../data/quant.js'
import type { Graph, Node } from '../../graph/graph.js'
import type { AnyLayer } from '../../nn/layers/layer.js'
import type { Product } from './products.js'

const NOT_NAMES: readonly string[] = ['__proto__', 'constructor', 'prototype']

/**
 * A path as one name: letters, digits, underscores; a number gets a letter in front, since JavaScript would reorder it.
 */
const validName = (path: string): string => {
  const name = path.replace(/[^A-Za-z0-9_]/g, '_')
  return /^\d/.test(name) ? `l${name}` : name
}

/**
 * Hands out names, each once; `taken` are those that are gone already. Wanted is the first of several that is free, or
 * the last with a number.
 */
export const newNames = (...reserved: readonly string[]): ((wanted: readonly string[]) => string) => {
  const taken = new Set([...NOT_NAMES, ...reserved])
  return (wanted) => {
    const names = wanted.map(validName).filter((n) => n !== '')
    const last = names[names.length - 1] ?? 'layer'
    let name = names.find((n) => !taken.has(n)) ?? last
    for (let k = 2; taken.has(name); k++) name = `${last}${/\d$/.test(last) ? '_' : ''}${k}`
    taken.add(name)
    return name
  }
}

/** `QuantHardSwish` as `hardSwish`, `Conv2d` as `conv`, `ReLU6` as `relu6`. */
const shortName = ({ layer }: AnyLayer): string => {
  const bare = layer.replace(/^Quant/, '').replace(/\dd$/, '')
  return bare.startsWith('ReLU') ? bare.toLowerCase() : `${bare[0].toLowerCase()}${bare.slice(1)}`
}

/**
 * What a product may be called: where its weight stood, if no other weight stands there; the path of its node; its
 * class.
 */
export const productNames = (
  graph: Graph,
  products: ReadonlyMap<NodeId, Product>,
): ((p: Product) => readonly string[]) => {
  const weightOf = ({ node }: Product): Node => graph.nodes[node.inputs[1]]
  const weights = new Map<string, Set<NodeId>>()
  for (const p of products.values()) {
    const { path, id } = weightOf(p)
    weights.set(path, (weights.get(path) ?? new Set<NodeId>()).add(id))
  }
  return (p) => {
    const { path } = weightOf(p)
    return [...(weights.get(path)?.size === 1 ? [path] : []), p.node.path, shortName(p.form.layer)]
  }
}

/** What another layer may be called: the path of its node, with its class where the path does not say it. */
export const nodeNames = ({ path }: Node, layer: AnyLayer): readonly string[] => {
  const short = shortName(layer)
  if (path === '') return [short]
  const last = path.slice(path.lastIndexOf('.') + 1)
  return [last.toLowerCase().includes(short.toLowerCase()) ? path : `${path}_${short}`]
}
