/**
 * What a kernel is: memory that it needs, and stages of independent work. The plan places it, splits its stages among
 * threads and puts barriers between them; the kernel knows nothing of that. Results never depend on the split.
 */
import type { Shape } from '../../data/shape.js'
import type { Attrs } from '../../graph/op.js'
import type { Code } from './asm/encode.js'
import type { Func, ModuleBuilder, Units } from './asm/module.js'

/**
 * Where the operands of a step lie in memory, in bytes. Every buffer starts at a multiple of 64 and is rounded up to
 * one: vectors may read and write up to there (what lies beyond the last element is noise and must not reach a result).
 */
export type Places = {
  readonly args: readonly number[]
  readonly outs: readonly number[]
  readonly scratch: number
  readonly constants: number
  /** Two words that nobody else uses, ever: a thread may look at them late. Only for kernels with a fallback. */
  readonly flags: number
}

/** Code for pieces `first` … `end - 1` of a result, which are finished and still in cache. */
export type Behind = (first: Code<'i32'>, end: Code<'i32'>) => Code

/** One parallel sweep over `units` pieces of work, independent of each other. */
export type Stage = {
  readonly label: string
  readonly units: number
  /** Rough time of one unit in nanoseconds on one core: decides whether threads are worth their barrier. */
  readonly cost: number
  /**
   * Does it read operands 1 to 3 alone (a weight, its scale, the input's scale)? Where these are the same from run to run
   * it is done once, and what it leaves in scratch stays there.
   */
  readonly fixed?: boolean
  /**
   * Elements of a piece: the first result is pieces of so many, one after the other, each of which one unit finishes.
   * Then `emit` calls `behind` for every run of pieces as soon as it is finished, all in all once for each piece.
   */
  readonly piece?: number
  /** Pieces that a unit finishes, the last one perhaps fewer; absent where nobody asks. */
  readonly pieces?: number
  /** Emits a function `(from: i32, to: i32) → ()` that does the units from … to-1. Addresses are constants in its code. */
  readonly emit: (m: ModuleBuilder, at: Places, behind?: Behind) => Func<Units>
}

/** How one step of a plan is computed. */
export type Kernel = {
  /** What it does and how, for the printed plan: `conv i16 2x16`. */
  readonly name: string
  /** Bytes of memory that it needs while it runs. */
  readonly scratch: number
  /** Tables that it reads, copied once into memory. */
  readonly constants: Uint8Array | null
  /** Run in order, a barrier between each two. */
  readonly stages: readonly Stage[]
  /** Multiplications and additions, and bytes that must move: what the profile divides by time. */
  readonly flops: number
  readonly bytes: number
  /** Does it compute on integers, as long as its operands are some? */
  readonly integers?: boolean
  /** May the result take the first operand's place (the addresses are then the same)? */
  readonly inPlace?: boolean
  /**
   * Another kernel for the same outputs, for numbers that this one can't treat (NaN, infinities, off the grid): after
   * stage `after` (counted from 0) it takes over where the i32 at `flags`, or the next one, isn't 0. The plan clears
   * both before the first stage; `fixed` stages raise the second, so that it outlives a run. The other's scratch starts at `scratch + offset`, its constants at `constants + constantsOffset`;
   * the sizes of this kernel include them.
   */
  readonly fallback?: {
    readonly after: number
    readonly offset: number
    readonly constantsOffset: number
    readonly kernel: Kernel
  }
}

/** Operand 0 as bytes; on products, with which dot product: of pairs of 16 bits, or of four bytes, whose top bit is split off where the engine does not take it. */
export type ByteOperand = { readonly signed: boolean; readonly dot: 'i16' | 'i8' | 'i8 split' }

/** What a kernel is chosen by: the op, and the shapes of operands and result. */
export type KernelSpec = {
  readonly op: string
  readonly attrs: Attrs
  readonly shapes: readonly Shape[]
  readonly shape: Shape
  /** Is operand 0 bytes, integers of its grid (a product's x; of a pool the result, too)? */
  readonly bytes?: ByteOperand
}

/**
 * Licence to run a product on integers: both operands lie on an integer grid of at most 8 bits with zero point 0.
 * The scales are operands 2 and 3 of the kernel: scalars, or for the weight one per output channel.
 */
export type IntegerLicence = {
  readonly x: { readonly lo: number; readonly hi: number }
  readonly w: { readonly lo: number; readonly hi: number }
  readonly weightScales: number
  /** May the numbers be off their grid by more than float32 rounding? Then the float kernel takes them. */
  readonly declared: boolean
}
