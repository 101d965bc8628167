/** From a program, or two, to one file that opens anywhere. Runs in Node and in browsers. */
import type { Program } from '../src/graph/program.js'
import { demandPair, demandScene } from './border.js'
import { assets } from './generated/assets.js'
import type { PairOptions } from './pair/scene.js'
import { toPairHtml } from './pair/toPairHtml.js'
import { sceneOf, type SceneOptions } from './scene/fromProgram.js'
import { shell } from './shell.js'

/**
 * A program as one self-contained HTML page (no network, strict Content-Security-Policy) that shows where quantization
 * metadata survives, is claimed, or is stripped, and what to change. Open it with `#expand=all` to see every node.
 * @example
 * ```ts
 * import { functionLayer, orThrow, relu, tensorInput, trace } from 'quantrace'
 * import { toHtml } from 'quantrace/viz'
 *
 * const program = orThrow(trace(functionLayer('Relu', relu), tensorInput([2]), { mode: 'eval' }))
 * const page = toHtml(program, { title: 'relu' }) // one file, to be opened in a browser
 * console.log(page.startsWith('<!doctype html>'))
 * ```
 * ```text
 * true
 * ```
 */
export function toHtml(program: Program, options?: SceneOptions): string
/**
 * Two programs side by side on such a page, aligned by layer, with what differs between them. Each half is a
 * `[data-program="0"]` or `"1"`, inside which the attributes of a page of one program hold; `data-pair` says `same`,
 * `differs` or `only`, and `data-partner` names what corresponds on the other side.
 * @example toHtml([before, after], { sides: [{ title: 'before' }, { title: 'after' }] })
 */
export function toHtml(programs: readonly [Program, Program], options?: PairOptions): string
export function toHtml(x: Program | readonly [Program, Program], options: SceneOptions | PairOptions = {}): string {
  if (Array.isArray(x)) {
    demandPair('toHtml', x, options)
    return toPairHtml(x as readonly [Program, Program], options)
  }
  demandScene('toHtml', x, options)
  return shell(sceneOf(x as Program, options), assets)
}
