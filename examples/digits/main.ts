/**
 * npm start [-- --bits N --epochs N --seed N --resume --limit N --out DIR --backend wasm|reference --threads N]
 * Trains a quantized network on handwritten digits, then its float twin, and reports both.
 */
import * as E from 'fp-ts/lib/Either.js'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ensureFolder, writeFileWhole } from '../../src/node/index.js'
import { addEvent, emptyLog, scaleProbe, toHtml, type TrainLog } from '../../viz/index.js'
import {
  explainAll,
  tensorInput,
  trace,
  type Backend,
  type Layer,
  type QuantErrors,
  type TrainEvent,
} from '../../src/index.js'
import { readOptions, type Options } from './options.js'
import { progress } from './progress.js'
import { loadDigits, type Digits } from './data.js'
import { floatNet, quantNet } from './network.js'
import { deliver } from './deliver.js'
import { deliverIntegers } from './integers.js'
import { evaluateNet, observeStep, table, type Evaluation, type StepReport } from './report.js'
import { openBackend, trainNet, type Recipe } from './session.js'

const stop = (errors: QuantErrors): never => {
  console.error(explainAll(errors))
  return process.exit(1)
}

/** A checkpoint belongs to its options: others train another way. */
const checkpointOf = (o: Options, name: string): string =>
  join(o.out, `checkpoint-${name}-seed${o.seed}-epochs${o.epochs}-limit${o.limit}.qtrc`)

/** Keeps a log of training: what the quantizers did, and their scales as the network would use them, on one digit. */
const logger = <P, S>(net: Layer<P, S>, digits: Digits) => {
  const shape = [1, 1, 28, 28]
  const program = trace(net, tensorInput(shape), { mode: 'eval' })
  const probe = E.isLeft(program)
    ? program
    : scaleProbe(program.right, { shape, data: digits.images.data.subarray(0, 784) })
  if (E.isLeft(probe)) return stop(probe.left)
  const add = addEvent<P, S>({ scales: probe.right })
  let log: TrainLog = emptyLog
  return {
    onEvent: (e: TrainEvent<P, S>): void => {
      log = add(log, e)
    },
    log: () => log,
  }
}

/** What is known of a network after training. */
type Trained = {
  /** The files in which the network leaves, by name. */
  readonly delivery: { readonly [file: string]: Uint8Array }
  /** What is said of its integer program. */
  readonly integers: string
  readonly evaluation: Evaluation
  readonly step: StepReport | null
  readonly log: TrainLog
  readonly report: ReturnType<typeof progress>
}

/** How a network is trained: under which name, with what, and whether it is looked at and handed out afterwards. */
type Run = {
  readonly name: string
  readonly options: Options
  readonly backend: Backend
  readonly signal: AbortSignal
  readonly watched: boolean
}

const trainAndEvaluate = async <P, S>(
  net: Layer<P, S>,
  { name, options: o, backend, signal, watched }: Run,
): Promise<Trained | null> => {
  const report = progress(name, o.epochs)
  const recipe: Recipe = { epochs: o.epochs, seed: o.seed, batchSize: 32, lr: 1e-3 }
  const digits = loadDigits(o.limit)
  const checkpoint = checkpointOf(o, name)
  const log = watched ? logger(net, digits.train) : null
  const trained = await trainNet(net, digits.train, recipe, {
    backend,
    checkpoint,
    resume: o.resume,
    signal,
    onEvent: (e) => {
      report.onEvent(e)
      log?.onEvent(e)
    },
  })
  if (E.isLeft(trained)) return stop(trained.left)
  if (!trained.right.finished) {
    console.log(
      `\nstopped; ${checkpoint} holds step ${trained.right.training.step}: go on with npm start -- --resume --bits ${o.bits} --epochs ${o.epochs} --seed ${o.seed} --limit ${o.limit} --out ${o.out}`,
    )
    return null
  }
  const { params, state } = trained.right.training
  const evaluated = await evaluateNet(net, params, state, digits.test, backend)
  if (E.isLeft(evaluated)) return stop(evaluated.left)
  const step = watched ? observeStep(net, params, state, digits.test) : E.right(null)
  if (E.isLeft(step)) return stop(step.left)
  const delivery = watched ? deliver(net, params, state) : E.right({})
  if (E.isLeft(delivery)) return stop(delivery.left)
  const integers = watched ? deliverIntegers(net, { params, state }, digits.test) : E.right({ files: {}, says: '' })
  if (E.isLeft(integers)) return stop(integers.left)
  return {
    delivery: { ...delivery.right, ...integers.right.files },
    integers: integers.right.says,
    evaluation: evaluated.right,
    step: step.right,
    log: log?.log() ?? emptyLog,
    report,
  }
}

/** Writes a file whole, and says so. */
const write = (file: string, text: string | Uint8Array): void => {
  const written = writeFileWhole(file, text)
  if (E.isLeft(written)) return stop(written.left)
  console.log(`written: ${file}`)
}

/** The page of the trained network: a training step with its backward pass, the numbers of held-out digits, the log of this run. */
const writePage = (o: Options, { step, log }: Trained): void => {
  if (step === null) return
  const { program, values, ...measured } = step
  return write(
    join(o.out, 'report.html'),
    toHtml(program, { title: `digits, ${o.bits} bits`, values, log: log.records, ...measured }),
  )
}

const main = async (): Promise<void> => {
  const o = readOptions()
  const abort = new AbortController()
  // One Ctrl-C may arrive twice (npm and tsx pass it on); a second one, later, ends the process at once.
  let asked = 0
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (asked > 0 && Date.now() - asked > 2000) process.exit(130)
      asked ||= Date.now()
      abort.abort()
    })
  const folder = ensureFolder(o.out)
  if (E.isLeft(folder)) return stop(folder.left)
  if (o.resume && !existsSync(checkpointOf(o, `${o.bits}bit`)))
    console.log(`there is no checkpoint of these options in ${o.out}: starting from the beginning`)
  const opened = await openBackend(o.backend, o.threads)
  if (E.isLeft(opened)) return stop(opened.left)
  const { backend } = opened.right
  console.log(
    `training at ${o.bits} bits on ${o.limit} digits, ${o.epochs} ${o.epochs === 1 ? 'epoch' : 'epochs'}, then its float twin, on ${opened.right.uses}`,
  )
  const run = { options: o, backend, signal: abort.signal }
  const trained = await trainAndEvaluate(quantNet(o.bits), { ...run, name: `${o.bits}bit`, watched: true })
  const float = trained === null ? null : await trainAndEvaluate(floatNet(), { ...run, name: 'float', watched: false })
  const floatAccuracy = float?.evaluation.accuracy ?? null
  opened.right.dispose()
  if (trained === null) return
  const [imagesPerSecond, seconds] = [trained.report.rate(), trained.report.seconds()]
  const quant = trained.evaluation
  console.log(`\n${table(quant.quantizers)}\n`)
  console.log(
    `test accuracy  ${o.bits} bits ${(quant.accuracy * 100).toFixed(2)}%   float ${floatAccuracy === null ? 'not finished' : `${(floatAccuracy * 100).toFixed(2)}%`}   (trained at ${imagesPerSecond.toFixed(0)} images/s in ${seconds.toFixed(0)} s)`,
  )
  console.log(trained.integers)
  const metrics = {
    bits: o.bits,
    testAccuracy: quant.accuracy,
    floatAccuracy,
    imagesPerSecond,
    seconds,
    quantizers: quant.quantizers,
  }
  write(join(o.out, 'metrics.json'), `${JSON.stringify(metrics, null, 2)}\n`)
  for (const [file, bytes] of Object.entries(trained.delivery)) write(join(o.out, file), bytes)
  writePage(o, trained)
}

await main()
