/** The sub-commands by name. Another one is a file here and a line. */
import type { Command } from '../command.js'
import { bench } from './bench.js'
import { explain } from './explain.js'
import { exportTo } from './export.js'
import { importFrom } from './import.js'
import { quantizeTo } from './quantize.js'
import { runOver } from './run.js'
import { viz } from './viz.js'

/** The sub-commands, in the order of the help. */
export const commands: { readonly [name: string]: Command } = {
  viz,
  explain,
  export: exportTo,
  import: importFrom,
  quantize: quantizeTo,
  run: runOver,
  bench,
}
