/** The functions of kernels, and the calls of a segment: in order, long stages split among threads, barriers where one waits for another. */
import type { Code } from './asm/encode.js'
import { control, i32 } from './asm/instructions.js'
import type { Func, Local, ModuleBuilder, Units } from './asm/module.js'
import type { Barrier } from './barrier.js'
import type { Kernel, Places } from './kernel.js'

/** A stage as a function of the module. */
export type Emitted = {
  readonly func: Func<Units>
  readonly units: number
  readonly cost: number
  readonly name: string
  readonly label: string
  readonly fixed: boolean
}
/** A kernel's stages, and those of the kernel that may take over. */
export type EmittedKernel = {
  readonly stages: readonly Emitted[]
  readonly fallback: { readonly after: number; readonly flag: number; readonly kernel: EmittedKernel } | null
}

/** Writes the functions of a kernel; profilers see them under its name, with the layer's path in front. */
export const emitKernel = (
  m: ModuleBuilder,
  kernel: Kernel,
  at: Places,
  name: string,
  path: string,
): EmittedKernel => ({
  stages: kernel.stages.map((s, k) => {
    const f = s.emit(m, at)
    m.label(f, `${path === '' ? name : path} ${kernel.name}: ${s.label}`)
    return { func: f, units: s.units, cost: s.cost, name: `${name}_${k}`, label: s.label, fixed: s.fixed === true }
  }),
  fallback:
    kernel.fallback === undefined
      ? null
      : {
          after: kernel.fallback.after,
          flag: at.flags,
          kernel: emitKernel(
            m,
            kernel.fallback.kernel,
            {
              ...at,
              scratch: at.scratch + kernel.fallback.offset,
              constants: at.constants + kernel.fallback.constantsOffset,
            },
            `${name}f`,
            path,
          ),
        },
})

/** Writes the calls of a segment; keeps what it must know between them. */
export const newWriter = (thread: Local, threads: Local, round: Local, barrier: Barrier | null, splitAbove: number) => {
  // Serial work by thread 0 that others have not waited for yet.
  let pending = false
  // Others may not have looked at a kernel's flags yet, which the next run of the segment raises anew.
  let looking = false
  let parallel = false
  const wait = (): Code => {
    looking = false
    return barrier === null
      ? []
      : [round.set(i32.add(round.get, threads.get)), control.if(barrier.call(round.get), control.return(i32.const(1)))]
  }
  let serial = false
  const stage = (s: Emitted): Code => {
    if (barrier === null) return s.func.call(i32.const(0), i32.const(s.units))
    if (serial || s.units < 2 || s.units * s.cost < splitAbove) {
      pending = true
      return control.if(i32.eqz(thread.get), s.func.call(i32.const(0), i32.const(s.units)))
    }
    const share = (t: Code<'i32'>): Code<'i32'> => i32.div_u(i32.mul(t, i32.const(s.units)), threads.get)
    const before = pending ? wait() : []
    pending = false
    parallel = true
    return [before, s.func.call(share(thread.get), share(i32.add(thread.get, i32.const(1)))), wait()]
  }
  /** `once`: what a split kernel does ahead; `rest`: what is left of it; `all`: an unsplit one. */
  const kernel = (k: EmittedKernel, part: Part): Code => {
    const f = k.fallback
    const mine = (s: Emitted): boolean => part === 'all' || s.fixed === (part === 'once')
    const own = (stages: readonly Emitted[]): readonly Code[] => stages.filter(mine).map(stage)
    if (f === null) return own(k.stages)
    const words = [...(part === 'once' ? [] : [f.flag]), ...(part === 'rest' ? [] : [f.flag + 4])].map(clearWord)
    const clear: Code = barrier === null ? words : control.if(i32.eqz(thread.get), words)
    pending = barrier !== null
    if (part === 'once') return [clear, own(k.stages)]
    const first = own(k.stages.slice(0, f.after + 1))
    const settle = pending ? wait() : []
    pending = false
    const rest = own(k.stages.slice(f.after + 1))
    const left = pending
    pending = false
    const other = kernel(f.kernel, 'all')
    pending = pending || left
    looking = true
    return [
      clear,
      first,
      settle,
      control.if(i32.or(i32.load(i32.const(f.flag)), i32.load(i32.const(f.flag + 4))), other, rest),
    ]
  }
  const all = (): Code => (parallel && looking ? wait() : [])
  /** `alone`: by the calling thread only, and with no barrier behind at which it could fail, so that inputs are never half committed. */
  const step = (k: EmittedKernel, alone: boolean, part: Part): Code => {
    serial = alone
    return [alone ? all() : [], kernel(k, part)]
  }
  return { step, finish: (): Code<'i32'> => [all(), i32.const(0)], isParallel: () => parallel }
}

/** All of a kernel, what is done once with parameters and state, or what is left of it. */
export type Part = 'all' | 'once' | 'rest'

const clearWord = (address: number): Code => i32.store(i32.const(address), i32.const(0))
