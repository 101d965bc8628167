/** Ways to compute a program: backends, storage, ONNX and back, a precompiled file, JSON and back, integers. */
import * as E from 'fp-ts/lib/Either.js'
import type { Backend } from '../../src/evaluator/backend.js'
import * as q from '../../src/index.js'
import {
  compareInteger,
  toInteger,
  type CompareOptions,
  type IntegerProgram,
  type LayerComparison,
  type Requantization,
} from '../../src/integer/index.js'
import { exportOnnx, importOnnx } from '../../src/interop/onnx/index.js'
import { bindInputs } from '../../src/nn/program/binding.js'
import { loadPrecompiled } from '../../src/runtime/index.js'
import type { Computed } from '../../src/testing/agree.js'
import type { DrawnProgram } from '../../src/testing/programs/drawn.js'

/** Tensors in the order of a graph's inputs. */
export type Flat = readonly q.Tensor[]

/** The outputs of a flat run by kind and path. */
const named = (program: q.Program, outputs: Flat): ReadonlyMap<string, q.Tensor> => {
  const at = new Map(program.graph.outputs.map((id, i) => [id, outputs[i]]))
  return new Map(
    program.outputs.flatMap((o) => {
      const t = at.get(o.node)
      return t === undefined ? [] : [[`${o.kind} ${o.path}`, t] as const]
    }),
  )
}

/** What a backend gives. */
export const onBackend = (backend: Backend, program: q.Program, flat: Flat): Computed => {
  const prepared = backend.prepare(program)
  if (E.isLeft(prepared)) return prepared
  const ran = prepared.right.run(flat)
  const found = E.map((r: { readonly outputs: Flat }) => named(program, r.outputs))(ran)
  const kept = E.map(
    (m: ReadonlyMap<string, q.Tensor>) =>
      new Map([...m].map(([n, t]) => [n, { shape: t.shape, data: t.data.slice() }])),
  )(found)
  prepared.right.dispose()
  return kept
}

/** Twice in storage of its own: the second time must give the same. */
export const onStorage = (backend: Backend, program: q.Program, flat: Flat): Computed => {
  const prepared = backend.prepare(program)
  if (E.isLeft(prepared)) return prepared
  const storage = prepared.right.resident()
  if (E.isLeft(storage)) return storage
  let ran: E.Either<q.QuantErrors, unknown> = E.right(null)
  for (let k = 0; k < 2 && E.isRight(ran); k++) {
    flat.forEach((t, i) => storage.right.write(i, t))
    ran = storage.right.execute()
  }
  const found = E.map(() =>
    named(
      program,
      program.graph.outputs.map((_, i) => {
        const { shape, data } = storage.right.output(i)
        return { shape, data: data.slice() }
      }),
    ),
  )(ran)
  storage.right.dispose()
  prepared.right.dispose()
  return found
}

/** The tensors of the arguments. */
export const boundTo = (program: q.Program, args: unknown): E.Either<q.QuantErrors, Flat> =>
  bindInputs(program, args as never)

/** Written as ONNX, read again; null where a format can not say it. */
export const viaOnnx = (d: DrawnProgram, format: 'qcdq' | 'qonnx'): Computed | null => {
  if (d.mode !== 'eval' || Object.values(d.declared).some((i) => i.input === 'quant')) return null
  const made = exportOnnx(d.program as q.Program<unknown, unknown>, d.args, { format, openBatch: false })
  if (E.isLeft(made)) return made.left.every((e) => e.tag === 'ExportError' || e.tag === 'CheckFailed') ? null : made
  const read = importOnnx(made.right)
  // What the importer does not know it says; what it says of others is a difference.
  if (E.isLeft(read)) return read.left.every((e) => e.message.endsWith('is not known')) ? null : read
  const { model, declared, outputs, names } = read.right
  const program = q.trace(model, declared as never, { mode: 'eval' })
  if (E.isLeft(program)) return program
  const initial = q.init(model, 0)
  if (E.isLeft(initial)) return initial
  const inputs = Object.fromEntries(
    Object.keys(declared).map((key) => [key, Object.entries(d.args.inputs).find(([n]) => n === names[key])?.[1]]),
  )
  const ran = q.run(program.right, { ...initial.right, inputs: inputs as never })
  return E.map((r: { readonly outputs: unknown }) => {
    const tree = r.outputs as { readonly [key: string]: q.Output }
    return new Map(outputs.map(({ key, name }) => [`result ${name}`, q.valueOf(tree[key])]))
  })(ran)
}

/** Precompiled and loaded; null where that is refused. */
export const viaFile = async (d: DrawnProgram): Promise<Computed | null> => {
  if (d.mode !== 'eval') return null
  const file = q.precompile(d.program as q.Program<unknown, unknown>, d.args)
  if (E.isLeft(file))
    return file.left.every((e) => e.tag === 'CheckFailed' || /can't be precompiled/.test(e.message)) ? null : file
  const loaded = await loadPrecompiled(file.right, { ops: q.ops })
  if (E.isLeft(loaded)) return loaded
  const ran = loaded.right.run(d.args.inputs)
  const found = E.map(
    (r: { readonly outputs: unknown }) =>
      new Map(
        Object.entries(r.outputs as { readonly [name: string]: q.Output }).map(([n, o]) => {
          const { shape, data } = q.valueOf(o)
          return [`result ${n}`, { shape, data: data.slice() }]
        }),
      ),
  )(ran)
  loaded.right.dispose()
  return found
}

/** With +0 for -0. */
export const unsigned = (c: Computed): Computed =>
  E.map(
    (m: ReadonlyMap<string, q.Tensor>) =>
      new Map([...m].map(([n, t]) => [n, { shape: t.shape, data: t.data.map((x) => x + 0) }])),
  )(c)
/** No NaN, no infinity. */
export const allFinite = (m: ReadonlyMap<string, q.Tensor>): boolean =>
  [...m.values()].every((t) => t.data.every((x) => Number.isFinite(x)))

/** Only what both have: state and gradients are no part of what is exported. */
export const resultsOf = (c: Computed): Computed =>
  E.map((m: ReadonlyMap<string, q.Tensor>) => new Map([...m].filter(([name]) => name.startsWith('result'))))(c)

/** Stored and read; a text where the two differ. */
export const viaJson = (program: q.Program): E.Either<string, q.Program> => {
  const text = q.programToJSON(program)
  const read = q.parseProgram(q.ops)(text)
  if (E.isLeft(read)) return E.left(q.explainAll(read.left))
  if (q.programToJSON(read.right) !== text) return E.left('stored again, the text differs')
  if (q.printProgram(read.right) !== q.printProgram(program)) return E.left('it prints otherwise')
  return read
}

/** Scale and zero point of the quant tensors that are inputs. */
const quantInputsOf = ({ args }: DrawnProgram) =>
  Object.fromEntries(
    Object.entries(args.inputs).flatMap(([name, x]) =>
      q.isQuantTensor(x) ? [[name, { scale: x.scale, zeroPoint: x.zeroPoint }] as const] : [],
    ),
  )

/** What in a comparison is further apart than so many steps, in words, or null. */
const beyond = (steps: number, all: readonly LayerComparison[], says: string): string | null => {
  const off = all.find((c) => c.most > steps)
  return off === undefined
    ? null
    : `${off.path}, ${says}: ${off.elements - off.equal} of ${off.elements} integers differ by up to ${off.most}`
}

/**
 * On integers alone: what breaks their promises, in words; null where nothing does, `refused` where a place of the program prevents integers. A layer that is
 * given the same integers is at most a step off, for float32 sums are off by their last bits, which shows near a tie; with thresholds, given the same sums, it is equal.
 */
export const viaInteger = (d: DrawnProgram): string | null | 'refused' => {
  if (d.mode !== 'eval') return 'refused'
  const quantInputs = quantInputsOf(d)
  const program = d.program as q.Program<unknown, unknown>
  const on = (requantization: Requantization, given: NonNullable<CompareOptions['given']>) =>
    E.chain((p: IntegerProgram) => compareInteger(p, program, d.args, [d.args.inputs], { quantInputs, given }))(
      toInteger(program, d.args, { quantInputs, requantization }),
    )
  const layers = on('auto', 'layers')
  if (E.isLeft(layers))
    return layers.left.every((e) => e.tag === 'ExportError' || e.tag === 'CheckFailed' || e.tag === 'NonFinite')
      ? 'refused'
      : q.explainAll(layers.left)
  const apart = beyond(1, layers.right, 'given the same integers')
  if (apart !== null) return apart
  const exact = on('thresholds', 'sums')
  // Some functions have too many steps for thresholds.
  return E.isLeft(exact) ? null : beyond(0, exact.right, 'by thresholds and given the same sums')
}
