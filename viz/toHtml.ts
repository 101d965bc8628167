/** From a program to one file that opens anywhere. Runs in Node and in browsers. */
import type { Program } from '../src/graph/program.js'
import { assets } from './generated/assets.js'
import { sceneOf, type SceneOptions } from './scene/fromProgram.js'
import { shell } from './shell.js'

/**
 * A program as one self-contained HTML page (no network, strict Content-Security-Policy) that shows where quantization
 * metadata survives, is claimed, or is stripped, and what to change. Open it with `#expand=all` to see every node.
 * @example writeFileSync('out/net.html', toHtml(program, { title: 'net', outputs: ran.outputs }))
 */
export const toHtml = (program: Program, options: SceneOptions = {}): string => shell(sceneOf(program, options), assets)
