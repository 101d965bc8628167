/** `--import DIR --out OUTDIR`: each model of a folder with its numbers, what we compute of it, and it written again (interop FORMAT.md, 2). */
import * as E from 'fp-ts/lib/Either.js'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as q from '../../src/index.js'
import { exportOnnx, importOnnx, type Imported } from '../../src/interop/onnx/index.js'
import { decode, type TensorJson } from './format.js'
import { put, tensorJson } from './onnx.js'

type Io = {
  readonly inputs: { readonly [name: string]: TensorJson }
  readonly runtime: { readonly [name: string]: TensorJson }
  readonly format: string
}
type Ran = {
  readonly outputs: { readonly [name: string]: q.Tensor }
  readonly again: E.Either<q.QuantErrors, Uint8Array> | null
}

const written = (m: Imported, program: q.Program, params: unknown, state: unknown): Ran['again'] =>
  m.format === null
    ? null
    : exportOnnx(
        program,
        { params, state },
        { format: m.format, names: m.names, opset: Math.min(21, Math.max(13, m.opset)) },
      )

/** The files have no scalars: they write them as one number in a list. */
const shapedAs = (t: q.Tensor, shape: readonly number[] | undefined): q.Tensor =>
  shape !== undefined && t.data.length === 1 && shape.every((n) => n === 1) ? { shape, data: t.data } : t

/** A model read, traced in eval and run by the reference. */
const ranOf = (bytes: Uint8Array, io: Io): E.Either<q.QuantErrors, Ran> => {
  const given = Object.fromEntries(Object.entries(io.inputs).map(([name, t]) => [name, decode(t)] as const))
  const shapes = Object.fromEntries(Object.entries(given).map(([name, t]) => [name, t.shape] as const))
  const strict = importOnnx(bytes, { inputs: shapes })
  const several = Object.entries(shapes).filter(([, shape]) => shape.join() !== '1')
  const imported = E.isLeft(strict) ? importOnnx(bytes, { inputs: Object.fromEntries(several) }) : strict
  if (E.isLeft(imported)) return imported
  const m = imported.right
  const start = q.init(m.model, 0)
  if (E.isLeft(start)) return start
  const program = q.trace(m.model, m.declared, { mode: 'eval' })
  if (E.isLeft(program)) return program
  const { params, state } = start.right
  const missing = m.inputs.find((i) => given[i.name] === undefined)
  if (missing !== undefined) throw new Error(`there are no numbers for the input ${missing.name}`)
  const inputs = Object.fromEntries(m.inputs.map((i) => [i.key, shapedAs(given[i.name], i.shape)] as const))
  return E.map((ran: q.Ran<unknown, { readonly [key: string]: q.Output }>): Ran => ({
    outputs: Object.fromEntries(
      m.outputs.map((o) => [o.name, shapedAs(q.valueOf(ran.outputs[o.key]), io.runtime[o.name]?.shape)] as const),
    ),
    again: written(m, program.right as q.Program, params, state),
  }))(q.run(program.right, { params, state, inputs }))
}

/** The largest difference from what was recorded, NaN being equal to NaN; infinite where shapes differ. */
const difference = (got: Ran['outputs'], want: Io['runtime']): number => {
  let most = 0
  for (const [name, recorded] of Object.entries(want)) {
    const [a, b] = [got[name], decode(recorded)]
    if (a === undefined || a.shape.join() !== b.shape.join()) return Infinity
    for (let i = 0; i < b.data.length; i++)
      if (!(Number.isNaN(a.data[i]) && Number.isNaN(b.data[i])) && a.data[i] !== b.data[i])
        most = Math.max(most, Number.isNaN(a.data[i] - b.data[i]) ? Infinity : Math.abs(a.data[i] - b.data[i]))
  }
  return most
}

const largest = (want: Io['runtime']): number =>
  Math.max(
    0,
    ...Object.values(want).map((t) =>
      decode(t).data.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0),
    ),
  )

/** Reads all models; the last line is `N passed, M failed, K refused`. */
export const readOnnx = (dir: string, outDir: string): number => {
  let [passed, failed, refused] = [0, 0, 0]
  for (const file of readdirSync(dir)
    .filter((f) => f.endsWith('.onnx'))
    .sort()) {
    const name = file.slice(0, -'.onnx'.length)
    const recorded = join(dir, `${name}.io.json`)
    if (!existsSync(recorded)) continue
    const out = join(outDir, name)
    for (const ending of ['.onnx', '.io.json', '.reason.json']) rmSync(`${out}${ending}`, { force: true })
    try {
      const io = JSON.parse(readFileSync(recorded, 'utf8')) as Io
      const ran = ranOf(new Uint8Array(readFileSync(join(dir, file))), io)
      if (E.isLeft(ran)) {
        put(`${out}.reason.json`, JSON.stringify({ reason: q.explainAll(ran.left), where: ran.left[0].path }))
        console.log(`${name} refused: ${ran.left.map((e) => e.message).join('; ')}`)
        refused++
        continue
      }
      const { outputs, again } = ran.right
      put(
        `${out}.io.json`,
        JSON.stringify({ outputs: Object.fromEntries(Object.entries(outputs).map(([k, t]) => [k, tensorJson(t)])) }),
      )
      if (again !== null && E.isRight(again)) put(`${out}.onnx`, again.right)
      if (again !== null && E.isLeft(again)) console.log(`${name} not written again: ${q.explainAll(again.left)}`)
      const d = difference(outputs, io.runtime)
      console.log(`${name} max difference ${d}`)
      if (d <= 1e-3 * largest(io.runtime) + 1e-5) passed++
      else failed++
    } catch (e) {
      failed++
      console.log(`FAIL ${name}: ${e instanceof Error ? e.stack : String(e)}`)
    }
  }
  console.log(`${passed} passed, ${failed} failed, ${refused} refused`)
  return failed > 0 ? 1 : 0
}
