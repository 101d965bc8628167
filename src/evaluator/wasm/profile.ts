/** Where the time of a plan goes: every step timed on its own, beside what the machine can do. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import {
  allOf,
  anyNumber,
  demandArguments,
  list,
  listOf,
  required,
  shaped,
  text,
  whole,
  type Field,
} from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import type { Program } from '../../graph/program.js'
import type { Profile, ProfileOptions, ProfileRow } from '../insight.js'
import { tooLarge } from '../memory.js'
import { nodesOf } from '../plan/fuse.js'
import { productIn } from './describe.js'
import { newMath } from './kernels/math.js'
import { measureLimits } from './limits.js'
import { load, type Loaded } from './load.js'
import { planOf } from './planning.js'
import { BASELINE, type Rungs } from './rungs.js'

const leastOf = (rounds: number, body: () => void): number => {
  let least = Infinity
  for (let i = 0; i < rounds; i++) {
    const began = performance.now()
    body()
    least = Math.min(least, performance.now() - began)
  }
  return least
}

const rowsOf = (loaded: Loaded, rounds: number): readonly Omit<ProfileRow, 'share'>[] =>
  loaded.plan.steps.map((s, k) => {
    const stages = loaded.assembled.stages[k].map((st) => ({
      label: st.label,
      units: st.units,
      ms: leastOf(rounds, () => void loaded.call(st.name, 0, st.units)),
    }))
    const ms = s.kernel === null ? leastOf(rounds, () => void loaded.host(k)) : stages.reduce((t, st) => t + st.ms, 0)
    const [bytes, flops] = [s.kernel?.bytes ?? 0, s.kernel?.flops ?? 0]
    const flat = nodesOf(s.step)
    const nodes = [...new Set(flat.map((i) => loaded.plan.flat.nodes[i].origin))]
    const product = productIn(loaded.plan, s)
    const rate = (n: number): number => (ms > 0 ? n / ms / 1e6 : 0)
    return {
      step: k,
      kernel: s.label,
      path: s.path,
      nodes,
      on: s.kernel === null ? 'host' : 'wasm',
      ms,
      bytes,
      flops,
      gbs: rate(bytes),
      gflops: rate(flops),
      ...(product === null ? {} : { product: { runsOn: product.runsOn, why: product.why } }),
      stages,
    }
  })

/** Profiles a program on the WebAssembly backend with one thread. `inputs`: in the order of `program.inputs`. */
export const profileProgram = (
  program: Program,
  inputs: readonly Tensor[],
  options: ProfileOptions = {},
  rungs: Rungs = BASELINE,
): E.Either<QuantErrors, Profile> => {
  const { rounds = 15, warmUpMs = 500 } = options
  const large = tooLarge(program, 'wasm')
  if (large !== null) return E.left(large)
  const began = performance.now()
  const loaded = load(
    program,
    planOf(program, (i) => inputs[i].data, [], newMath(), { bytes: true, rungs }),
    null,
    { stages: true, fma: rungs.fma },
  )
  if (E.isLeft(loaded)) return loaded
  const compileMs = performance.now() - began
  const l = loaded.right
  inputs.forEach((t, i) => l.inputs[i].data.set(t.data))
  const first = l.execute(true)
  if (first !== null) return E.left([first])
  for (const until = performance.now() + warmUpMs; performance.now() < until;) l.execute(true)
  const ms = leastOf(rounds, () => void l.execute(true))
  const rows = rowsOf(l, rounds)
  const total = rows.reduce((t, r) => t + r.ms, 0)
  l.dispose()
  return E.right({
    rows: rows.map((r) => ({ ...r, share: total > 0 ? r.ms / total : 0 })),
    ms,
    compileMs,
    bytes: l.plan.bytes,
    limits: measureLimits(),
  })
}

const us = (ms: number): string => (ms * 1000).toFixed(1).padStart(9)

const amount = required(anyNumber)
/** A profile, as an argument. */
export const profileField: Field = {
  ...shaped(
    'a profile, as profile measures it',
    allOf({
      rows: listOf(
        shaped(
          'a step',
          allOf({
            kernel: text,
            path: text,
            on: text,
            nodes: list,
            ms: anyNumber,
            share: anyNumber,
            gbs: anyNumber,
            gflops: anyNumber,
            stages: list,
          }),
        ),
      ),
      ms: anyNumber,
      compileMs: anyNumber,
      bytes: anyNumber,
      limits: shaped('limits', { cacheGBs: amount, memoryGBs: amount, gflops: amount, integerGops: amount }),
    }),
  ),
  like: 'orThrow(profile(program, args))',
}

/** A profile as a table, the costliest steps first. */
export const showProfile = (p: Profile, most = 20): string => {
  demandArguments('showProfile', { profile: p, most }, { profile: required(profileField), most: whole })
  const { limits: m } = p
  const head = `${p.ms.toFixed(3)} ms an execution, ${(p.bytes / 2 ** 20).toFixed(1)} MiB, compiled in ${p.compileMs.toFixed(0)} ms; this machine: ${m.cacheGBs.toFixed(0)} GB/s in cache, ${m.memoryGBs.toFixed(0)} from memory, ${m.gflops.toFixed(0)} GFLOP/s, ${m.integerGops.toFixed(0)} GOP/s`
  const columns = `${'us'.padStart(9)}  share   GB/s  GOP/s  where  kernel                              layer`
  const line = (r: ProfileRow): string =>
    `${us(r.ms)} ${(100 * r.share).toFixed(1).padStart(5)}% ${r.gbs.toFixed(1).padStart(6)} ${r.gflops.toFixed(1).padStart(6)}  ${r.on.padEnd(5)}  ${r.kernel.padEnd(34)}  ${r.path}`
  const sorted = [...p.rows].sort((a, b) => b.ms - a.ms)
  const rest = sorted.slice(most)
  const restMs = rest.reduce((t, r) => t + r.ms, 0)
  return [
    head,
    columns,
    ...sorted.slice(0, most).map(line),
    ...(rest.length === 0 ? [] : [`${us(restMs)}         in ${rest.length} more steps`]),
  ].join('\n')
}
