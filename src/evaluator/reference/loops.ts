/** Loops by the reference, for backends that plan: all that a loop gives, or one result alone. */
import * as E from 'fp-ts/lib/Either.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Graph, Node } from '../../graph/graph.js'
import { evaluate, evaluateScan, liveNodes, NOBODY, sliceOf } from './reference.js'

/** Which outputs of a body must be known for some of them to be: theirs, and those of carries that feed them. */
const outputsFor = (body: Graph, carries: number, index: number): readonly number[] => {
  const wanted = new Set([index])
  for (;;) {
    const live = new Uint8Array(body.nodes.length)
    for (const i of wanted) live[body.outputs[i]] = 1
    for (let n = body.nodes.length - 1; n >= 0; n--)
      if (live[n] === 1) for (const id of body.nodes[n].inputs) live[id] = 1
    const before = wanted.size
    for (let c = 0; c < carries; c++) if (live[body.inputs[c]] === 1) wanted.add(c)
    if (wanted.size === before) return [...wanted].sort((a, b) => a - b)
  }
}

/** One output of a loop, computed without what it does not depend on; operands are asked for as they are needed. */
export const oneOfLoop = (node: Node, index: number): ((arg: (operand: number) => Tensor) => Float32Array) => {
  const [body] = node.branches ?? []
  const [carries, xs, length] = [node.attrs.carries, node.attrs.xs, node.attrs.length].map(Number)
  return (arg) => {
    if (body === undefined) return new Float32Array(0)
    const outputs = outputsFor(body, carries, index)
    const own = liveNodes({
      ...body,
      nodes: body.nodes.map((n) => (n.op.guards === true ? { ...n, op: { ...n.op, guards: false } } : n)),
      outputs: outputs.map((o) => body.outputs[o]),
    })
    const args = node.inputs.map((_, i): Tensor | null => (own.live[body.inputs[i]] === 1 ? arg(i) : null))
    const nothing: Tensor = { shape: [0], data: new Float32Array(0) }
    let carry = args.slice(0, carries)
    let last: Tensor = nothing
    const stack: Float32Array[] = []
    for (let k = 0; k < length; k++) {
      const t = node.attrs.reverse === true ? length - 1 - k : k
      const slices = args.slice(carries, carries + xs).map((x) => (x === null ? null : sliceOf(x, t)))
      const given = [...carry, ...slices, ...args.slice(carries + xs)].map((a) => a ?? nothing)
      const done = evaluate(own, given, { options: {}, warnings: [] }, NOBODY)
      if (E.isLeft(done)) return new Float32Array(sizeOf(body.nodes[body.outputs[index]].shape)).fill(NaN)
      const { right } = done
      carry = carry.map((c, i) => (outputs.includes(i) ? right[outputs.indexOf(i)] : c))
      last = right[outputs.indexOf(index)]
      stack[t] = last.data
    }
    if (index < carries) return last.data
    const all = new Float32Array(stack.reduce((n, d) => n + d.length, 0))
    stack.forEach((d, t) => all.set(d, t * d.length))
    return all
  }
}

/** Runs a loop: results that are wanted are written into their tensors; null stands for one that isn't. Gives the message of a check that failed, or null. */
export const loopByReference = (
  loop: Node,
): ((args: readonly Tensor[], outs: readonly (Tensor | null)[]) => string | null) => {
  const bodies = (loop.branches ?? []).map(liveNodes)
  return (args, outs) => {
    const done = evaluateScan(loop, bodies[0], args, { options: {}, warnings: [] }, NOBODY)
    if (E.isLeft(done)) return done.left.message
    done.right.forEach((t, i) => outs[i]?.data.set(t.data))
    return null
  }
}
