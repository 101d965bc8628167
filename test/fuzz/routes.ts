/** Every way in which a program can be computed, each compared with the reference: backends, stored forms, passes, gradients, exporters and importers. */
import * as E from 'fp-ts/lib/Either.js'
import { vjpProgram } from '../../src/autodiff/vjp.js'
import type { Backend } from '../../src/evaluator/backend.js'
import type { OpTable } from '../../src/graph/op.js'
import * as q from '../../src/index.js'
import { exportOnnx, importOnnx } from '../../src/interop/onnx/index.js'
import { bindInputs } from '../../src/nn/program/binding.js'
import { loadPrecompiled } from '../../src/runtime/index.js'
import { differenceOf, disturbedTables, onlyFailing, type Computed } from '../../src/testing/agree.js'
import { programOfRecipe, type DrawnProgram } from '../../src/testing/programs/drawn.js'

/** What was found: which way differs, and how. */
export type Finding = { readonly route: string; readonly says: string }

type Flat = readonly q.Tensor[]

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

const onBackend = (backend: Backend, program: q.Program, flat: Flat): Computed => {
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
const onStorage = (backend: Backend, program: q.Program, flat: Flat): Computed => {
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

const boundTo = (program: q.Program, args: unknown): E.Either<q.QuantErrors, Flat> => bindInputs(program, args as never)

/** The tables are made once: they are pure. */
const TABLES = disturbedTables(q.ops)
const FOREIGN = disturbedTables(q.ops, true)

const viaOnnx = (d: DrawnProgram, format: 'qcdq' | 'qonnx'): Computed | null => {
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

const viaFile = async (d: DrawnProgram): Promise<Computed | null> => {
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
const unsigned = (c: Computed): Computed =>
  E.map(
    (m: ReadonlyMap<string, q.Tensor>) =>
      new Map([...m].map(([n, t]) => [n, { shape: t.shape, data: t.data.map((x) => x + 0) }])),
  )(c)
const allFinite = (m: ReadonlyMap<string, q.Tensor>): boolean =>
  [...m.values()].every((t) => t.data.every((x) => Number.isFinite(x)))

/** Only what both have: state and gradients are no part of what is exported. */
const resultsOf = (c: Computed): Computed =>
  E.map((m: ReadonlyMap<string, q.Tensor>) => new Map([...m].filter(([name]) => name.startsWith('result'))))(c)

const viaJson = (program: q.Program): E.Either<string, q.Program> => {
  const text = q.programToJSON(program)
  const read = q.parseProgram(q.ops)(text)
  if (E.isLeft(read)) return E.left(q.explainAll(read.left))
  if (q.programToJSON(read.right) !== text) return E.left('stored again, the text differs')
  if (q.printProgram(read.right) !== q.printProgram(program)) return E.left('it prints otherwise')
  return read
}

const cotangentOf = (d: DrawnProgram): q.Tensor | null => {
  const main = d.program.outputs.find((o) => o.kind === 'result' && o.path === 'main')
  if (main === undefined) return null
  const { shape } = d.program.graph.nodes[main.node]
  const n = shape.reduce((a, b) => a * b, 1)
  return { shape, data: Float32Array.from({ length: n }, (_, i) => ((i * 5) % 9) - 4) }
}

const backwardOf = (d: DrawnProgram, table: OpTable): E.Either<q.QuantErrors, q.Program> =>
  vjpProgram(table)(d.program, { output: 'main', inputs: true, cotangent: 'given' })

/** Ways that take their time are gone in turns: `turn` says which of them, 0 to 3; without it, all. */
export type RouteOptions = { readonly threads: Backend | null; readonly turn?: number }

/** The first difference between ways to compute a program, or null. */
export const checkRoutes = async (d: DrawnProgram, options: RouteOptions): Promise<Finding | null> => {
  const isTurn = (k: number): boolean => options.turn === undefined || options.turn % 4 === k
  const bound = boundTo(d.program, d.args)
  if (E.isLeft(bound)) return { route: 'bind', says: q.explainAll(bound.left) }
  const flat = bound.right
  const expected = onBackend(q.reference, d.program, flat)
  const over = (tables: readonly OpTable[]): readonly Computed[] =>
    tables.map((t) => {
      const again = programOfRecipe(d.recipe, t)
      return E.isLeft(again) ? again : onBackend(q.reference, again.right.program, flat)
    })
  let known: readonly Computed[] | undefined
  const disturbed = (): readonly Computed[] => (known ??= over(TABLES))
  const foreign = (): readonly Computed[] => over(FOREIGN).map(resultsOf)
  const failing = (op: string): Computed => over([onlyFailing(q.ops, op)])[0]
  const resultsDisturbed = (): readonly Computed[] => disturbed().map(resultsOf)
  const all = (route: string, found: Computed | null): Finding | null => {
    const says = found === null ? null : differenceOf(expected, found, disturbed, failing)
    return says === null ? null : { route, says }
  }
  const results = (route: string, found: Computed | null): Finding | null => {
    const says = found === null ? null : differenceOf(resultsOf(expected), resultsOf(found), resultsDisturbed, failing)
    return says === null ? null : { route, says }
  }
  const threaded = (backend: Backend): Finding | null => {
    const found = all('wasm, threads', onBackend(backend, d.program, flat))
    if (found === null) return null
    // What threads get wrong only now and then is told from what they always do.
    const again = Array.from({ length: 10 }, () => all('', onBackend(backend, d.program, flat)) !== null)
    return { route: found.route, says: `${found.says} (of 10 more runs ${again.filter(Boolean).length} differ)` }
  }
  // ONNX has no checks, no NaN behind a quantizer, no signs of zeros, and functions of its own: what it computes for log2, say, has other last bits.
  const exported = (route: string, format: 'qcdq' | 'qonnx'): Finding | null => {
    const mine = unsigned(resultsOf(expected))
    const found = E.isLeft(mine) || !allFinite(mine.right) ? null : viaOnnx(d, format)
    const says = found === null ? null : differenceOf(mine, unsigned(resultsOf(found)), foreign)
    return says === null ? null : { route, says }
  }
  const stored = viaJson(d.program)
  if (E.isLeft(stored)) return { route: 'store and parse', says: stored.left }
  const fixed = q.specialize(d.program as q.Program<unknown, unknown>, d.args)
  const special = (backend: Backend): Computed => {
    if (E.isLeft(fixed)) return fixed
    const { program, constants } = fixed.right
    const own = boundTo(program as q.Program, { params: constants, state: {}, inputs: d.args.inputs })
    return E.isLeft(own) ? own : onBackend(backend, program as q.Program, own.right)
  }
  return (
    all('wasm', onBackend(q.wasm, d.program, flat)) ??
    (isTurn(1) ? all('wasm, resident', onStorage(q.wasm, d.program, flat)) : null) ??
    (options.threads !== null && isTurn(2) ? threaded(options.threads) : null) ??
    all('store and parse', onBackend(q.reference, stored.right, flat)) ??
    results('specialize', special(q.reference)) ??
    (isTurn(3) ? results('specialize, wasm', special(q.wasm)) : null) ??
    (isTurn(0) ? results('precompile', await viaFile(d)) : null) ??
    exported('ONNX and back', 'qcdq') ??
    exported('QONNX and back', 'qonnx') ??
    checkBackward(d, flat, isTurn(3))
  )
}

const checkBackward = (d: DrawnProgram, flat: Flat, resident: boolean): Finding | null => {
  const made = backwardOf(d, q.ops)
  if (E.isLeft(made))
    return made.left.every((e) => e.tag === 'NotDifferentiable')
      ? null
      : { route: 'vjp', says: q.explainAll(made.left) }
  const cotangent = cotangentOf(d)
  if (cotangent === null) return null
  const given = [...flat, cotangent]
  const expected = onBackend(q.reference, made.right, given)
  const over = (t: OpTable): Computed => {
    const again = programOfRecipe(d.recipe, t)
    if (E.isLeft(again)) return again
    const back = backwardOf(again.right, t)
    return E.isLeft(back) ? back : onBackend(q.reference, back.right, given)
  }
  const disturbed = (): readonly Computed[] => TABLES.map(over)
  const failing = (op: string): Computed => over(onlyFailing(q.ops, op))
  const stored = viaJson(made.right)
  if (E.isLeft(stored)) return { route: 'vjp, store and parse', says: stored.left }
  const ways: readonly (readonly [string, () => Computed])[] = [
    ['vjp, wasm', () => onBackend(q.wasm, made.right, given)],
    ...(resident ? [['vjp, wasm, resident', () => onStorage(q.wasm, made.right, given)] as const] : []),
    ['vjp, store and parse', () => onBackend(q.reference, stored.right, given)],
  ]
  for (const [route, way] of ways) {
    const says = differenceOf(expected, way(), disturbed, failing)
    if (says !== null) return { route, says }
  }
  return null
}
