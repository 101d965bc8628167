/**
 * A training that survives being killed at any moment: `npx tsx examples/resume.ts out/resume.qtrc 400`. Run it again after a crash, a power cut or
 * `kill -9`, and it goes on from its last checkpoint; at the end it has the numbers of a training that was never stopped, bit for bit.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isLeft } from 'fp-ts/lib/Either.js'
import * as q from '../src/index.js'
import { ensureFolder, readFileBytes, writeFileWhole } from '../src/node/index.js'

const BATCH = 16
/** A checkpoint each so many steps: what is lost at most. */
const EVERY = 5

const net = q.chain({
  input: q.QuantIdentity({ collectStatsSteps: 30, returnQuantTensor: true }),
  fc1: q.QuantLinear({ inFeatures: 2, outFeatures: 12 }),
  act: q.QuantReLU({ collectStatsSteps: 30, returnQuantTensor: true }),
  fc2: q.QuantLinear({ inFeatures: 12, outFeatures: 2 }),
})
const optimizer = q.adam({ lr: 0.02 })

/** Points in two classes, inside and outside of a circle. A batch follows from its number alone: so none is lost, and none comes twice. */
const batch = (step: number): { readonly x: q.Tensor; readonly target: q.Tensor } => {
  const [x] = q.randn([BATCH, 2])(q.manualSeed(step))
  const inside = (i: number): number => (Math.hypot(x.data[2 * i], x.data[2 * i + 1]) < 1.2 ? 1 : 0)
  return {
    x,
    target: q.tensorOf(
      [BATCH],
      Array.from({ length: BATCH }, (_, i) => inside(i)),
    ),
  }
}

/** Parts of checkpoints whose writer was killed. Nobody reads them; they only take room. */
const sweep = (file: string): void => {
  const folder = dirname(file)
  const parts = readdirSync(folder).filter((name) => name.startsWith(`${basename(file)}.`) && name.endsWith('.part'))
  for (const name of parts) rmSync(join(folder, name), { force: true })
}

/** Trains up to a step, from the checkpoint in the file if there is one. Returns the digest of all numbers. */
export const train = (file: string, steps: number, log: (line: string) => void, every = EVERY): string => {
  q.orThrow(ensureFolder(dirname(file)))
  sweep(file)
  const fresh = q.startTraining(q.orThrow(q.init(net, 0)), optimizer)
  // A file that is there was written whole. If it can't be read, that is worth stopping for.
  const start = existsSync(file) ? q.orThrow(q.parseCheckpoint(fresh, net)(q.orThrow(readFileBytes(file)))) : fresh
  log(`starts at step ${start.step}`)
  const inputs = { x: q.tensorInput([BATCH, 2]), target: q.tensorInput([BATCH]) }
  const loss = q.orThrow(q.trace(q.withLoss(net, q.crossEntropy), inputs, { mode: 'train' }))
  const trainer = q.orThrow(q.trainer(q.orThrow(q.grad(loss, { output: 'loss' })), optimizer, start))
  for (let step = start.step; step < steps; step++) {
    q.orThrow(trainer.step(batch(step)))
    if ((step + 1) % every !== 0 && step + 1 < steps) continue
    const saved = writeFileWhole(file, q.checkpointToBytes(trainer.training()))
    // A full disk need not end a training: the checkpoint before is as it was.
    if (isLeft(saved)) log(q.explainAll(saved.left))
    else log(`step ${step + 1}`)
  }
  trainer.dispose()
  return createHash('sha256').update(q.checkpointToBytes(trainer.training())).digest('hex')
}

const [, script = '', file, steps = '400'] = process.argv
if (file !== undefined && basename(script).startsWith('resume'))
  console.log(`digest ${train(file, Number(steps), (line) => console.log(line))}`)
