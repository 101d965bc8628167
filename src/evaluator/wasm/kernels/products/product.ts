/** A product as data: what it multiplies, where that lies and how it is cut into units. */
import type { Code } from '../../asm/encode.js'
import { indexed, type Writing } from './code.js'
import type { Local, Scope } from '../../asm/module.js'
import type { Place } from './layout.js'
import type { Mac, Walk } from './tile.js'

/** An axis over which the whole product is repeated: how far operands, result and scales move at each step, in bytes. */
export type Axis = {
  readonly count: number
  readonly block: number
  readonly a: number
  readonly b: number
  readonly c: number
  readonly s?: number
}
/** A last axis whose entries (offset of a in bytes, first k of the packed b, first and last byte of the table over k) stand in a table. */
export type Chunks = { readonly count: number; readonly table: Place; readonly c: number }

/** A product `C[i][j] = Σ_k A[i][k] * B[k][j]`. Steps are in bytes; `block` is how many one unit does. */
export type Product = {
  readonly label: string
  readonly mac: Mac
  readonly axes: readonly Axis[]
  readonly chunks?: Chunks
  readonly rows: {
    readonly count: number
    readonly block: number
    readonly at: { readonly step: number } | { readonly table: Place }
  }
  /** Columns go in panels of 16 (or of `width`), `panel` bytes apart; the last one may be narrower. `block` counts panels. */
  readonly columns: { readonly count: number; readonly block: number; readonly panel: number; readonly width?: number }
  readonly terms: number | null
  /** Mean number of terms, where `terms` is null. */
  readonly meanTerms?: number
  readonly a: { readonly base: Place; readonly k: Walk }
  /** `narrow`: step of k within the last panel, where it is packed more narrowly. */
  readonly b: { readonly base: Place; readonly k: Walk; readonly narrow?: number }
  readonly c: { readonly base: Place; readonly row: number; readonly column: number; readonly adds?: boolean }
  readonly scale?: { readonly base: Place; readonly along: 'rows' | 'columns' }
  /** Elements of the result at each step of the first axis, where these lie one after the other. */
  readonly piece?: number
}

/** Where operands, result and scales of what is to be done start; `k`, `from`, `to`: of a chunk. */
export type Pointers = {
  readonly a: Code<'i32'>
  readonly b: Code<'i32'>
  readonly c: Code<'i32'>
  readonly s: Code<'i32'>
  readonly k: Code<'i32'> | null
  readonly from: Code<'i32'>
  readonly to: Code<'i32'>
}
/** What a unit does of a level. */
export type Span = { readonly first: Code<'i32'>; readonly end: Code<'i32'>; readonly constant: number | null }

/** What the code of a product is written with. */
export type Sweep = Writing & { readonly p: Product }

/** A number that is computed once, and where it is held from then on. */
export type Held = { readonly set: Code; readonly get: Code<'i32'> }

/** Holds a number in a local. */
export const held = (local: Local, value: Code<'i32'>): Held => ({
  set: local.set(value),
  get: local.get,
})

/** `base + index * step`, held; the base itself where nothing moves. */
export const bytesOf = (base: Code<'i32'>, index: Code<'i32'>, step: number, { local }: Scope): Held =>
  step === 0 ? { set: [], get: base } : held(local('i32'), indexed(base, index, step))
