/** Plays a plan on a memory of tags: says where a step reads what is no longer, or not yet, there, or writes where it must not. */
import { sizeOf } from '../../../src/data/shape.js'
import type { Commit } from '../../../src/evaluator/backend.js'
import { CONTROL_BYTES, type Plan, type PlannedStep } from '../../../src/evaluator/wasm/placing.js'
import { constOp, inputOp } from '../../../src/graph/structural.js'

const LINE = 64
const linesOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / LINE))

/** One tag per 64 bytes. */
const newMemory = (bytes: number, complain: (what: string) => void) => {
  const tags = new Array<string>(linesOf(bytes)).fill('nothing')
  return {
    write: (at: number, size: number, tag: string): void => {
      if (at % LINE !== 0 || at < CONTROL_BYTES || at + linesOf(size) * LINE > linesOf(bytes) * LINE)
        complain(`${tag} lies at ${at}`)
      tags.fill(tag, at / LINE, at / LINE + linesOf(size))
    },
    read: (at: number, size: number, tag: string, reader: string): void => {
      const found = tags.slice(at / LINE, at / LINE + linesOf(size)).find((t) => t !== tag)
      if (found !== undefined) complain(`${reader} wants ${tag} and finds ${found}`)
    },
  }
}

type Region = { readonly name: string; readonly at: number; readonly size: number }
const meet = (a: Region, b: Region): boolean =>
  a.at < b.at + linesOf(b.size) * LINE && b.at < a.at + linesOf(a.size) * LINE

/** What is wrong with the places of a plan: nothing, if it is right. Two runs are played, the second without what is cached. */
export const misplaced = (plan: Plan, commits: readonly Commit[]): readonly string[] => {
  const wrong: string[] = []
  const { nodes, inputs, outputs } = plan.flat
  const memory = newMemory(plan.bytes, (what) => wrong.push(what))
  const bytes = (id: number): number => sizeOf(nodes[id].shape) * (plan.byteGrids.has(id) ? 1 : 4)
  const value = (id: number): Region => ({
    name: `value ${id} (${nodes[id].op.name})`,
    at: plan.addresses[id],
    size: bytes(id),
  })
  const put = (r: Region): void => memory.write(r.at, r.size, r.name)
  const want = (r: Region, reader: string): void => memory.read(r.at, r.size, r.name, reader)
  const own = (s: PlannedStep, k: number) => ({
    tables: s.constants < 0 ? [] : [{ name: `tables ${k}`, at: s.constants, size: s.kernel?.constants?.length ?? 0 }],
    flags: s.flags < 0 ? [] : [{ name: `flags ${k}`, at: s.flags, size: 8 }],
    scratch: s.scratch < 0 ? [] : [{ name: `scratch ${k}`, at: s.scratch, size: s.kernel?.scratch ?? 0 }],
  })
  const given = [...new Set(inputs)].filter((id) => id >= 0).map(value)
  const lasting = [
    ...given,
    ...plan.filled.map(([id]) => value(id)),
    ...plan.steps.flatMap((s, k) => [...own(s, k).tables, ...own(s, k).flags, ...(s.split ? own(s, k).scratch : [])]),
  ]
  lasting.forEach(put)
  lasting.forEach((r) => want(r, 'the beginning'))
  const step = (s: PlannedStep, k: number): void => {
    const { tables, flags, scratch } = own(s, k)
    const args = s.args.map(value)
    for (const r of [...args, ...tables, ...flags, ...(s.split ? scratch : [])]) want(r, `step ${k}`)
    const results = s.outs.map(value)
    const written = [...results, ...scratch]
    written.forEach((a, i) =>
      written.slice(i + 1).forEach((b) => {
        if (meet(a, b)) wrong.push(`step ${k}: ${a.name} meets ${b.name}`)
      }),
    )
    for (const a of args)
      for (const w of written) {
        const mayReplace =
          a.at === w.at && results.includes(w) && (s.alone || (s.kernel?.inPlace === true && a === args[0]))
        if (meet(a, w) && !mayReplace) wrong.push(`step ${k}: ${w.name} meets operand ${a.name}`)
      }
    if (!s.split) scratch.forEach(put)
    results.forEach(put)
  }
  for (const run of [1, 2]) {
    plan.steps.forEach((s, k) => {
      if (run === 1 || !s.step.cached) step(s, k)
    })
    for (const o of outputs)
      if (nodes[o.id].op !== constOp || plan.addresses[o.id] >= 0) want(value(o.id), `the end of run ${run}`)
    // The committed values are the inputs of the next run: copied there, or made there.
    for (const c of plan.copies) if (inputs[c.input] >= 0) put(value(inputs[c.input]))
    for (const c of commits)
      if (inputs[c.input] >= 0 && plan.addresses[outputs[c.output].id] === plan.addresses[inputs[c.input]])
        put(value(inputs[c.input]))
    for (const node of nodes)
      if (node.op === inputOp && plan.addresses[node.id] >= 0) want(value(node.id), `run ${run + 1}`)
  }
  return wrong
}
