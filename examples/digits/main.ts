/**
 * npm start [-- --bits N --epochs N --seed N --resume --limit N --out DIR --backend wasm|reference --threads N]
 * Trains a quantized network on handwritten digits, then its float twin, and reports both.
 */
import * as E from 'fp-ts/lib/Either.js'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { addEvent, emptyLog, scaleProbe, toHtml, type TrainLog } from '../../viz/index.js'
import {
  explainAll,
  tensorInput,
  trace,
  type Backend,
  type Layer,
  type QuantErrors,
  type Tensor,
  type TrainEvent,
} from '../../src/index.js'
import { loadDigits, type Digits } from './data.js'
import { floatNet, quantNet } from './network.js'
import { evaluateNet, observeStep, table, type Evaluation, type StepReport } from './report.js'
import { isKept, openBackend, trainNet, type Recipe } from './session.js'

type Options = {
  readonly bits: number
  readonly epochs: number
  readonly seed: number
  readonly resume: boolean
  readonly limit: number
  readonly out: string
  readonly backend: 'reference' | 'wasm'
  readonly threads: number
}

const whole = (name: string, text: string, least: number, most: number): number => {
  const n = Number(text)
  if (Number.isInteger(n) && n >= least && n <= most) return n
  console.error(`--${name} ${text}: give a whole number from ${least} to ${most}`)
  return process.exit(2)
}

const backendNamed = (text: string): 'reference' | 'wasm' => {
  if (text === 'reference' || text === 'wasm') return text
  console.error(`--backend ${text}: give wasm or reference`)
  return process.exit(2)
}

const USAGE =
  'usage: npm start -- [--bits 8] [--epochs 6] [--seed 1] [--limit 8000] [--out out] [--resume] [--backend wasm|reference] [--threads N, 0: one a core]'

const readOptions = (): Options => {
  const spec = {
    bits: { type: 'string', default: '8' },
    epochs: { type: 'string', default: '6' },
    seed: { type: 'string', default: '1' },
    limit: { type: 'string', default: '8000' },
    out: { type: 'string', default: 'out' },
    resume: { type: 'boolean', default: false },
    backend: { type: 'string', default: 'wasm' },
    threads: { type: 'string', default: '0' },
    help: { type: 'boolean', default: false },
  } as const
  try {
    const { values: v } = parseArgs({ options: spec })
    if (v.help) {
      console.log(USAGE)
      return process.exit(0)
    }
    return {
      bits: whole('bits', v.bits, 2, 32),
      epochs: whole('epochs', v.epochs, 1, 1000),
      seed: whole('seed', v.seed, 0, 2 ** 31),
      limit: whole('limit', v.limit, 32, 8000),
      out: v.out,
      resume: v.resume,
      backend: backendNamed(v.backend),
      threads: whole('threads', v.threads, 0, 16),
    }
  } catch (e) {
    console.error(`${e instanceof Error ? e.message : String(e)}\n${USAGE}`)
    return process.exit(2)
  }
}

const stop = (errors: QuantErrors): never => {
  console.error(explainAll(errors))
  return process.exit(1)
}

/** Which phase the quantizers are in: the smallest counter of a collecting one tells. */
const phaseOf = (state: unknown): string => {
  let collecting = 0
  const visit = (t: unknown): void => {
    if (typeof t !== 'object' || t === null || ArrayBuffer.isView(t)) return
    if ('counter' in t && 'buffer' in t && (t.counter as Tensor).data[0] <= COLLECT_STEPS) collecting++
    for (const child of Object.values(t)) visit(child)
  }
  visit(state)
  return collecting > 0 ? `collecting (${collecting})` : 'learned'
}
const COLLECT_STEPS = 30

const bar = (share: number): string => '█'.repeat(Math.round(share * 20)).padEnd(20, '░')

const lineOf = (
  e: Omit<TrainEvent<unknown, unknown>, 'training'>,
  epochs: number,
  perSecond: number,
  phase: string,
): string =>
  `epoch ${e.epoch + 1}/${epochs}  ${bar(e.batch / e.batches)}  loss ${e.loss.toFixed(4)}  accuracy ${((e.accuracy ?? 0) * 100).toFixed(1)}%  ${perSecond.toFixed(0)} images/s  ${phase}`

/** Progress: one line that changes on a terminal, one line per epoch elsewhere. */
const progress = (epochs: number) => {
  const began = Date.now()
  // Of the latest event: what is done after training isn't part of its rate.
  let latest = began
  let images = 0
  let [loss, right, count] = [0, 0, 0]
  let phase = ''
  const rate = (): number => (images * 1000) / Math.max(1, latest - began)
  const onEvent = (e: TrainEvent<unknown, unknown>): void => {
    latest = Date.now()
    // Reading the state copies it: only at the start, and where it is kept anyway.
    if (phase === '' || isKept(e)) phase = phaseOf(e.training.state)
    if (e.tag === 'step') {
      images += e.size
      loss += e.loss * e.size
      right += (e.accuracy ?? 0) * e.size
      count += e.size
      if (process.stdout.isTTY) process.stdout.write(`\r${lineOf(e, epochs, rate(), phase)}\x1b[K`)
      return
    }
    const line = lineOf(
      { ...e, loss: loss / Math.max(1, count), accuracy: right / Math.max(1, count) },
      epochs,
      rate(),
      phase,
    )
    console.log(process.stdout.isTTY ? `\r${line}\x1b[K` : line)
    loss = right = count = 0
  }
  return { onEvent, rate, images: () => images, seconds: () => (latest - began) / 1000 }
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
    : scaleProbe(program.right, { shape, data: digits.images.data.subarray(0, 784) } as never)
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
type Trained = { readonly evaluation: Evaluation; readonly step: StepReport | null; readonly log: TrainLog }

const trainAndEvaluate = async <P, S>(
  net: Layer<P, S>,
  name: string,
  o: Options,
  backend: Backend,
  signal: AbortSignal,
  report: ReturnType<typeof progress> | null,
): Promise<Trained | null> => {
  const recipe: Recipe = { epochs: o.epochs, seed: o.seed, batchSize: 32, lr: 1e-3 }
  const digits = loadDigits(o.limit)
  const checkpoint = checkpointOf(o, name)
  const log = report === null ? null : logger(net, digits.train)
  const trained = await trainNet(net, digits.train, recipe, {
    backend,
    checkpoint,
    resume: o.resume,
    signal,
    onEvent: (e) => {
      report?.onEvent(e)
      log?.onEvent(e)
    },
  })
  if (E.isLeft(trained)) return stop(trained.left)
  if (!trained.right.finished) {
    if (report !== null)
      console.log(
        `\nstopped; ${checkpoint} holds step ${trained.right.training.step}: go on with npm start -- --resume --bits ${o.bits} --epochs ${o.epochs} --seed ${o.seed} --limit ${o.limit} --out ${o.out}`,
      )
    return null
  }
  const { params, state } = trained.right.training
  const evaluated = await evaluateNet(net, params, state, digits.test, backend)
  if (E.isLeft(evaluated)) return stop(evaluated.left)
  const step = report === null ? E.right(null) : observeStep(net, params, state, digits.test)
  return E.isLeft(step)
    ? stop(step.left)
    : { evaluation: evaluated.right, step: step.right, log: log?.log() ?? emptyLog }
}

/** The page of the trained network: a training step with its backward pass, the numbers of held-out digits, the log of this run. */
const writePage = (o: Options, { step, log }: Trained): string | null => {
  if (step === null) return null
  const { program, values, ...measured } = step
  const file = join(o.out, 'report.html')
  writeFileSync(file, toHtml(program, { title: `digits, ${o.bits} bits`, values, log: log.records, ...measured }))
  return file
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
  mkdirSync(o.out, { recursive: true })
  if (o.resume && !existsSync(checkpointOf(o, `${o.bits}bit`)))
    console.log(`there is no checkpoint of these options in ${o.out}: starting from the beginning`)
  const opened = await openBackend(o.backend, o.threads)
  if (E.isLeft(opened)) return stop(opened.left)
  const { backend } = opened.right
  console.log(
    `training at ${o.bits} bits on ${o.limit} digits, ${o.epochs} ${o.epochs === 1 ? 'epoch' : 'epochs'}, then its float twin, on ${opened.right.uses}`,
  )
  const report = progress(o.epochs)
  const trained = await trainAndEvaluate(quantNet(o.bits), `${o.bits}bit`, o, backend, abort.signal, report)
  const [imagesPerSecond, seconds] = [report.rate(), report.seconds()]
  const float = trained === null ? null : await trainAndEvaluate(floatNet(), 'float', o, backend, abort.signal, null)
  const floatAccuracy = float?.evaluation.accuracy ?? null
  opened.right.dispose()
  if (trained === null) return
  const quant = trained.evaluation
  console.log(`\n${table(quant.quantizers)}\n`)
  console.log(
    `test accuracy  ${o.bits} bits ${(quant.accuracy * 100).toFixed(2)}%   float ${floatAccuracy === null ? 'not finished' : `${(floatAccuracy * 100).toFixed(2)}%`}   (trained at ${imagesPerSecond.toFixed(0)} images/s in ${seconds.toFixed(0)} s)`,
  )
  mkdirSync(o.out, { recursive: true })
  const file = join(o.out, 'metrics.json')
  writeFileSync(
    file,
    `${JSON.stringify({ bits: o.bits, testAccuracy: quant.accuracy, floatAccuracy, imagesPerSecond, seconds, quantizers: quant.quantizers }, null, 2)}\n`,
  )
  console.log(`written: ${file}\nwritten: ${writePage(o, trained)}`)
}

await main()
