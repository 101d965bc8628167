/** Programs of the recorded cases, in evaluation mode: compiled ahead of time they give what the compiled program gives, bit for bit, errors included. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as q from '../../src/index.js'
import { loadPrecompiled } from '../../src/runtime/index.js'
import { isProgramCase } from '../conformance/final.js'
import { declare, mapNames, modelOf, type CaseProgram } from '../conformance/execute.js'
import { decode, decodeQuant, isQuantJson, isRng, readCase, type Case } from '../conformance/format.js'
import { loadInit } from '../conformance/state.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'
import { sameBits } from './support.js'

const test = suite('precompiled cases')

const cases = join(root, 'test/conformance/cases')
/** One case of so many of each group: all of them take half a minute (`ALL=1`). */
const EVERY = process.env.ALL === '1' ? 1 : 40

const files = readdirSync(cases).flatMap((group) =>
  readdirSync(join(cases, group))
    .filter((name, i) => name.endsWith('.json') && i % EVERY === 0)
    .map((name) => join(cases, group, name)),
)

/** A case's program in evaluation mode with the inputs of its last step, and a state that training steps made, if it has any. */
const programOf = (c: Case) => {
  const model = modelOf(c)
  const first = q.init(model, 0)
  if (E.isLeft(first)) return null
  let trees = loadInit(c, first.right)
  const last = c.steps[c.steps.length - 1]
  const inputs = mapNames(last.inputs, (v) => (isQuantJson(v) ? decodeQuant(v) : decode(v)))
  for (const step of c.steps.filter((s) => s.mode === 'train').slice(0, 2)) {
    const data = mapNames(step.inputs, (v) => (isQuantJson(v) ? decodeQuant(v) : decode(v)))
    const ran = E.chain((p: CaseProgram) => q.run(p, { ...trees, inputs: data }))(
      q.trace(model, mapNames(step.inputs, declare), { mode: 'train' }) as E.Either<q.QuantErrors, CaseProgram>,
    )
    if (E.isRight(ran)) trees = { params: trees.params, state: ran.right.state }
  }
  const traced = q.trace(model, mapNames(last.inputs, declare), { mode: 'eval' })
  return E.isLeft(traced) ? null : { program: traced.right as CaseProgram, trees, inputs }
}

test(
  `every value of every ${EVERY}. case`,
  async () => {
    let compared = 0
    for (const file of files) {
      const c = readCase(file)
      if (isRng(c) || !isProgramCase(c)) continue
      const made = programOf(c)
      if (made === null) continue
      const { program, trees, inputs } = made
      const compiled = q.orThrow(q.compile(program, q.wasm))
      const ours = compiled.run({ ...trees, inputs })
      compiled.dispose()
      const bytes = q.precompile(program, trees)
      // What a check of parameters and state alone refuses is refused before there is a file.
      const ahead = E.isLeft(bytes)
        ? bytes
        : q.orThrow(await loadPrecompiled<typeof inputs, unknown>(bytes.right)).run(inputs)
      if (E.isLeft(ours)) assert.equal(E.isLeft(ahead) ? ahead.left : 'it ran', ours.left, c.name)
      else {
        const got = q.orThrow(ahead)
        assert.ok(sameBits(got.outputs, ours.right.outputs), `${c.name} gives other bits`)
        assert.equal(got.warnings, ours.right.warnings, c.name)
      }
      compared++
    }
    assert.ok(compared > files.length / 2, `only ${compared} cases were compared`)
  },
  { timeout: 600_000 },
)

test.run()
