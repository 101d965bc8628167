/** The steps of `quantrace quantize` behind the quantization itself, and what is said of them. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import {
  calibrate,
  correctBias,
  layerErrors,
  roundWeights,
  type Quantized,
  type Samples,
  type StepErrors,
} from '../quantize/index.js'
import type { Batches } from './arrays.js'
import type { Opened } from './backends.js'
import type { Io } from './command.js'
import { progress } from './progress.js'

/** A network, quantized. */
export type Made = Quantized<unknown, unknown>

/** The quantized network, and the errors behind each step, of at most four batches. */
export type Improved = {
  readonly made: Made
  readonly samples: number
  readonly steps: readonly StepErrors[]
}

type Step = (
  made: Made,
  float: Made['float'],
  data: Samples<unknown>,
  options: {
    readonly backend: Opened['backend']
    readonly onProgress: (at: { readonly batch: number; readonly total: number | null }) => void
  },
) => E.Either<QuantErrors, Made>

/** Steps behind the calibration, in this order, by the option that asks for each. */
const STEPS: readonly {
  readonly option: 'round' | 'correct'
  readonly does: Step
}[] = [
  { option: 'round', does: roundWeights },
  { option: 'correct', does: correctBias },
]

/** Calibrates, and takes the steps that were asked for. */
export const improved = (
  made: Made,
  data: Batches,
  asked: { readonly [option in 'round' | 'correct']: boolean },
  io: Io,
  { backend }: Opened,
): E.Either<QuantErrors, Improved> => {
  const all = Array.from({ length: data.count }, (_, k) => data.part(k))
  const bar = progress(io, 'quantize')
  const steps: StepErrors[] = []
  let now = made
  const noted = (step: string, done: E.Either<QuantErrors, Made>): E.Either<QuantErrors, null> => {
    if (E.isLeft(done)) return done
    now = done.right
    const found = layerErrors(now, made.float, all, { backend, batches: 4 })
    if (E.isLeft(found)) return found
    steps.push({ step, errors: found.right })
    return E.right(null)
  }
  try {
    const onProgress = ({ samples }: { readonly samples: number }): void => bar.at(samples, data.samples)
    let said = noted('calibrate', calibrate(now, all, { backend, onProgress }))
    for (const { option, does } of STEPS) {
      if (E.isLeft(said)) return said
      const tell = ({ batch, total }: { readonly batch: number; readonly total: number | null }): void =>
        bar.at(batch, total ?? batch)
      if (asked[option]) said = noted(option, does(now, made.float, all, { backend, onProgress: tell }))
    }
    return E.map(() => ({ made: now, samples: data.samples, steps }))(said)
  } finally {
    bar.end()
  }
}

/** Signal over noise of the network's results, in decibels; null where nothing is off. */
const decibelsOf = ({ errors }: StepErrors): number | null => {
  const error = errors.find((e) => e.path === '')?.error ?? 0
  return error > 0 ? Number((-10 * Math.log10(error)).toFixed(2)) : null
}

/** The same as data. */
export const summaryOf = ({ made, samples, steps }: Improved) => {
  const { layers, products } = made.report
  return {
    layers: layers.filter((l) => Object.keys(l.quantizers).length > 0).length,
    float: layers.filter((l) => Object.keys(l.quantizers).length === 0 && l.left !== null).map((l) => l.path),
    products: { all: products.length, integers: products.filter((p) => p.integers).length },
    samples,
    steps: steps.map((s) => ({ ...s, decibels: decibelsOf(s) })),
  }
}

/** What is said of it in a few lines. */
export const textOf = (done: Improved): string => {
  const { layers, products, samples, steps } = summaryOf(done)
  const near = steps.map(({ step, decibels: db }) => `${step} ${db === null ? 'no difference' : `${db} dB`}`)
  const inFloats = done.made.report.products.filter((p) => !p.integers)
  return [
    `${layers} layers quantized; ${products.integers} of ${products.all} products run on integers`,
    ...inFloats.map((p) => `  in floats: ${p.path} (${p.op}): ${p.why}`),
    `${samples} samples seen; against float: ${near.join(', ')}`,
    ...(done.made.report.notes ?? []).flatMap(({ path, why, fix }) => [`note: ${path}: ${why}`, `  fix: ${fix}`]),
  ].join('\n')
}
