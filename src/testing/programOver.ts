/** Programs of one call. */
import { orThrow } from '../data/error.js'
import type { Example, Op, OpTable } from '../graph/op.js'
import type { Program } from '../graph/program.js'
import { quantInput, tensorInput, traceProgram, type InputDecl } from '../graph/trace.js'

const declare = (arg: Example['args'][number]): InputDecl =>
  arg.quant === undefined
    ? tensorInput(arg.shape)
    : quantInput(arg.shape, {
        bits: arg.quant.bits,
        signed: arg.quant.signed,
        zeroPoint: arg.quant.zero ?? 'zero',
        scaleShape: arg.quant.scaleShape ?? [],
        training: true,
      })

/** The program that applies one op to the operands of an example, over a table of ops of which some may be others. */
export const programOver = (table: OpTable, op: Op, example: Example, metadata: boolean): Program =>
  orThrow(
    traceProgram({
      table,
      mode: 'train',
      strict: false,
      locations: false,
      params: {},
      state: {},
      inputs: example.args.map((a) => (metadata ? declare(a) : tensorInput(a.shape))),
      body: (_p, _s, inputs, kit) => ({ results: kit.apply(op, inputs as never, example.attrs), nextState: {} }),
    }),
  )
