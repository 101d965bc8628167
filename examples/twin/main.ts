/**
 * PYTHON=path/to/python npm run twin [-- NET…]: proves that the PyTorch twin is one. For each network, once while its quantizers collect and once when they
 * have learned: its forward is ours; one step of two processes over two halves of a batch is our step over the whole; what they saved comes back.
 * PYTHON needs torch, brevitas 0.13, safetensors and numpy.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { npzToBytes, parseNpy } from '../../src/interop/arrays/index.js'
import { fromBrevitas, parseSafetensors, toBrevitas } from '../../src/interop/brevitas/index.js'
import { init, orThrow, tensorInput, type Tensor } from '../../src/index.js'
import { writeFolder } from '../../src/node/index.js'
import { cases, type Case } from './nets.js'
import { apart, forward, furthest, learned, ROUNDING, step, type Apart, type Trees } from './ours.js'

const PYTHON = process.env.PYTHON ?? 'python3'
const LR = 0.05
/** A value that lies on the border of two integers may fall to either side: that share of elements may be that far off, by a step of their grid. */
const TIES = { share: 0.1, far: 0.01 }
const OUT = join('out', 'twin')

const python = (args: readonly string[]): void => {
  const { status, stderr, error } = spawnSync(PYTHON, args, {
    stdio: ['ignore', 'inherit', 'pipe'],
    encoding: 'utf8',
    env: { ...process.env, OMP_NUM_THREADS: '1' },
  })
  if (status === 0) return
  console.error(error?.message ?? stderr)
  console.error(
    `${PYTHON} ended with status ${status}: PYTHON must name a Python that has torch, brevitas 0.13, safetensors and numpy`,
  )
  process.exit(1)
}

/** What the twin's script is told: one step of the whole data. */
const argumentsOf = (c: Case): string => {
  const loss = c.loss === 'mse' ? 'mse' : 'cross_entropy'
  return `--data data.npz --out trained --steps 1 --batch ${c.x.shape[0]} --no-shuffle --optimizer sgd --lr ${LR} --loss ${loss}`
}

const twoProcesses = [
  '-m',
  'torch.distributed.run',
  '--standalone',
  '--nproc-per-node',
  '2',
  join('examples', 'twin', 'steps.py'),
]

const write = (folder: string, c: Case, trees: Trees): void => {
  const stored = (t: Tensor) => ({ shape: t.shape, data: t.data, type: 'F32' as const })
  const twin = orThrow(toBrevitas(c.net, tensorInput(c.x.shape), trees))
  const data = npzToBytes({ x: stored(c.x), target: stored(c.target) })
  rmSync(folder, { recursive: true, force: true })
  orThrow(writeFolder(folder, { ...twin, 'data.npz': data, 'arguments.txt': argumentsOf(c) }))
}

const numbers = (folder: string, file: string): Tensor => orThrow(parseNpy(readFileSync(join(folder, file))))

type Proof = { readonly name: string; readonly c: Case; readonly folder: string; readonly trees: Trees }

const proofs = (asked: readonly string[]): readonly Proof[] =>
  cases()
    .filter((c) => asked.length === 0 || asked.includes(c.name))
    .flatMap((c) => {
      const fresh = orThrow(init(c.net, 0))
      return [
        ['collecting', fresh],
        ['learned', learned(c, fresh)],
      ].map(
        ([phase, trees]) =>
          ({ name: `${c.name}, ${phase}`, c, folder: join(OUT, `${c.name}-${phase}`), trees }) as Proof,
      )
    })

const show = (what: string, { far, share, where }: Apart): boolean => {
  const good = far <= ROUNDING || (share <= TIES.share && far <= TIES.far)
  const much = far === 0 ? 'equal' : `within ${far.toExponential(1)}`
  const ties =
    far <= ROUNDING ? '' : `, ${(share * 100).toFixed(2)}% of ${where === '' ? 'them' : where} beyond rounding`
  console.log(`  ${good ? 'ok  ' : 'FAIL'} ${what}: ${much}${ties}`)
  return good
}

/** The three claims of one network in one phase. */
const proved = ({ name, c, folder, trees }: Proof): boolean => {
  console.log(name)
  const back = orThrow(
    fromBrevitas(c.net, orThrow(parseSafetensors(readFileSync(join(folder, 'trained', 'trained.safetensors'))))),
  )
  return [
    show('forward of the twin', apart(numbers(folder, 'before.npy'), forward(c, trees))),
    show('a step of two processes, each leaf', furthest(step(c, trees, LR), back)),
    show('output of what came back', apart(numbers(folder, 'after.npy'), forward(c, back))),
  ].every(Boolean)
}

const all = proofs(process.argv.slice(2))
const folders = all.map((p) => p.folder)
for (const { folder, c, trees } of all) write(folder, c, trees)
python([...twoProcesses, ...folders])
python([join('examples', 'twin', 'evaluate.py'), ...folders])
const good = all.map(proved).filter(Boolean).length
console.log(`${good} of ${all.length} proved`)
process.exitCode = good === all.length && good > 0 ? 0 : 1
