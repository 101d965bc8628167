/**
 * Ahead of time: an eval program, its parameters and state as one file (see ../precompiled/header.ts). What depends on parameters and state
 * alone is computed here, by the steps that a compiled program runs, and its results become the first contents of memory; the rest of the plan
 * is placed anew around them. So the numbers of a run are those of the compiled program, bit for bit.
 */
import * as E from 'fp-ts/lib/Either.js'
import { crc32 } from '../../data/crc32.js'
import type { QuantErrors, QuantWarning } from '../../data/error.js'
import { bytesOf, sizeOf, type Shape } from '../../data/shape.js'
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
  type StoredHost,
} from '../precompiled/header.js'
import { flatten, text, u32, type Code } from './asm/encode.js'
import type { DataPiece } from './asm/module.js'
import { assemble, type Assembled } from './assemble.js'
import { hasSimd } from './features.js'
import { newMath } from './kernels/math.js'
import { load } from './load.js'
import { phasesOf } from './phases.js'
import type { Plan } from './placing.js'
import { planOf, restOf } from './planning.js'
import { PAGE_BYTES } from './machine.js'

/** A stretch of zeros from this length on isn't stored: memory begins as zeros. */
const GAP_WORDS = 16

/** The program without its next state: what state becomes is not asked. */
const withResultsOnly = (program: Program): Program => {
  const nodes = program.outputs.flatMap(({ kind, node, quant }) =>
    kind !== 'result' ? [] : [node, ...(quant === undefined ? [] : [quant.scale, quant.zeroPoint, quant.bitWidth])],
  )
  return { ...program, graph: { ...program.graph, outputs: [...new Set(nodes)] } }
}

/** The parts of a stretch of memory that aren't zeros, beginning at `address` of the other memory. */
const pieces = (memory: ArrayBuffer, from: number, address: number, bytes: number): readonly DataPiece[] => {
  const words = new Uint32Array(memory, from, Math.ceil(bytes / 4))
  const out: DataPiece[] = []
  let start = -1
  let last = -1
  const close = (): void => {
    if (start >= 0)
      out.push({
        address: address + 4 * start,
        bytes: new Uint8Array(memory, from + 4 * start, 4 * (last + 1 - start)).slice(),
      })
  }
  for (let i = 0; i < words.length; i++) {
    if (words[i] === 0) continue
    if (start < 0 || i - last > GAP_WORDS) {
      close()
      start = i
    }
    last = i
  }
  close()
  return out
}

/** What the steps of `rest` find in memory: what those before them left in that of the whole plan, and their constants. */
const imageOf = (plan: Plan, rest: Plan, memory: ArrayBuffer): readonly DataPiece[] => {
  const { nodes, outputs } = rest.flat
  const made = new Set(rest.steps.flatMap((s) => s.outs))
  const read = new Set([...rest.steps.flatMap((s) => s.args), ...outputs.map((o) => o.id)])
  const values = [...read].filter((id) => !made.has(id) && plan.leveled.cached[id] === 1)
  const former = plan.steps.filter((s) => !s.step.cached)
  return [
    ...values.flatMap((id) => pieces(memory, plan.addresses[id], rest.addresses[id], bytesOf(nodes[id].shape))),
    ...rest.steps.flatMap((s, k) => [
      ...(s.split && s.kernel !== null ? pieces(memory, former[k].scratch, s.scratch, s.kernel.scratch) : []),
      ...(s.split && s.flags >= 0 ? pieces(memory, former[k].flags, s.flags, 8) : []),
      ...(s.kernel === null || s.kernel.constants === null
        ? []
        : [{ address: s.constants, bytes: s.kernel.constants }]),
    ]),
  ]
}

/** The host steps of a plan, by number of the step. */
const hostsOf = (program: Program, plan: Plan, { order }: Assembled): ReadonlyMap<number, StoredHost> => {
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

const headerOf = (program: Program, plan: Plan, assembled: Assembled, warnings: readonly QuantWarning[]): Header => {
  const { flat, addresses } = plan
  const hosts = hostsOf(program, plan, assembled)
  const numbers = new Map([...hosts.keys()].map((step, k) => [step, k] as const))
  const where = new Map(program.graph.outputs.map((id, i) => [id, flat.outputs[i]] as const))
  const outputAt = (node: number): Place => {
    const ref = where.get(node) ?? flat.outputs[0]
    return { at: addresses[ref.id], shape: ref.shape }
  }
  return {
    format: FORMAT,
    version: VERSION,
    inputs: program.inputs.flatMap(({ kind, path, part, shape, quant, dtype }, i) => {
      const at = flat.inputs[i] < 0 ? null : addresses[flat.inputs[i]]
      const declared = { ...(quant === undefined ? {} : { quant }), ...(dtype === undefined ? {} : { dtype }) }
      return kind === 'data' ? [{ path, part, shape, at, ...declared }] : []
    }),
    results: program.outputs.filter((o) => o.kind === 'result').map((o) => resultOf(program, o, outputAt)),
    tree: resultTree(program),
    order: assembled.order.flatMap((o): readonly (string | number)[] => {
      const call = o.kind === 'segment' ? o.name : numbers.get(o.step)
      return call === undefined ? [] : [call]
    }),
    hosts: [...hosts.values()],
    warnings,
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
    const plan = planOf(program, read, [], newMath())
    const loaded = load(program, plan, null)
    if (E.isLeft(loaded)) return loaded
    const { memory, ahead, inputs: places } = loaded.right
    program.inputs.forEach((p, i) => {
      if (p.kind !== 'data') places[i].data.set(inputs[i].data)
    })
    const failure = ahead()
    if (failure !== null) return E.left([failure])
    const rest = restOf(program, plan)
    const loops = loopsOf(program, rest)
    if (loops.length > 0) return E.left(loops)
    const image = imageOf(plan, rest, memory.buffer)
    const pages = Math.ceil(rest.bytes / PAGE_BYTES) + 1
    const assembled = assemble(rest, { threads: false, mayWait: false, pages, stages: false, splitAbove: 0, image })
    return E.right(fileOf(assembled.bytes, headerOf(program, rest, assembled, phasesOf(plan.flat).warnings(read))))
  })
}
