/** Steps that run here, by the reference of their ops. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError } from '../data/error.js'
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { failedCheck } from '../evaluator/messages.js'
import type { Place, StoredHost } from '../evaluator/precompiled/header.js'
import type { Attrs } from '../graph/attributes.js'
import { computes, isRefusal, type Op, type OpTable } from '../graph/op.js'
import { shapeOfCall } from '../graph/signature.js'
import { hostOps } from './hostOps.js'

/** Why a file can't be used: where in it, what is wrong, how to mend it. */
export type Fault = { readonly where: string; readonly message: string; readonly fix?: string }

/** One call of an execution; null: all is well. */
export type Call = () => QuantError | null

/** The elements at a place, as long as the memory is what it is. */
export const viewOf = (memory: ArrayBuffer, { at, shape }: Place): Tensor => ({
  shape,
  data: new Float32Array(memory, at, sizeOf(shape)),
})

/** All ops that host steps may need, by the name of what they compute. */
export const opsByName = (more: OpTable): ReadonlyMap<string, Op> =>
  new Map([...hostOps, ...Object.values(more)].map(computes).map((op) => [op.name, op] as const))

/** What is wrong with a call, or null. Rules of users' ops may trust their callers: one that throws has refused. */
const callProblem = (op: Op, { args, attrs, out }: StoredHost): string | null => {
  try {
    const shape = shapeOfCall(
      op,
      args.map((a) => a.shape),
      attrs as Attrs,
    )
    if (isRefusal(shape)) return `${op.name}: ${shape.refuse}`
    return sameShape(shape, out.shape) ? null : `${op.name} gives ${showShape(shape)}, not ${showShape(out.shape)}`
  } catch {
    return `${op.name} does not fit its operands and attributes`
  }
}

/** A host step as a call, if its op is known and called as its record says. */
export const hostCall = (
  host: StoredHost,
  where: string,
  memory: ArrayBuffer,
  known: ReadonlyMap<string, Op>,
): E.Either<Fault, Call> => {
  const op = known.get(host.op)
  if (op === undefined)
    return E.left({
      where: `${where}.op`,
      message: `the step of ${host.node.path === '' ? host.op : host.node.path} runs ${host.op} outside WebAssembly, and its record was not given`,
      fix: `give the record: loadPrecompiled(bytes, { ops: { ${JSON.stringify(host.op)}: … } }); ops of quantrace holds those of the library`,
    })
  const problem = callProblem(op, host)
  if (problem !== null) return E.left({ where, message: problem })
  const { id, inputs, path } = host.node
  const node = { id, inputs, path, op: { ...op, name: host.node.op } }
  const args = host.args.map((a) => viewOf(memory, a))
  const out = viewOf(memory, host.out)
  return E.right(() => {
    const failure = op.evaluate(args, host.attrs as Attrs, out)
    return failure === null ? null : failedCheck(node, failure)
  })
}
