/** Who runs what: groups of workloads, the peers of a round in order, and PyTorch's variants. */
import { caseOf, casesOf, idOf, type WorkloadName } from './cases.js'
import type { Runner } from './events.js'
import type { Options } from './options.js'

/** Workloads that one process runs after each other, and the share of the whole time by whose end their rounds must be done. */
export type Group = {
  readonly name: string
  readonly ids: readonly string[]
  readonly rounds: number
  readonly until: number
}

const GROUPS: readonly { readonly workloads: readonly WorkloadName[]; readonly until: number }[] = [
  { workloads: ['W1', 'W2', 'W3', 'W9', 'W10'], until: 0.5 },
  { workloads: ['W4'], until: 0.64 },
  { workloads: ['W5', 'W6'], until: 0.88 },
  { workloads: ['W11', 'W12'], until: 0.9 },
  { workloads: ['W7'], until: 0.92 },
  { workloads: ['W8'], until: 1 },
]

/** Rounds of all but W8. */
export const ROUNDS = 3

/** The groups of some workloads. W7's sizes stand alone, because each must find a fresh process. */
export const groupsOf = (only: readonly WorkloadName[], rounds: number): readonly Group[] =>
  GROUPS.flatMap(({ workloads, until }) => {
    const chosen = workloads.filter((w) => only.includes(w))
    if (chosen.length === 0) return []
    const cases = casesOf(chosen)
    if (chosen[0] !== 'W7')
      return [{ name: chosen.join(', '), ids: cases.map(idOf), rounds: chosen[0] === 'W8' ? 1 : rounds, until }]
    // One job builds once and tells the time of each phase.
    return cases.filter((c) => c.phase === 'cold').map((c) => ({ name: `W7 ${c.size}`, ids: [idOf(c)], rounds, until }))
  })

/** What glibc does with big blocks it gets back: hand them to the kernel, or keep them. */
export type Malloc = 'default' | 'raised'

/** One process of a round. */
export type Turn = { readonly peer: Runner; readonly threads: number; readonly malloc?: Malloc }

const turns = (
  peer: Runner,
  threads: readonly number[],
  mallocs: readonly (Malloc | undefined)[] = [undefined],
): readonly Turn[] =>
  threads.flatMap((t) => mallocs.map((malloc) => ({ peer, threads: t, ...(malloc === undefined ? {} : { malloc }) })))

/** A round: ours with each number of threads, the peers between. Those without threads meet our one thread. */
export const roundOf = (o: Pick<Options, 'threads' | 'brevitas' | 'quick'>, workloads: string): readonly Turn[] => {
  const single: readonly Turn[] = (['reference', 'tfjs-wasm', 'jax-js'] as const).map((peer) => ({ peer, threads: 1 }))
  const limits: readonly Turn[] = workloads.includes('W1')
    ? [
        { peer: 'copy-wasm', threads: 1 },
        { peer: 'copy-memmove', threads: 1 },
      ]
    : []
  const threaded = (t: number): readonly Turn[] => [
    ...turns('ort-web', [t]),
    ...(o.brevitas
      ? [
          ...turns('brevitas', [t], o.quick ? ['raised'] : ['raised', 'default']),
          ...turns('torch-compile', [t], ['raised']),
          ...turns('torch-float', [t], ['raised']),
        ]
      : []),
  ]
  const others = o.threads.filter((t) => t !== 1)
  return [
    ...turns('ours', [1]),
    ...limits,
    ...single,
    ...(o.threads.includes(1) ? threaded(1) : []),
    ...others.flatMap((t) => [...turns('ours', [t]), ...threaded(t)]),
  ]
}

/** Cases whose bytes are copied for comparison. */
export const COPIED = ['W1/12.8M/learned-fwd'] as const

const LAYOUTS = ['nchw', 'nhwc'] as const
const PLAIN = ['nchw', 'nhwc', 'nchw-plain', 'nhwc-plain'] as const

/** Ways in which an informed user would try a case on PyTorch: memory layouts, and QuantTensors on or off. */
export const variantsOf = (peer: Runner, id: string, quick: boolean): readonly string[] => {
  const workload = id.split('/')[0]
  if (quick && isTorch(peer))
    return [peer !== 'torch-float' && ['W5', 'W6', 'W8'].includes(workload) ? 'nchw-plain' : 'nchw']
  if (peer === 'torch-float') return ['W8', 'W11', 'W12'].includes(workload) ? ['nchw'] : LAYOUTS
  if (peer === 'torch-compile') return ['nchw-plain']
  if (peer !== 'brevitas') return ['']
  if (workload === 'W5' || workload === 'W6') return PLAIN
  if (workload === 'W8') return ['nchw-plain']
  return workload === 'W3' || workload === 'W4' ? LAYOUTS : ['nchw']
}

const TRAINING_ONLY_TORCH = 'the whole training is timed for ours and PyTorch only'

const ONLY_BREVITAS: readonly string[] = ['W9', 'W10']
const SEQUENCES: readonly string[] = ['W11', 'W12']

/** Why a peer has nothing to offer in a case, or null where it has. */
export const cannot = (peer: Runner, id: string): string | null => {
  const { workload, phase } = caseOf(id)
  const collecting = phase.startsWith('collecting')
  if (ONLY_BREVITAS.includes(workload) && !['ours', 'reference', 'brevitas'].includes(peer))
    return 'minifloats and groups are compared with Brevitas alone'
  if (SEQUENCES.includes(workload) && !['ours', 'reference', 'brevitas', 'torch-float'].includes(peer))
    return 'recurrent and attention layers are compared with PyTorch alone'
  switch (peer) {
    case 'ours':
      return null
    case 'reference':
      return workload === 'W8' ? TRAINING_ONLY_TORCH : null
    case 'tfjs-wasm':
      return workload === 'W7'
        ? 'it traces nothing ahead'
        : workload === 'W8'
          ? TRAINING_ONLY_TORCH
          : collecting
            ? 'it has no percentile'
            : null
    case 'jax-js':
      return workload === 'W7'
        ? 'it compiles at the first call, which also computes'
        : workload === 'W8'
          ? TRAINING_ONLY_TORCH
          : collecting
            ? 'it has no percentile'
            : null
    case 'ort-web':
      return workload === 'W6' ? null : 'it only infers, and only whole models'
    case 'brevitas':
      return workload === 'W7' ? 'PyTorch builds nothing ahead' : null
    case 'torch-compile':
      return workload === 'W6'
        ? null
        : 'it is compared at inference; in training it is slower than eager, or compiles anew at every step'
    case 'torch-float':
      return ['W5', 'W6', 'W8', ...SEQUENCES].includes(workload) ? null : 'there is no float twin of a quantizer'
    case 'copy-wasm':
    case 'copy-memmove':
      return COPIED.some((c) => c === id) ? null : 'it only copies'
  }
}

/** Is it a process of Python? */
export const isTorch = (peer: Runner): boolean =>
  peer === 'brevitas' || peer === 'torch-compile' || peer === 'torch-float'
