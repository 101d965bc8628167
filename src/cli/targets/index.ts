/** What `quantrace export --to` knows. Another one is a file here and a line. */
import type { Target } from '../target.js'
import { brevitas } from './brevitas.js'
import { c } from './c.js'
import { json } from './json.js'
import { qcdq, qonnx } from './onnx.js'
import { svg } from './svg.js'

/** The targets, in the order of the help. */
export const targets: { readonly [name: string]: Target } = { qcdq, qonnx, brevitas, c, json, svg }
