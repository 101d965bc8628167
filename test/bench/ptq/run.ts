/**
 * Post-training quantization of digits, step by step, beside Brevitas': `npm run bench:ptq -- [--seeds 3] [--folder out/ptq] [--net Lenet] [--python PYTHON]`.
 * Trains the float networks once (minutes), then prints accuracies as means over the seeds. With a Python that has torch and Brevitas
 * the whole flow (1,024 images, calibration and correction) is timed alternately with theirs; with `--same` Brevitas takes its steps from the
 * very float networks of ours, and both accuracies stand beside each other. `--search`: bits by `searchBits` for half of the bit operations of
 * 8 bits instead, beside uniform bits of the same cost.
 */
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { createWasm, orThrow, tensorInput } from '../../../src/index.js'
import type { Value } from '../../../src/graph/op.js'
import { calibrate, correctBias, quantize, schemes, type Trained } from '../../../src/quantize/index.js'
import { loadDigits } from '../../../examples/digits/data.js'
import { nets, trainedNet } from './nets.js'
import { theirsOf } from './same.js'
import { searched } from './search.js'
import { accuracyOf, after, COMBINATIONS, equalised, rulesFor, samplesOf } from './steps.js'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '3' },
    folder: { type: 'string', default: 'out/ptq' },
    python: { type: 'string' },
    threads: { type: 'string', default: '2' },
    'only-time': { type: 'boolean', default: false },
    same: { type: 'boolean', default: false },
    net: { type: 'string' },
    search: { type: 'boolean', default: false },
    budget: { type: 'string', default: '0.5' },
  },
})
const { train, test } = loadDigits()
const samples = samplesOf(train)
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => i)
const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length
const BITS = [
  [8, 8],
  [4, 8],
  [4, 4],
  [3, 8],
  [2, 8],
] as const

const floatsOf = async (name: string): Promise<readonly Trained<Value, Value>[]> => {
  const floats: Trained<Value, Value>[] = []
  for (const seed of seeds) floats.push(await trainedNet(name, seed, train, values.folder))
  return floats
}

/** What Brevitas reaches, by network, bits and steps; nothing where it is not asked. */
type Theirs = (net: string, bits: string, steps: string) => number | null

const accuracies = async (name: string, theirs: Theirs): Promise<void> => {
  const floats = await floatsOf(name)
  const equals = floats.map(equalised)
  console.log(`\n${name}, float ${mean(floats.map((t) => accuracyOf(t, test))).toFixed(2)}`)
  console.log(`| bits | ${COMBINATIONS.join(' | ')} |\n|---|${COMBINATIONS.map(() => '---|').join('')}`)
  for (const bits of BITS) {
    const row = COMBINATIONS.map((steps) => {
      const ours = mean(floats.map((t, i) => accuracyOf(after(t, equals[i], rulesFor(bits), steps, samples), test)))
      const peer = theirs(name, `w${bits[0]}a${bits[1]}`, steps)
      return peer === null ? ours.toFixed(2) : `${ours.toFixed(2)} / ${peer.toFixed(2)}`
    })
    console.log(`| w${bits[0]}a${bits[1]} | ${row.join(' | ')} |`)
  }
}

/** Brevitas from the same float networks. */
const asked = async (): Promise<Theirs> => {
  if (!values.same || values.python === undefined) return () => null
  const floats = []
  for (const name of Object.keys(nets))
    for (const [seed, trained] of (await floatsOf(name)).entries()) floats.push({ name, seed, trained })
  const rows = theirsOf(floats, { samples, test }, { ...values, python: values.python })
  return (net, bits, steps) => {
    const found = rows.filter((r) => r.net === net && r.bits === bits && r.steps === steps)
    return found.length === 0 ? null : mean(found.map((r) => r.accuracy))
  }
}

/** Milliseconds of the whole flow: calibration over 1,024 images, then correction; the least of several. */
const ours = async (name: string, rounds: number): Promise<number> => {
  const t = await trainedNet(name, 0, train, values.folder)
  const quantized = orThrow(quantize(t.net, tensorInput([64, 1, 28, 28]), t, schemes.int8))
  const backend = orThrow(await createWasm({ threads: Number(values.threads) }))
  let best = Infinity
  for (let k = 0; k < rounds; k++) {
    const start = performance.now()
    const calibrated = orThrow(calibrate(quantized, samples, { batchSize: 64, backend }))
    orThrow(correctBias(calibrated, calibrated.float, samples, { batchSize: 64, backend }))
    best = Math.min(best, performance.now() - start)
  }
  return best
}

const timed = async (python: string): Promise<void> => {
  const names = Object.keys(nets)
  const best = new Map<string, number>()
  const least = (name: string, who: 'ours' | 'theirs', ms: number): void => {
    const key = `${name} ${who}`
    best.set(key, Math.min(best.get(key) ?? Infinity, ms))
  }
  for (let k = 0; k < 3; k++) {
    for (const name of names) least(name, 'ours', await ours(name, 4))
    const peer = execFileSync(python, [new URL('peer.py', import.meta.url).pathname, values.threads, '3'], {
      encoding: 'utf8',
    })
    for (const line of peer.trim().split('\n')) {
      const { net, ms } = JSON.parse(line) as { readonly net: string; readonly ms: number }
      least(net, 'theirs', ms)
    }
  }
  console.log(`\ncalibrate + correct, 1,024 images, ${values.threads} threads, least of several, alternately`)
  for (const name of names) {
    const [ours, theirs] = [best.get(`${name} ours`) ?? NaN, best.get(`${name} theirs`) ?? NaN]
    console.log(`${name}: ${ours.toFixed(0)} ms, Brevitas ${theirs.toFixed(0)} ms: ${(theirs / ours).toFixed(1)} x`)
  }
}

if (values.search) {
  for (const name of values.net === undefined ? Object.keys(nets) : [values.net])
    console.log(searched(name, await floatsOf(name), { samples, test }, Number(values.budget)))
} else if (!values['only-time']) {
  const theirs = await asked()
  for (const name of values.net === undefined ? Object.keys(nets) : [values.net]) await accuracies(name, theirs)
}
if (values.python !== undefined && !values.same && !values.search) await timed(values.python)
