/**
 * `--twin OUTDIR DIR…` writes the PyTorch twin of each program case at its final state, with inputs and outputs, for `check_twin.py` to compare;
 * `--from-twin OUTDIR DIR…` reads back what the twins saved after a training step.
 */
import * as E from 'fp-ts/lib/Either.js'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as q from '../../src/index.js'
import {
  fromBrevitas,
  parseSafetensors,
  safetensorsToBytes,
  toBrevitas,
  type StoredArrays,
} from '../../src/interop/brevitas/index.js'
import type { CaseProgram } from './execute.js'
import { finalOf, isProgramCase, type Final } from './final.js'
import { isRng, readCase, type Case } from './format.js'
import { put } from './onnx.js'
import type { Trees } from './state.js'

const cases = (files: readonly string[]): readonly Case[] =>
  files
    .map((f) => readCase(f))
    .filter((c): c is Case => !isRng(c))
    .filter((c) => isProgramCase(c))

const stored = (t: q.Tensor) => ({ shape: t.shape, data: t.data, type: 'F32' as const })

const partsOf = (prefix: string, named: { readonly [name: string]: q.Tensor | q.QuantTensor }): StoredArrays =>
  Object.fromEntries(
    Object.entries(named).flatMap(([name, v]) =>
      q.isQuantTensor(v)
        ? [
            [`${prefix}.${name}`, stored(v.value)],
            [`${prefix}.${name}.scale`, stored(v.scale)],
            [`${prefix}.${name}.zero_point`, stored(v.zeroPoint)],
            [`${prefix}.${name}.bit_width`, stored(v.bitWidth)],
            [`${prefix}.${name}.signed`, stored(q.tensorOf([], [Number(v.signed)]))],
            [`${prefix}.${name}.training`, stored(q.tensorOf([], [Number(v.training)]))],
          ]
        : [[`${prefix}.${name}`, stored(v)]],
    ),
  )

/** All values of a case in evaluation mode. */
const evaluated = (f: Final, trees: Trees): E.Either<q.QuantErrors, { readonly [name: string]: q.Output }> => {
  const traced = q.trace(f.model, f.declared, { mode: 'eval' })
  if (E.isLeft(traced)) return traced
  const ran = q.run(traced.right as CaseProgram, { ...trees, inputs: f.inputs })
  return E.map((r: { readonly outputs: { readonly [name: string]: q.Output } }) => r.outputs)(ran)
}

/** Writes the twins; prints each refusal. */
export const writeTwins = (files: readonly string[], outDir: string): number => {
  let [accepted, refused, unevaluable] = [0, 0, 0]
  for (const c of cases(files)) {
    const final = finalOf(c)
    const outputs = E.chain((f: Final) => evaluated(f, f.trees))(final)
    if (E.isLeft(final) || E.isLeft(outputs)) {
      unevaluable++
      continue
    }
    const { model, trees, declared, inputs } = final.right
    const twin = toBrevitas(model, declared, trees)
    if (E.isLeft(twin)) {
      refused++
      console.log(`REFUSED ${c.name}: ${twin.left.map((e) => e.message).join('; ')}`)
      continue
    }
    accepted++
    for (const [name, data] of Object.entries(twin.right)) put(join(outDir, c.name, name), data)
    put(
      join(outDir, c.name, 'io.safetensors'),
      safetensorsToBytes({ ...partsOf('in', inputs), ...partsOf('out', outputs.right) }),
    )
  }
  console.log(`${accepted} written, ${refused} refused, ${unevaluable} can't be evaluated at their end`)
  return 0
}

const largest = (data: Float32Array): number =>
  data.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0)

const near = (a: q.Tensor, b: Float32Array): boolean => {
  const bound = 1e-6 + 1e-5 * largest(b)
  return (
    a.data.length === b.length &&
    a.data.every((v, i) => Object.is(v, b[i]) || v === b[i] || Math.abs(v - b[i]) <= bound)
  )
}

/** Reads back what the twins saved, and compares with what they computed from it. */
export const readTwins = (files: readonly string[], outDir: string): number => {
  let [ok, failed] = [0, 0]
  for (const c of cases(files)) {
    const at = join(outDir, c.name)
    if (!existsSync(join(at, 'after.safetensors'))) continue
    const final = finalOf(c)
    if (E.isLeft(final)) continue
    const parse = (file: string) => parseSafetensors(readFileSync(join(at, file)))
    const back = E.chain((dict: StoredArrays) => fromBrevitas(final.right.model, dict))(parse('after.safetensors'))
    const outputs = E.chain((trees: Trees) => evaluated(final.right, trees))(back as E.Either<q.QuantErrors, Trees>)
    const expected = parse('after-io.safetensors')
    const wrong =
      E.isLeft(outputs) || E.isLeft(expected)
        ? q.explainAll(E.isLeft(outputs) ? outputs.left : E.isLeft(expected) ? expected.left : [])
        : Object.entries(outputs.right).find(([n, v]) => {
            const e = expected.right[n]
            return e !== undefined && !near(q.isQuantTensor(v) ? v.value : v, e.data)
          })?.[0]
    if (wrong === undefined) ok++
    else {
      failed++
      console.log(`DIFFERS ${c.name}: ${wrong}`)
    }
  }
  console.log(`${ok} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}
