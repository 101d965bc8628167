/** `quantrace run`: a program over the arrays of a file, in batches. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { isQuantTensor } from '../../data/quantTensor.js'
import { showShape } from '../../data/shape.js'
import type { Program } from '../../graph/program.js'
import type { Compiled } from '../../nn/program/compiled.js'
import { compile } from '../../nn/program/program.js'
import type { Stored } from '../../../viz/known.js'
import { columns } from '../arguments.js'
import { arraysOf, batchesOf, fileOf, joined, resultsOf, type Batches, type Result as Computed } from '../arrays.js'
import { BACKEND, openBackend, type Opened } from '../backends.js'
import { command, misused, orRefused, refused, type Io, type Outcome, type Result } from '../command.js'
import { readFile, written } from '../files.js'
import { numbersOf } from '../numbers.js'
import { progress } from '../progress.js'
import { readSubject } from '../sources/index.js'
import { SUBJECT, type Subject } from '../subject.js'

const OPTIONS = {
  out: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    says: 'Write the results: .npz, or .npy where there is one; - is stdout, as .npz.',
  },
  ...SUBJECT,
  ...BACKEND,
} as const

/** The last batch is smaller, and only a network can be traced for it. */
const needsRest = (subject: Subject, { samples, batch, rest }: Batches): E.Either<QuantErrors, Program | null> => {
  if (rest === 0) return E.right(null)
  if (subject.ofBatch !== null) return subject.ofBatch(rest)
  return E.left([
    {
      tag: 'InputError',
      input: 'data',
      path: '',
      message: `${samples} samples are no multiple of ${batch}, the batch of ${subject.name}, and a stored program takes no other`,
      fix: `give a multiple of ${batch} samples, or name the module that exports the network, or trace it for a batch of 1`,
    },
  ])
}

type Ready = {
  readonly whole: Program
  readonly rest: Program | null
  readonly numbers: Stored
  readonly batches: Batches
}
type Plan = Compiled<unknown, unknown, unknown, unknown>

const computed = (r: Ready, { backend }: Opened, io: Io): E.Either<QuantErrors, readonly unknown[]> => {
  const bar = progress(io, 'run')
  const plans: Plan[] = []
  const planOf = (program: Program): E.Either<QuantErrors, Plan> =>
    E.map((plan: Plan) => {
      plans.push(plan)
      return plan
    })(compile(program, backend))
  const out: unknown[] = []
  try {
    let plan = planOf(r.batches.samples < r.batches.batch && r.rest !== null ? r.rest : r.whole)
    for (let k = 0; k < r.batches.count; k++) {
      if (r.rest !== null && k > 0 && k === r.batches.count - 1) plan = planOf(r.rest)
      if (E.isLeft(plan)) return plan
      const ran = plan.right.run({ ...r.numbers, inputs: r.batches.part(k) })
      if (E.isLeft(ran)) return ran
      out.push(ran.right.outputs)
      bar.at(Math.min(r.batches.samples, (k + 1) * r.batches.batch), r.batches.samples)
    }
    return E.right(out)
  } finally {
    bar.end()
    for (const plan of plans) plan.dispose()
  }
}

const rounded = (x: number): number => Number(x.toPrecision(6))

/** What is said of a result: its shape and its range. */
const summaryOf = ({ name, parts }: Computed) => {
  const { shape, data } = joined(parts.map((p) => (isQuantTensor(p) ? p.value : p)))
  const [first] = parts
  let [min, max, sum] = [Infinity, -Infinity, 0]
  for (const x of data) {
    if (x < min) min = x
    if (x > max) max = x
    sum += x
  }
  const quant = isQuantTensor(first) ? { bits: first.bitWidth.data[0], signed: first.signed } : null
  const range = data.length === 0 ? null : { min: rounded(min), mean: rounded(sum / data.length), max: rounded(max) }
  return { name, shape, range, quant }
}

type Summary = ReturnType<typeof summaryOf>

const lineOf = ({ name, shape, range, quant }: Summary): readonly [string, string] => {
  const numbers = range === null ? 'no numbers' : `from ${range.min} to ${range.max}, mean ${range.mean}`
  const grid = quant === null ? '' : `; ${quant.signed ? 'int' : 'uint'}${quant.bits}`
  return [`${name} ${showShape(shape)}`, numbers + grid]
}

const store = (out: string | undefined, results: readonly Computed[], samples: number): Result<Outcome> => {
  const summaries = results.map(summaryOf)
  const text = columns(summaries.map(lineOf), '')
  const json = { samples, results: summaries }
  if (out === undefined) return E.right({ text, json })
  const npy = out.endsWith('.npy')
  if (npy && results.length !== 1)
    return misused('--out', `there are ${results.length} results, and .npy holds one`, 'let -o end in .npz')
  return E.map((o: Outcome): Outcome => ({ ...o, text: `${text}\n${o.text}`, json: { ...json, file: out } }))(
    written(out, fileOf(arraysOf(results), npy)),
  )
}

const run = async (
  subject: Subject,
  data: string,
  backend: Opened,
  io: Io,
): Promise<Result<readonly [readonly Computed[], number]>> => {
  const numbers = numbersOf(subject)
  if (E.isLeft(numbers)) return numbers
  const file = await readFile(data, io)
  if (E.isLeft(file)) return refused(file.left)
  const batches = batchesOf(subject.program, file.right)
  if (E.isLeft(batches)) return refused(batches.left)
  const rest = needsRest(subject, batches.right)
  if (E.isLeft(rest)) return refused(rest.left)
  const ready = { whole: subject.program, rest: rest.right, numbers: numbers.right, batches: batches.right }
  return orRefused(
    E.map((calls: readonly unknown[]) => [resultsOf(calls), batches.right.samples] as const)(
      computed(ready, backend, io),
    ),
  )
}

export const runOver = command({
  says: 'Run a program over the arrays of a .npy or .npz file.',
  files: { shown: 'PROGRAM DATA', least: 2, most: 2 },
  more: `DATA holds the inputs by name (one array, whatever its name, is a single input's), of the program's shapes, or with any number
of samples along the first axis, which are run in batches. Of a quant tensor the results hold its value, .int, .scale, .zeroPoint
and .bitWidth.`,
  options: OPTIONS,
  run: async ({ given, files: [path, data], io }) => {
    if (path === '-' && data === '-')
      return misused('DATA', 'program and data can not both come by stdin', 'name a file for one of them')
    if (given.out !== undefined && !/(^-|\.np[yz])$/.test(given.out))
      return misused('--out', `${given.out} is no name of a file that is written`, 'let -o end in .npz or .npy')
    const backend = await openBackend(given)
    if (E.isLeft(backend)) return backend
    try {
      const subject = await readSubject(path, given, io)
      if (E.isLeft(subject)) return subject
      const ran = await run(subject.right, data, backend.right, io)
      return E.isLeft(ran) ? ran : store(given.out, ...ran.right)
    } finally {
      backend.right.close()
    }
  },
})
