/** `--state-dict OUTDIR DIR…` and `--from-state-dict INDIR --out OUTDIR DIR…`: Brevitas' state dicts, both ways (interop FORMAT.md, 3 and 4). */
import * as E from 'fp-ts/lib/Either.js'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as q from '../../src/index.js'
import { fromStateDict, parseSafetensors, safetensorsToBytes, toStateDict } from '../../src/interop/brevitas/index.js'
import { declare, mapNames, type CaseProgram } from './execute.js'
import { finalOf, isProgramCase, modelAt, type Final } from './final.js'
import { decode, decodeQuant, isQuantJson, isRng, outputOf, readCase, type Case, type Step } from './format.js'
import { valueDifferences } from './judge.js'
import { put, tensorJson } from './onnx.js'

const cases = (files: readonly string[]): readonly Case[] =>
  files
    .map((f) => readCase(f))
    .filter((c): c is Case => !isRng(c))
    .filter((c) => isProgramCase(c) && Object.keys(c.layers).length > 0)

/** Layers are named as the case names them, without the prefix that keeps their names apart from ours. */
const written = ({ model, trees }: Pick<Final, 'model' | 'trees'>): E.Either<q.QuantErrors, Uint8Array> =>
  E.map(safetensorsToBytes)(toStateDict(model, trees))

/** Writes the final state of each case, and the one after its first training step. */
export const writeStateDicts = (files: readonly string[], outDir: string): number => {
  let [ok, failed] = [0, 0]
  for (const c of cases(files)) {
    const final = finalOf(c)
    const made = E.chain((end: Final) => {
      const all = [['', end] as const, ...(end.mid === null ? [] : [['.mid', end.mid] as const])]
      const bytes = all.map(([suffix, t]) => [suffix, written(t)] as const)
      for (const [suffix, b] of bytes) if (E.isRight(b)) put(join(outDir, `${c.name}${suffix}.safetensors`), b.right)
      return bytes.find(([, b]) => E.isLeft(b))?.[1] ?? E.right(new Uint8Array())
    })(final)
    if (E.isRight(made)) ok++
    else {
      failed++
      console.log(`FAIL ${c.name}: ${q.explainAll(made.left)}`)
    }
  }
  console.log(`${ok} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}

/** Outputs of a step in eval, from a state dict. */
const evaluated = (
  { model, output }: Pick<Final, 'model' | 'output'>,
  bytes: Uint8Array,
  step: Step,
): E.Either<q.QuantErrors, q.Output> => {
  const dict = parseSafetensors(bytes)
  if (E.isLeft(dict)) return dict
  const trees = fromStateDict(model, dict.right)
  if (E.isLeft(trees)) return trees
  const traced = q.trace(model, mapNames(step.inputs, declare), { mode: 'eval' })
  if (E.isLeft(traced)) return traced
  const inputs = mapNames(step.inputs, (v) => (isQuantJson(v) ? decodeQuant(v) : decode(v)))
  const { params, state } = trees.right
  const ran = q.run(traced.right as CaseProgram, { params, state, inputs })
  return E.map((r: { readonly outputs: { readonly [name: string]: q.Output } }) => r.outputs[output])(ran)
}

const fields = (name: string, y: q.Output): { readonly [key: string]: unknown } =>
  q.isQuantTensor(y)
    ? {
        [name]: tensorJson(y.value),
        [`${name}.scale`]: tensorJson(y.scale),
        [`${name}.zero_point`]: tensorJson(y.zeroPoint),
        [`${name}.bit_width`]: tensorJson(y.bitWidth),
      }
    : { [name]: tensorJson(y) }

/** Loads Brevitas' state dicts, evaluates, and compares with the case where its own step is an eval step. */
export const readStateDicts = (files: readonly string[], inDir: string, outDir: string): number => {
  let [ok, failed] = [0, 0]
  for (const c of cases(files)) {
    const at = join(inDir, `${c.name}`)
    if (!existsSync(`${at}.safetensors`) || !existsSync(`${at}.expect.json`)) continue
    const expect: {
      readonly step?: number
      readonly error?: string
      readonly same_without_loading?: boolean
    } = JSON.parse(readFileSync(`${at}.expect.json`, 'utf8'))
    if (expect.step === undefined) continue
    const step = c.steps[expect.step]
    const then = modelAt(c, expect.step)
    const y = E.isLeft(then) ? then : evaluated(then.right, readFileSync(`${at}.safetensors`), step)
    // Brevitas itself does not load a state dict without a key that it never saved.
    if (E.isLeft(y) && expect.error !== undefined) {
      ok++
      continue
    }
    if (E.isLeft(y)) {
      failed++
      console.log(`FAIL ${c.name}: ${q.explainAll(y.left)}`)
      continue
    }
    put(join(outDir, `${c.name}.io.json`), JSON.stringify({ outputs: fields(outputOf(c, step.program), y.right) }))
    // Loading ends collections and starts delays again: where Brevitas' own numbers move, the recorded ones are not those to compare with.
    const recorded = step.mode === 'eval' && expect.same_without_loading !== false ? step.expect?.y : undefined
    const differences = recorded === undefined ? [] : valueDifferences('y', recorded, y.right, c.compare)
    if (differences.length === 0) ok++
    else {
      failed++
      console.log(`DIFFERS ${c.name}: ${differences[0]}`)
    }
  }
  console.log(`${ok} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}
