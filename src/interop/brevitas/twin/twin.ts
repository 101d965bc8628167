/** A PyTorch twin of a network: readable Python, its numbers, and a script that trains it on many machines. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../../data/error.js'
import { leaves, mapTree, type Tree } from '../../../data/tree.js'
import type { InputDecl } from '../../../graph/trace.js'
import type { Program } from '../../../graph/program.js'
import type { AnyLayer, Layer } from '../../../nn/layers/layer.js'
import type { InputsOf } from '../../../nn/program/program.js'
import { safetensorsToBytes } from '../../arrays/safetensors.js'
import type { Trees } from '../stateDict.js'
import { networkText, type Network } from './network.js'
import { readmeText } from './readme.js'
import { record, type Recorded } from './record.js'
import { stateScript } from './stateScript.js'
import { trainScript } from './trainScript.js'
import { twinArrays } from './state.js'

/** Files by name: texts of Python and Markdown, and the numbers. */
export type TwinFiles = { readonly [name: string]: string | Uint8Array }

const isDecl = (x: unknown): x is InputDecl => typeof x === 'object' && x !== null && 'input' in x && 'shape' in x

/** The same inputs with more samples; null where they have no common first axis. */
const withMore = (inputs: Tree<InputDecl>, more: number): Tree<InputDecl> | null => {
  const shapes = leaves(isDecl, inputs).map(({ leaf }) => leaf.shape)
  const [first] = shapes
  if (first === undefined || first.length === 0 || shapes.some((s) => s[0] !== first[0])) return null
  return mapTree(isDecl, inputs, (d): InputDecl => ({ ...d, shape: [d.shape[0] + more, ...d.shape.slice(1)] }))
}

/** Are two traces of one network alike, node by node? */
const alike = (a: Program, b: Program): boolean =>
  a.graph.nodes.length === b.graph.nodes.length &&
  a.graph.nodes.every((n, i) => {
    const m = b.graph.nodes[i]
    return n.op.name === m.op.name && n.path === m.path && n.inputs.join() === m.inputs.join()
  })

/** The same trace for another number of samples; null where it refuses, or throws: a forward may count on the number that its user declared. */
const recordOther = (net: AnyLayer, inputs: Tree<InputDecl> | null, mode: 'train' | 'eval'): Recorded | null => {
  try {
    const other = inputs === null ? null : record(net, inputs, mode)
    return other === null || E.isLeft(other) ? null : other.right
  } catch {
    return null
  }
}

/**
 * The network's text in one mode. It is read off two traces with different numbers of samples, each more than was declared: one sample is special (a
 * squeeze takes its axis away). Where they are not alike, the declared number is the only one.
 */
const written = (net: AnyLayer, inputs: Tree<InputDecl>, mode: 'train' | 'eval'): E.Either<QuantErrors, Network> =>
  E.map(({ program, root }: Recorded): Network => {
    const [a, b] = [1, 2].map((more) => recordOther(net, withMore(inputs, more), mode))
    return a !== null && b !== null && alike(a.program, b.program)
      ? networkText(net, a.root, { program: a.program, other: b.program })
      : networkText(net, root, { program, other: null })
  })(record(net, inputs, mode))

/** Does the text say something else in training? Where one sample is too few for a batch norm, one more is taken. */
const dependsOnMode = (net: AnyLayer, inputs: Tree<InputDecl>, text: string): boolean =>
  [inputs, withMore(inputs, 1)].some((given) => {
    const training = given === null ? null : written(net, given, 'train')
    if (given === null || training === null || E.isLeft(training) || training.right.refusals.length > 0) return false
    const evaluating = given === inputs ? E.right({ text }) : written(net, given, 'eval')
    return E.isRight(evaluating) && training.right.text !== evaluating.right.text
  })

const ofMode = (net: AnyLayer): QuantError => ({
  tag: 'ExportError',
  op: net.layer,
  path: '',
  message:
    'the functions between the layers do something else in training than in eval; a generated forward says one thing',
  fix: 'leave what depends on the mode to layers: Dropout, BatchNorm2d, quantizers',
})

/** Names that no file can hold: halves of characters. */
const halves = (layer: AnyLayer, path = ''): readonly QuantError[] =>
  Object.entries(layer.source?.within ?? {}).flatMap(([name, inner]) => [
    ...(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(name)
      ? [
          {
            tag: 'ExportError',
            op: inner.layer,
            path,
            message: `the layer ${JSON.stringify(name)} can't be saved: its name holds half a character`,
            fix: 'name it with whole characters',
          } satisfies QuantError,
        ]
      : []),
    ...halves(inner, path === '' ? name : `${path}.${name}`),
  ])

const unique = (errors: readonly QuantError[]): readonly QuantError[] => [
  ...new Map(errors.map((e) => [`${e.path}|${e.message}`, e] as const)).values(),
]

/**
 * A PyTorch twin of a network, as files: `network.py` (the same layers of Brevitas 0.13 and torch with the same options under the same names, real modules, what
 * stands between them as code), `network.safetensors` (parameters and state), `state.py` (loads and saves them), `train.py` (trains under `torchrun`, one process or many,
 * one machine or many), `README.md`. `inputs` are declared as for `trace`; the first axis is taken for the batch where all have it.
 * What has no counterpart (custom ops and quantizers, layers of your own, corrected quirks) is an `ExportError` each, all of them at once.
 * `fromBrevitas` reads back what the twin has saved.
 *
 * @example
 * const files = orThrow(toBrevitas(net, tensorInput([1, 1, 28, 28]), { params, state }))
 * for (const [name, data] of Object.entries(files)) writeFileSync(join('twin', name), data)
 */
export const toBrevitas = <P, S, I, O>(
  layer: Layer<P, S, I, O>,
  inputs: InputsOf<I>,
  trees: Trees<P, S>,
): E.Either<QuantErrors, TwinFiles> => {
  const declared = inputs as Tree<InputDecl>
  const evaluating = written(layer, declared, 'eval')
  if (E.isLeft(evaluating)) return evaluating
  const { text, refusals } = evaluating.right
  const arrays = twinArrays(layer, trees)
  const errors = unique([
    ...halves(layer),
    ...refusals,
    ...(refusals.length === 0 && dependsOnMode(layer, declared, text) ? [ofMode(layer)] : []),
    ...(E.isLeft(arrays) ? arrays.left : []),
  ])
  if (errors.length > 0 || E.isLeft(arrays)) return E.left(errors)
  return E.right({
    'network.py': text,
    'network.safetensors': safetensorsToBytes(arrays.right),
    'state.py': stateScript,
    'train.py': trainScript,
    'README.md': readmeText,
  })
}
