/** The metadata check of a step: what the trace says of each value against what Brevitas found by running. */
import * as q from '../../src/index.js'
import { decode, decodeQuant, isQuantJson, outputOf, safe, type Case, type ExpectedJson, type Step } from './format.js'

/** What disagrees, and how many of the values that Brevitas found valid we promise to be on their grid. */
export type Metadata = {
  readonly differences: readonly string[]
  readonly carried: number
  readonly valid: number
  readonly claims: readonly string[]
}

/** Nothing checked yet. */
export const noMetadata: Metadata = { differences: [], carried: 0, valid: 0, claims: [] }

/** Two checks as one. */
export const bothMetadata = (a: Metadata, b: Metadata): Metadata => ({
  differences: [...a.differences, ...b.differences],
  carried: a.carried + b.carried,
  valid: a.valid + b.valid,
  claims: [...a.claims, ...b.claims],
})

const judgeValue = (name: string, expected: ExpectedJson, mine: q.Carried, trusted: boolean): Metadata => {
  const quant = mine.tag === 'carries' || mine.tag === 'claimed'
  const differences: string[] = []
  if (quant !== (expected.kind !== 'tensor'))
    differences.push(`values/${name}: Brevitas gives a ${expected.kind}, but the trace says ${mine.tag}`)
  if (expected.kind === 'tensor') return { ...noMetadata, differences }
  const bits = expected.bit_width === undefined ? 8 : decode(expected.bit_width).data[0]
  if (trusted && expected.is_valid === false && bits >= 2 && mine.tag === 'carries')
    differences.push(`values/${name}: Brevitas finds it invalid, but the trace says carries`)
  const valid = expected.is_valid === true
  return {
    differences,
    valid: valid ? 1 : 0,
    carried: valid && mine.tag === 'carries' ? 1 : 0,
    claims: valid && mine.tag === 'claimed' ? [mine.why] : [],
  }
}

/** Brevitas' quant ⇔ carries or claimed; and where Brevitas found a value off its grid we must not say carries. */
export const judgeMetadata = (c: Case, step: Step, program: q.Program): Metadata => {
  const trusted =
    !c.tags.includes('nonfinite') &&
    Object.values(step.inputs).every((v) => !isQuantJson(v) || q.isValidQuantTensor(decodeQuant(v)))
  const { y, values } = step.expect ?? {}
  const all = { ...values, ...(y === undefined ? {} : { [outputOf(c, step.program)]: y }) }
  return Object.entries(all)
    .filter(([, expected]) => expected.kind !== 'none')
    .map(([name, expected]) => {
      const output = program.outputs.find((o) => o.kind === 'result' && o.path === safe(name))
      return output === undefined
        ? { ...noMetadata, differences: [`values/${name}: the program has no such result`] }
        : judgeValue(name, expected, program.graph.nodes[output.node].carried, trusted)
    })
    .reduce(bothMetadata, noMetadata)
}
