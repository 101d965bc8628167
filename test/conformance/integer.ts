/** `--integer OUTDIR DIR…`: each program case as an integer program in C, with a host program around it, or the reason why not (integer FORMAT.md). */
import * as E from 'fp-ts/lib/Either.js'
import { rmSync, statSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import * as q from '../../src/index.js'
import {
  layersOf,
  quantizeInputs,
  runInteger,
  toC,
  toInteger,
  type CProgram,
  type IntegerProgram,
} from '../../src/integer/index.js'
import { evalProgram, finalOf, isProgramCase, type Final } from './final.js'
import { isRng, readCase, type Case } from './format.js'
import { hostProgram } from './integerHost.js'
import { put } from './onnx.js'

/** What is written for a case. */
export type Written = {
  readonly integer: IntegerProgram
  readonly c: CProgram
  readonly host: string
  readonly json: unknown
  /** The integers of the result. */
  readonly y: readonly number[]
}

/** A name of C for a case. */
export const nameFor = (file: string): string =>
  `net_${basename(file, '.json').replace(/[^A-Za-z0-9]+/g, '_')}`.slice(0, 48)

const quantInputsOf = (inputs: Final['inputs']) =>
  Object.fromEntries(
    Object.entries(inputs).flatMap(([k, v]) =>
      q.isQuantTensor(v) ? [[k, { scale: v.scale, zeroPoint: v.zeroPoint }] as const] : [],
    ),
  )

/** The integer program of a case, at the state before its last step, run on the inputs of that step. */
export const integerOfCase = (c: Case, name: string): E.Either<q.QuantErrors, Written> => {
  const final = finalOf(c)
  if (E.isLeft(final)) return final
  const program = evalProgram(final.right)
  if (E.isLeft(program)) return program
  const { trees, inputs } = final.right
  const made = toInteger(program.right, trees, { quantInputs: quantInputsOf(inputs) })
  if (E.isLeft(made)) return made
  const integer = made.right
  const given = quantizeInputs(integer, inputs)
  if (E.isLeft(given)) return given
  const ran = runInteger(integer, given.right)
  if (E.isLeft(ran)) return ran
  return E.map((code: CProgram): Written => {
    const y = [...ran.right[final.right.output].data]
    const layers = layersOf(integer).map(({ path, accumulator }) => ({ path, accumulator }))
    return {
      integer,
      c: code,
      host: hostProgram(integer, code, inputs, given.right),
      y,
      json: { y, layers, arena_bytes: code.arenaBytes, weight_bytes: code.weightBytes },
    }
  })(toC(integer, { name }))
}

const ENDINGS = ['.c', '.h', '.main.c', '.integer.json', '.reason.json']

/** Does the case end in an evaluation with a valid quant tensor? Only those have integers to compare. */
export const hasIntegers = (c: Case): boolean => {
  const last = c.steps[c.steps.length - 1]
  return isProgramCase(c) && last.mode === 'eval' && last.expect?.y?.kind === 'quant'
}

const write = (at: string, made: Written): void => {
  const name = basename(at)
  const include = (text: string): string => text.replace(`#include "${made.c.name}.h"`, `#include "${name}.h"`)
  put(`${at}.c`, include(made.c.source))
  put(`${at}.h`, made.c.header)
  put(`${at}.main.c`, include(made.host))
  put(`${at}.integer.json`, JSON.stringify(made.json))
}

/** Writes all cases, by their path below the folders that were named; the last line is `N integer, M refused, F failed`. */
export const writeIntegers = (roots: readonly string[], files: readonly string[], outDir: string): number => {
  let [written, refused, failed] = [0, 0, 0]
  for (const file of files) {
    const c = readCase(file)
    if (isRng(c) || !hasIntegers(c)) continue
    const root = roots.find((r) => !relative(r, file).startsWith('..')) ?? dirname(file)
    const from = statSync(root).isDirectory() ? relative(root, file) : basename(file)
    const at = join(outDir, from.replace(/\.json$/, ''))
    for (const ending of ENDINGS) rmSync(`${at}${ending}`, { force: true })
    try {
      const made = integerOfCase(c, nameFor(file))
      if (E.isRight(made)) {
        write(at, made.right)
        written++
      } else {
        const [error] = made.left
        put(`${at}.reason.json`, JSON.stringify({ reason: q.explainAll(made.left), where: error.path }))
        refused++
      }
    } catch (e) {
      failed++
      console.log(`FAIL ${c.name}: ${e instanceof Error ? e.stack : String(e)}`)
    }
  }
  console.log(`${written} integer, ${refused} refused, ${failed} failed`)
  return failed > 0 ? 1 : 0
}
