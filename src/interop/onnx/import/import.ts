/** ONNX models as layers: QCDQ, plain QDQ, QONNX and float ones, to be drawn, run, fine-tuned and exported again. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../../data/error.js'
import { attempt, fieldProblems, func, isShape, record, showGiven } from '../../../data/fields.js'
import { showShape, type Shape } from '../../../data/shape.js'
import { newBuilder } from '../../../graph/builder.js'
import type { Kit, Value } from '../../../graph/op.js'
import { tensorInput, type InputDecl } from '../../../graph/trace.js'
import type { Layer, TensorTree, Traced } from '../../../nn/layers/layer.js'
import { ops } from '../../../ops/index.js'
import type { OnnxFormat } from '../rule.js'
import type { Entry, ImportRule } from './entry.js'
import { DataType, type Host, type ReadExternal } from './host.js'
import { isParam, leavesIn, newLedger, treeOf, type Leaf } from './leaves.js'
import { importError, readModel, type Model, type ModelInput, unknownNames } from './model.js'
import { importRules } from './rules/index.js'
import { walkModel, type Leaves, type Walk } from './session.js'
import { valueOf } from './values.js'

/** How a model is read. */
export type ImportOptions = {
  /** Shapes of inputs, by name. Symbolic sizes that nothing says are 1. */
  readonly inputs?: { readonly [name: string]: Shape }
  /** Symbolic sizes by their name: `{ batch: 8 }`. */
  readonly sizes?: { readonly [name: string]: number }
  /** Gives the bytes of files beside the model, in which large ones keep their tensors; `externalData(folder)` of `quantrace/node` does. */
  readonly external?: ReadExternal
  /** Rules of your own, by operator, `domain.operator` outside of ONNX' own domain. */
  readonly rules?: { readonly [op: string]: ImportRule }
}

/** An input or an output of a model: its name there, and the key under which it stands in records here. */
export type ImportedPort = { readonly name: string; readonly key: string }
/** An input with its shape, as imported, and its sizes as the file has them. */
export type ImportedInput = ImportedPort & { readonly shape: Shape; readonly sizes: readonly (number | string)[] }

/** Values by key. */
export type Values = { readonly [key: string]: Value }

/** A model from elsewhere. */
export type Imported = {
  /** From its inputs to its outputs, by key. Its first parameters and state, from `init`, are those of the file. */
  readonly model: Layer<TensorTree, TensorTree, Values, Values>
  /** The same from one value to one value, for models with one input and one output; others have it as a problem. */
  readonly layer: Layer<TensorTree, TensorTree>
  readonly inputs: readonly ImportedInput[]
  readonly outputs: readonly ImportedPort[]
  /** Declarations of the inputs, for `trace(imported.model, imported.declared, …)`. */
  readonly declared: { readonly [key: string]: InputDecl }
  /** Which of our formats says its quantizers; null where it has none. */
  readonly format: OnnxFormat | null
  readonly opset: number
  readonly producer: string
  /** Names of inputs and outputs by key, for `exportOnnx`. */
  readonly names: { readonly [key: string]: string }
}

const FIELDS = { inputs: record, sizes: record, external: func, rules: record }

const RESERVED = ['data', 'kind', '__proto__']

const keysOf = (names: readonly string[]): readonly string[] => {
  const used = new Set<string>()
  return names.map((name) => {
    const base = `${/^[A-Za-z_]/.test(name) ? '' : '_'}${name.replace(/[^A-Za-z0-9_]/g, '_')}`
    // A record with `data` would look like a tensor.
    let key = RESERVED.includes(base) ? `${base}_` : base
    for (let k = 2; used.has(key); k++) key = `${base}_${k}`
    used.add(key)
    return key
  })
}

/** The shape of an input: given, or of the file with its symbolic sizes filled in. */
const shapeOfInput = (
  i: ModelInput,
  o: ImportOptions,
  sizes: ReadonlyMap<string, number>,
): E.Either<QuantError, Shape> => {
  const wrong = (message: string, fix: string) =>
    E.left(importError(`input ${JSON.stringify(i.name)}: ${message}`, fix, 'input', i.name))
  const given = o.inputs !== undefined && Object.hasOwn(o.inputs, i.name) ? o.inputs[i.name] : undefined
  if (given !== undefined && !isShape(given)) return wrong(`${showGiven(given)} is no shape`, 'give a list of sizes')
  if (i.sizes === null)
    return given === undefined
      ? wrong('the file does not say its shape', `give it: inputs: { ${JSON.stringify(i.name)}: [1, 3, 224, 224] }`)
      : E.right(given)
  const fits =
    given === undefined ||
    (given.length === i.sizes.length && i.sizes.every((n, d) => typeof n === 'string' || n === given[d]))
  if (!fits)
    return wrong(
      `the shape ${showShape(given)} does not fit [${i.sizes.join(',')}], as the file has it`,
      'give the sizes that are open there, and the others as they are',
    )
  return E.right(given ?? i.sizes.map((n) => (typeof n === 'number' ? n : (sizes.get(n) ?? 1))))
}

/** Symbolic sizes: said by name, or by the shape of an input that has them. */
const sizesOf = (model: Model, o: ImportOptions): ReadonlyMap<string, number> => {
  const sizes = new Map<string, number>(Object.entries(o.sizes ?? {}))
  for (const i of model.inputs)
    i.sizes?.forEach((n, d) => {
      const given = o.inputs?.[i.name]?.[d]
      if (typeof n === 'string' && given !== undefined && !sizes.has(n)) sizes.set(n, given)
    })
  return sizes
}

type Ports = { readonly inputs: readonly ImportedInput[]; readonly outputs: readonly ImportedPort[] }

const portsOf = (model: Model, o: ImportOptions): E.Either<QuantErrors, Ports> => {
  const errors: QuantError[] = [...unknownNames(model, o)]
  const sizes = sizesOf(model, o)
  const keys = keysOf([...model.inputs.map((i) => i.name), ...model.outputs])
  const inputs = model.inputs.flatMap((i, k): readonly ImportedInput[] => {
    const shape = shapeOfInput(i, o, sizes)
    if (E.isRight(shape)) return [{ name: i.name, key: keys[k], shape: shape.right, sizes: i.sizes ?? shape.right }]
    errors.push(shape.left)
    return []
  })
  const outputs = model.outputs.map((name, k) => ({ name, key: keys[model.inputs.length + k] }))
  return errors.length > 0 ? E.left(errors) : E.right({ inputs, outputs })
}

/** Walks the model in a trace: from values by key to values by key. */
const through = (model: Model, ports: Ports, walk: Walk, given: Values): Values => {
  const names = new Map<string, Entry>()
  ports.inputs.forEach((p, i) => {
    const { type } = model.inputs[i]
    names.set(p.name, { is: 'value', value: given[p.key], type: type === DataType.UNDEFINED ? DataType.FLOAT : type })
  })
  const x = walkModel(walk, model, names)
  return Object.fromEntries(
    ports.outputs.map(({ name, key }) => {
      const e = names.get(name)
      return [
        key,
        e === undefined
          ? walk.refuse([importError(`nothing makes ${name}`, 'check the file')])
          : valueOf(x, e, 'constant'),
      ]
    }),
  )
}

/** What a first walk finds: the leaves, or all that is wrong. */
const explore = (
  model: Model,
  ports: Ports,
  rules: Walk['rules'],
  cache: Map<string, Host>,
): E.Either<QuantErrors, ReadonlyMap<string, Leaf>> => {
  const b = newBuilder({ table: ops, mode: 'eval' })
  const errors: QuantError[] = []
  const ledger = newLedger()
  const values = new Map<string, Value>()
  const leaves: Leaves = (known, role) => {
    ledger.note(known, role)
    const key = known.key ?? known.leaf
    const old = values.get(key) ?? b.input('param', key, known.host.shape)
    values.set(key, old)
    return old
  }
  const refuse = (found: readonly QuantError[]): Value => {
    errors.push(...found)
    const value = b.failWith(found[0])
    b.errors.pop()
    return value
  }
  const inputs = Object.fromEntries(ports.inputs.map((p) => [p.key, b.input('data', p.key, p.shape)] as const))
  through(model, ports, { kit: b, leaves, rules, refuse, recorded: b.errors, cache }, inputs)
  errors.push(...b.errors)
  return errors.length > 0 ? E.left(errors) : E.right(ledger.leaves)
}

const formatOf = (model: Model): OnnxFormat | null => {
  if (model.nodes.some((n) => n.domain === 'qonnx.custom_op.general' || n.domain === 'onnx.brevitas')) return 'qonnx'
  return model.nodes.some((n) => n.op === 'QuantizeLinear' || n.op === 'DequantizeLinear') ? 'qcdq' : null
}

const layersOf = (
  model: Model,
  ports: Ports,
  rules: Walk['rules'],
  leaves: ReadonlyMap<string, Leaf>,
  cache: Map<string, Host>,
): Pick<Imported, 'model' | 'layer'> => {
  const all = [...leaves.values()]
  const common = {
    params: treeOf(all.filter(isParam)),
    state: treeOf(all.filter((l) => !isParam(l))),
    config: {
      name: 'OnnxModel',
      parts: [
        ['producer', model.producer],
        ['operators', String(model.nodes.length)],
      ] as const,
    },
  }
  const run = (params: unknown, state: unknown, given: Values, kit: Kit): Values => {
    const refuse = (errors: readonly QuantError[]): Value => {
      const values = errors.map((e) => kit.failWith(e))
      return values[0]
    }
    return through(
      model,
      ports,
      { kit, leaves: leavesIn(leaves, params, state), rules, refuse, recorded: null, cache },
      given,
    )
  }
  const [input, output] = [ports.inputs[0], ports.outputs[0]]
  const problems =
    ports.inputs.length === 1 && ports.outputs.length === 1
      ? []
      : [
          importError(
            `this model has ${ports.inputs.length} inputs and ${ports.outputs.length} outputs; a layer from one value to one value it is not`,
            'trace imported.model, which takes and gives records: trace(imported.model, imported.declared, …)',
          ),
        ]
  return {
    model: {
      ...common,
      layer: 'OnnxModel',
      problems: [],
      apply: (params, state, given, kit) => [run(params, state, given, kit), state],
    },
    layer: {
      ...common,
      layer: 'OnnxModel',
      problems,
      apply: (params: Traced<TensorTree>, state: Traced<TensorTree>, v: Value, kit: Kit) => [
        run(params, state, { [input.key]: v }, kit)[output.key],
        state,
      ],
    },
  }
}

/**
 * A model from an ONNX file, of opsets 6 to 28: float operators become our primitives; QuantizeLinear → Clip → DequantizeLinear, stored integers and
 * the operators of QONNX become quantizers with metadata, so that the page draws an integer path and `exportOnnx` writes the same quantizers again.
 * Weights, biases and norms are parameters, scales and zero points learned state; statistics of batch norms stay as they are. Errors: an
 * ImportError for each node that has no place here, with its name and operator, all at once.
 * @example
 * ```ts
 * import { chain, init, orThrow, QuantIdentity, QuantLinear, tensorInput, trace } from 'quantrace'
 * import { exportOnnx, importOnnx } from 'quantrace/onnx'
 * const net = chain({ q: QuantIdentity({ returnQuantTensor: true }), fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }) })
 * const program = orThrow(trace(net, tensorInput([1, 2]), { mode: 'eval' }))
 * const { layer } = orThrow(importOnnx(orThrow(exportOnnx(program, orThrow(init(net, 0))))))
 * const again = orThrow(trace(layer, tensorInput([1, 2]), { mode: 'eval' }))
 * console.log(again.graph.nodes.some((node) => node.op.name === 'quantize~identity' || node.op.name === 'quantize'))
 * ```
 * ```text
 * true
 * ```
 */
export const importOnnx = (bytes: Uint8Array, options: ImportOptions = {}): E.Either<QuantErrors, Imported> => {
  const problems = fieldProblems('importOnnx', options, FIELDS)
  if (problems.length > 0) return E.left(problems)
  if (!(bytes instanceof Uint8Array))
    return E.left([
      importError(`importOnnx takes the bytes of a file, and was given ${showGiven(bytes)}`, 'give a Uint8Array'),
    ])
  const read = readModel(bytes, options.external)
  if (E.isLeft(read)) return read
  const model = read.right
  const ports = portsOf(model, options)
  if (E.isLeft(ports)) return ports
  const rules: Walk['rules'] = { ...importRules, ...options.rules }
  const cache = new Map<string, Host>()
  const found = E.flatten(attempt(() => explore(model, ports.right, rules, cache)))
  if (E.isLeft(found)) return found
  const { inputs, outputs } = ports.right
  return E.right({
    ...layersOf(model, ports.right, rules, found.right, cache),
    inputs,
    outputs,
    declared: Object.fromEntries(inputs.map((i) => [i.key, tensorInput(i.shape)] as const)),
    format: formatOf(model),
    opset: model.opset,
    producer: model.producer,
    names: Object.fromEntries([...inputs, ...outputs].map((p) => [p.key, p.name] as const)),
  })
}
