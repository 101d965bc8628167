/** `network.py`: a class for each combinator of ours, with the layers under our names, the innermost first. */
import type { QuantError } from '../../../data/error.js'
import { leaves } from '../../../data/tree.js'
import type { Shape } from '../../../data/shape.js'
import { isValue } from '../../../graph/trace.js'
import type { AnyLayer } from '../../../nn/layers/layer.js'
import { argumentNames, forwardOf, type Forward } from './forward.js'
import { constructed, hasClass } from './layers.js'
import { call, className, submodule, textLiteral } from './python.js'
import type { Import } from './quantizers.js'
import type { Frame } from './record.js'
import type { Read } from './scope.js'

/** The text of the module, or all that can't be said in it. */
export type Network = { readonly text: string; readonly refusals: readonly QuantError[] }

const byPath = (frame: Frame): ReadonlyMap<string, readonly Frame[]> => {
  const all = new Map<string, readonly Frame[]>()
  const visit = (f: Frame): void => {
    all.set(f.path, [...(all.get(f.path) ?? []), f])
    f.calls.forEach(visit)
  }
  visit(frame)
  return all
}

const isEmpty = (tree: object): boolean => Object.keys(tree).length === 0

/** A function of values as a layer: its forward is all that it is. */
const isFunction = (layer: AnyLayer): boolean =>
  layer.source === undefined && isEmpty(layer.params) && isEmpty(layer.state)

const ownLayer = (layer: AnyLayer, path: string): QuantError => {
  const refused = { tag: 'ExportError', op: layer.layer, path } as const
  return layer.source?.layer === layer.layer
    ? {
        ...refused,
        message: `${layer.layer} is a layer that the twin has no class for yet`,
        fix: `write its class into network.py by hand: leave ${path === '' ? 'it' : path} out here, and call it there`,
      }
    : {
        ...refused,
        message: `${layer.layer} is a layer of your own: what it is made of is not visible from outside, so that no class can be written for it`,
        fix: 'compose it with chain, residual or model of the layers of quantrace, or with functionLayer where it has no parameters',
      }
}

const differs = (layer: AnyLayer, path: string): QuantError => ({
  tag: 'ExportError',
  op: layer.layer,
  path,
  message: `${layer.layer} is called more than once, and does different things: one forward can't say both`,
  fix: 'give each use a layer of its own',
})

const pathOf = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)

/** Classes as they come into being, and what they need. */
type Writing = {
  readonly read: Read
  readonly frames: ReadonlyMap<string, readonly Frame[]>
  readonly classes: Map<string, string>
  readonly imports: Import[]
  readonly refusals: QuantError[]
}

/** All calls of a layer must read the same. */
const forwardFor = (w: Writing, layer: AnyLayer, path: string): Forward | null => {
  const all = (w.frames.get(path) ?? []).map((f) => forwardOf(f, w.read))
  const [first] = all
  if (first === undefined) return null
  w.imports.push(...first.imports)
  w.refusals.push(...first.refusals)
  if (all.some((f) => f.lines.join('\n') !== first.lines.join('\n') || f.args.join() !== first.args.join()))
    w.refusals.push(differs(layer, path))
  return first
}

const member = (
  w: Writing,
  layer: AnyLayer,
  path: string,
): { readonly head: string; readonly args: readonly string[] } => {
  if (hasClass(layer)) {
    const made = constructed(layer, path)
    w.imports.push(...made.imports)
    w.refusals.push(...made.refusals)
    return made
  }
  return { head: classOf(w, layer, path), args: [] }
}

/** The body of a class: its layers, and its forward. */
const bodyOf = (w: Writing, layer: AnyLayer, path: string): string => {
  const members = Object.entries(layer.source?.within ?? {}).map(([name, inner]) => {
    const { head, args } = member(w, inner, pathOf(path, name))
    return `        ${submodule(name)} = ${call(head, args, '        ')}\n`
  })
  const forward = forwardFor(w, layer, path)
  const start = members.length === 0 ? '' : `    def __init__(self):\n        super().__init__()\n${members.join('')}`
  if (forward === null) return start === '' ? '    pass\n' : start
  return `${start}${start === '' ? '' : '\n'}    def forward(${['self', ...forward.args].join(', ')}):\n${forward.lines.map((l) => `        ${l}\n`).join('')}`
}

/** The class of a combinator or function, written once for all that are alike. */
const classOf = (w: Writing, layer: AnyLayer, path: string): string => {
  if (layer.source?.within === undefined && !isFunction(layer)) {
    w.refusals.push(ownLayer(layer, path))
    return 'nn.Module'
  }
  const body = bodyOf(w, layer, path)
  const known = [...w.classes].find(([, text]) => text === body)
  if (known !== undefined) return known[0]
  const name = className(path, new Set([...w.classes.keys(), 'Network']))
  w.classes.set(name, body)
  return name
}

const importLines = (imports: readonly Import[]): string => {
  const modules = new Map<string, Set<string>>()
  for (const [module, name] of imports) modules.set(module, (modules.get(module) ?? new Set()).add(name))
  return [...modules]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([module, names]) => {
      const sorted = [...names].sort()
      const line = `from ${module} import ${sorted.join(', ')}`
      return line.length <= 100
        ? `${line}\n`
        : `from ${module} import (\n${sorted.map((n) => `    ${n},\n`).join('')})\n`
    })
    .join('')
}

const sizes = (shape: Shape, open: boolean): string =>
  `[${shape.map((n, i) => (i === 0 && open ? 'N' : String(n))).join(', ')}]`

/** What the network takes, for its docstring. */
const inputLine = (root: Frame, open: boolean): string => {
  const names = argumentNames(root.input)
  return leaves(isValue, root.input)
    .map(({ leaf }, i) => `${names[i]} ${sizes(leaf.shape, open)}`)
    .join(', ')
}

/** Element types of what the network takes, for those who read data. */
const typesOf = (root: Frame): string => {
  const names = argumentNames(root.input)
  const types = { float: 'torch.float32', integer: 'torch.int64', boolean: 'torch.bool' }
  const entries = leaves(isValue, root.input).map(({ leaf }, i) => `${textLiteral(names[i])}: ${types[leaf.dtype]}`)
  return `# What Network.forward takes.\nINPUTS = {${entries.join(', ')}}\n`
}

/** The module of a recorded network. */
export const networkText = (net: AnyLayer, root: Frame, read: Read): Network => {
  const w: Writing = { read, frames: byPath(root), classes: new Map(), imports: [], refusals: [] }
  const isOpen = read.other !== null
  const doc = `    """Takes ${inputLine(root, isOpen)}${isOpen ? '' : ', and no other number of samples'}."""\n`
  let last: string
  if (hasClass(net)) {
    const { head, args } = member(w, net, '')
    last = `class Network(${head}):\n${doc}\n    def __init__(self):\n        ${call('super().__init__', args, '        ')}\n`
  } else if (net.source?.within === undefined && !isFunction(net)) {
    w.refusals.push(ownLayer(net, ''))
    last = ''
  } else last = `class Network(nn.Module):\n${doc}\n${bodyOf(w, net, '')}`
  const texts = [...[...w.classes].map(([name, body]) => `class ${name}(nn.Module):\n${body}`), last].join('\n\n')
  const standard = [
    'import torch\n',
    ...(texts.includes('F.') ? ['import torch.nn.functional as F\n'] : []),
    'from torch import nn\n',
    ...(texts.includes('qnn.') ? ['import brevitas.nn as qnn\n'] : []),
  ].join('')
  const text = `"""The network, layer by layer as in quantrace. Written by \`toBrevitas\`; it is yours to change."""\n\n${standard}${importLines(w.imports)}\n${typesOf(root)}\n\n${texts}`
  return { text, refusals: w.refusals }
}
