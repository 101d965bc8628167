/**
 * Ahead of time: an eval program, its parameters and state as one file (see ../precompiled/header.ts). What depends on parameters and state
 * alone is computed here, by the steps that a compiled program runs, and its results become the first contents of memory; the rest of the plan
 * is placed anew around them. So the numbers of a run are those of the compiled program, bit for bit.
 */
import * as E from 'fp-ts/lib/Either.js'
import { crc32 } from '../../data/crc32.js'
import type { QuantErrors, QuantWarning } from '../../data/error.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import { mapTree, type Tree } from '../../data/tree.js'
import { attrsFor, computes } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { scanOp } from '../../graph/structural.js'
import { resultOf } from '../../graph/results.js'
import { encodeAttrs } from '../../graph/writers.js'
import { tooLarge, withMemory } from '../memory.js'
import { backendError } from '../messages.js'
import {
  CHECKSUM_BYTES,
  FORMAT,
  SECTION,
  VERSION,
  type Header,
  type Place,
  type StoredCalls,
  type StoredCopy,
  type StoredHost,
} from '../precompiled/header.js'
import { flatten, text, u32, type Code } from './asm/encode.js'
import type { DataPiece } from './asm/module.js'
import { assemble, type Assembled } from './assemble.js'
import { GUARD } from './barrier.js'
import { hasSimd } from './features.js'
import { imageOf, withoutCopies } from './image.js'
import { rounded } from './kernels/loops.js'
import { newMath } from './kernels/math.js'
import { load } from './load.js'
import { phasesOf } from './phases.js'
import type { Plan } from './placing.js'
import { planOf, restOf } from './planning.js'
import { PAGE_BYTES } from './machine.js'

/** The program without its next state: what state becomes is not asked. */
const withResultsOnly = (program: Program): Program => {
  const nodes = program.outputs.flatMap(({ kind, node, quant }) =>
    kind !== 'result' ? [] : [node, ...(quant === undefined ? [] : [quant.scale, quant.zeroPoint, quant.bitWidth])],
  )
  return { ...program, graph: { ...program.graph, outputs: [...new Set(nodes)] } }
}

/** The host steps of a plan, by number of the step. */
const hostsOf = (program: Program, plan: Plan, order: Assembled['order']): ReadonlyMap<number, StoredHost> => {
  const place = (id: number, shape: Shape): Place => ({ at: plan.addresses[id], shape })
  return new Map(
    order.flatMap((o): readonly (readonly [number, StoredHost])[] => {
      if (o.kind === 'segment') return []
      const { step } = plan.steps[o.step]
      const flat = plan.flat.nodes[step.kind === 'op' ? step.node : step.members[0]]
      const { op, id, inputs, path } = program.graph.nodes[flat.origin]
      const args = flat.args.map((a) => place(a.id, a.shape))
      const out = flat.op.guards === true ? args[0] : place(flat.id, flat.shape)
      const node = { op: op.name, id, inputs, path }
      const attrs = encodeAttrs(attrsFor(computes(flat.op), flat.attrs))
      // Nothing is to be computed of no elements.
      if (sizeOf(flat.shape) === 0 && flat.op.guards !== true) return []
      return [[o.step, { op: computes(flat.op).name, args, attrs, out, node }]]
    }),
  )
}

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** The tree of a program's results, with indices among these alone. */
const resultTree = ({ outputs, structure }: Program): Tree<number> => {
  const results = outputs.flatMap((o, i) => (o.kind === 'result' ? [i] : []))
  const index = new Map(results.map((i, k) => [i, k] as const))
  return mapTree(isIndex, structure.results, (i) => index.get(i) ?? 0)
}

/** Calls and results of a plan, whose module calls it in this order. */
const callsOf = (program: Program, plan: Plan, order: Assembled['order']): StoredCalls => {
  const { flat, addresses } = plan
  const hosts = hostsOf(program, plan, order)
  const numbers = new Map([...hosts.keys()].map((step, k) => [step, k] as const))
  const where = new Map(program.graph.outputs.map((id, i) => [id, flat.outputs[i]] as const))
  const outputAt = (node: number): Place => {
    const ref = where.get(node) ?? flat.outputs[0]
    return { at: addresses[ref.id], shape: ref.shape }
  }
  return {
    results: program.outputs.filter((o) => o.kind === 'result').map((o) => resultOf(program, o, outputAt)),
    order: order.flatMap((o): readonly (string | number)[] => {
      const call = o.kind === 'segment' ? o.name : numbers.get(o.step)
      return call === undefined ? [] : [call]
    }),
    hosts: [...hosts.values()],
  }
}

/** Where the inputs of data lie. */
const inputsAt = (program: Program, { flat, addresses }: Plan): readonly (number | null)[] =>
  program.inputs.flatMap(({ kind }, i) =>
    kind === 'data' ? [flat.inputs[i] < 0 ? null : addresses[flat.inputs[i]]] : [],
  )

/** What is left of a plan once all that depends on parameters and state alone is done, and what that left in memory. */
type Ready = { readonly rest: Plan; readonly image: readonly DataPiece[]; readonly warnings: readonly QuantWarning[] }

/** Does what depends on parameters and state alone. Null: there are numbers among it that can't be stored as bytes. */
const readied = (
  program: Program,
  plan: Plan,
  inputs: readonly Tensor[],
  start?: number,
): E.Either<QuantErrors, Ready | null> => {
  const loaded = load(program, plan, null)
  if (E.isLeft(loaded)) return loaded
  const { memory, ahead, isUnfit, inputs: places } = loaded.right
  program.inputs.forEach((p, i) => {
    if (p.kind !== 'data') places[i].data.set(inputs[i].data)
  })
  const failure = ahead()
  if (failure !== null) return E.left([failure])
  if (isUnfit()) return E.right(null)
  const rest = restOf(program, plan, start)
  const warnings = phasesOf(plan.flat).warnings((i) => inputs[i].data)
  return E.right({ rest, image: imageOf(plan, rest, memory.buffer), warnings })
}

/** The way with bytes, behind the other one in memory; null where no value is one. */
const withBytes = (
  program: Program,
  plan: Plan,
  inputs: readonly Tensor[],
  other: Ready,
): E.Either<QuantErrors, (Ready & { readonly copies: readonly StoredCopy[] }) | null> =>
  plan.byteGrids.size === 0
    ? E.right(null)
    : E.map((made: Ready | null) => {
        if (made === null) return null
        const { own, copies } = withoutCopies(made.image, other.image)
        return { ...made, image: own, copies }
      })(readied(program, plan, inputs, rounded(other.rest.bytes)))

const headerOf = (
  program: Program,
  plain: Ready,
  bytes: (Ready & { readonly copies: readonly StoredCopy[] }) | null,
  assembled: Assembled,
): Header => {
  const places = inputsAt(program, plain.rest)
  const shapes = program.inputs.flatMap(({ kind, shape }) => (kind === 'data' ? [shape] : []))
  return {
    format: FORMAT,
    version: VERSION,
    inputs: program.inputs
      .filter(({ kind }) => kind === 'data')
      .map(({ path, part, shape, quant, dtype }, i) => ({
        path,
        part,
        shape,
        at: places[i],
        ...(quant === undefined ? {} : { quant }),
        ...(dtype === undefined ? {} : { dtype }),
      })),
    ...callsOf(program, plain.rest, assembled.order),
    tree: resultTree(program),
    warnings: plain.warnings,
    ...(bytes === null
      ? {}
      : {
          bytes: {
            ...callsOf(program, bytes.rest, assembled.second),
            guard: { at: GUARD, shape: [] },
            inputs: inputsAt(program, bytes.rest).map((at, i) => (at === null ? null : { at, shape: shapes[i] })),
            copies: bytes.copies,
          },
        }),
  }
}

/** The module with its header behind it, and the checksum of all. */
const fileOf = (module: Uint8Array, header: Header): Uint8Array => {
  const json = new TextEncoder().encode(JSON.stringify(header))
  const name = flatten(text(SECTION))
  const section: Code = [0, u32(name.length + json.length + CHECKSUM_BYTES), name, json]
  const bytes = flatten([module, section, 0, 0, 0, 0])
  const end = bytes.length - CHECKSUM_BYTES
  new DataView(bytes.buffer).setUint32(end, crc32(bytes.subarray(0, end)), true)
  return bytes
}

/** Loops over steps run on the host, body and all, and a file has no place for a body. */
const loopsOf = (program: Program, { flat, steps }: Plan): QuantErrors =>
  steps.flatMap(({ kernel, step }) => {
    const node = flat.nodes[step.kind === 'op' ? step.node : step.members[0]]
    if (kernel !== null || computes(node.op).name !== scanOp.name) return []
    const { path } = program.graph.nodes[node.origin]
    const where = path === '' ? 'the program' : path
    return [
      backendError('wasm', `the loop over steps of ${where} can't be precompiled: it runs outside WebAssembly`, UNROLL),
    ]
  })

const UNROLL = 'compile this program where it runs (parseProgram and compile)'

const noSimd = backendError(
  'wasm',
  'this engine has no WebAssembly SIMD, with which precompile computes what does not depend on data',
  'precompile in Node from version 20 on',
)

/** An eval program as a file. `inputs`: in the order of `program.inputs`; of data only the shapes are used. */
export const precompileProgram = (whole: Program, inputs: readonly Tensor[]): E.Either<QuantErrors, Uint8Array> => {
  if (!hasSimd()) return E.left([noSimd])
  const large = tooLarge(whole, 'wasm')
  if (large !== null) return E.left(large)
  const program = withResultsOnly(whole)
  const read = (i: number): Float32Array => inputs[i].data
  return withMemory('wasm', () => {
    const math = newMath()
    const planned = (bytes: boolean): Plan => planOf(program, read, [], math, { bytes })
    const plain = readied(program, planned(false), inputs)
    if (E.isLeft(plain)) return plain
    // A plan without bytes is always fit.
    if (plain.right === null)
      throw new RangeError('internal: a plan without bytes is unfit for its numbers; report this as a bug of quantrace')
    const { rest, image } = plain.right
    const loops = loopsOf(program, rest)
    if (loops.length > 0) return E.left(loops)
    const second = withBytes(program, planned(true), inputs, plain.right)
    if (E.isLeft(second)) return second
    const bytes = second.right
    const pages = Math.ceil((bytes?.rest ?? rest).bytes / PAGE_BYTES) + 1
    const options = { threads: false, mayWait: false, pages, stages: false, splitAbove: 0 }
    const whole = { ...options, image: [...image, ...(bytes?.image ?? [])] }
    const assembled = assemble(rest, whole, bytes?.rest)
    return E.right(fileOf(assembled.bytes, headerOf(program, plain.right, bytes, assembled)))
  })
}
