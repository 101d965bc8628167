/** Cells as code that one can paste into a test: the layer, its inputs, a run. */
import { isQuantTensor, type QuantTensor } from '../../data/quantTensor.js'
import type { Tensor } from '../../data/tensor.js'
import type { Attrs, Op } from '../../graph/op.js'
import { ops as registry } from '../../ops/index.js'
import { LIMIT, type Cell, type InputCell } from './cells.js'
import { inputsOf, isLearned, neededBy, nextOf, resultName, resultsOf } from './layerOf.js'

const number = (x: number): string => (Object.is(x, -0) ? '-0' : String(x))

const tensorText = ({ shape, data }: Tensor): string =>
  shape.length === 0
    ? `scalar(${number(data[0])})`
    : `tensorOf([${shape.join(', ')}], [${Array.from(data, number).join(', ')}])`

const quantText = (q: QuantTensor): string =>
  `{ kind: 'quant', value: ${tensorText(q.value)}, scale: ${tensorText(q.scale)}, zeroPoint: ${tensorText(q.zeroPoint)}, bitWidth: ${tensorText(q.bitWidth)}, signed: ${q.signed}, training: ${q.training} }`

/** A tensor or a quant tensor as code. */
export const dataText = (x: Tensor | QuantTensor): string => (isQuantTensor(x) ? quantText(x) : tensorText(x))

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/
/** An op as code: of the registry by its name, a user's own by the name that its record has. */
const opText = ({ name }: Op): string => {
  if (!Object.hasOwn(registry, name)) return name
  return IDENTIFIER.test(name) ? `ops.${name}` : `ops[${JSON.stringify(name)}]`
}

const attrText = (attrs: Attrs): string => (Object.keys(attrs).length === 0 ? '' : `, ${JSON.stringify(attrs)}`)

const applied = (op: Op, args: readonly string[], attrs: Attrs, kit = 'kit'): string =>
  `${kit}.apply(${opText(op)}, [${args.join(', ')}]${attrText(attrs)})`

const bodyText = (op: Op, arg: string): string => applied(op, [arg], op.examples[0].attrs, 'inner')

const cellText = (cell: Exclude<Cell, InputCell>, name: (i: number) => string): string => {
  switch (cell.kind) {
    case 'constant':
      return `kit.constant(${number(cell.value)}, [${cell.shape.join(', ')}])`
    case 'op':
      return applied(cell.op, cell.args.map(name), cell.attrs)
    case 'phase':
      return `kit.phase({ counter: ${name(cell.counter)}, limit: ${LIMIT}, warnSteps: null, args: [${name(cell.arg)}], collect: ([x], inner) => [${bodyText(cell.collect, 'x')}], learned: ([x], inner) => [${bodyText(cell.learned, 'x')}] })[0]`
    case 'scan':
      return `kit.scan({ carry: [${name(cell.carry)}], xs: [${name(cell.xs)}], length: ${cell.shape[0]}, reverse: ${cell.reverse}, body: ([c], [x], inner) => { const n = ${bodyText(cell.body, "inner.emit('add', [c, x])")}; return { carry: [n], ys: [n] } } }).ys[0]`
  }
}

const TREES = { data: 'x', param: 'params', state: 'state' } as const

const leavesText = (cells: readonly Cell[], role: 'param' | 'state'): string =>
  inputsOf(cells)
    .filter((c) => c.role === role)
    .map(
      (c) =>
        `${c.name}: { shape: [${c.shape.join(', ')}], learned: ${isLearned(cells, c)}, init: (g) => [${dataText(c.value)}, g] }`,
    )
    .join(', ')

const declarationText = ({ shape, quant }: InputCell): string =>
  quant === undefined
    ? `tensorInput([${shape.join(', ')}])`
    : `quantInput([${shape.join(', ')}], { bits: ${quant.bits}, signed: ${quant.signed}, scaleShape: [${(quant.scaleShape ?? []).join(', ')}], training: true })`

const dataOf = (cells: readonly Cell[], text: (c: InputCell) => string): string =>
  inputsOf(cells)
    .filter((c) => c.role === 'data')
    .map((c) => `${c.name}: ${text(c)}`)
    .join(', ')

/** The program of cells as code over `quantrace`. */
export const codeOf = (cells: readonly Cell[], mode: 'train' | 'eval'): string => {
  const needed = neededBy(cells)
  const name = (i: number): string => {
    const cell = cells[i]
    return cell.kind === 'input' ? `${TREES[cell.role]}.${cell.name}` : `v${i}`
  }
  const lines = cells.flatMap((c, i) =>
    c.kind === 'input' || !needed[i] ? [] : [`    const v${i} = ${cellText(c, name)}`],
  )
  const after = inputsOf(cells)
    .filter((c) => c.role === 'state')
    .map((c) => {
      const next = name(nextOf(cells, cells.indexOf(c), needed))
      return `${c.name}: ${c.name.startsWith('n') ? `kit.emit('add', [${next}, kit.constant(1)])` : next}`
    })
  const results = resultsOf(cells).map((r, k) => `${resultName(k)}: ${name(r)}`)
  return `const drawn: Layer<TensorTree, TensorTree, Record<string, Value>, Record<string, Value>> = {
  layer: 'drawn', problems: [], config: { name: 'drawn', parts: [] },
  params: { ${leavesText(cells, 'param')} },
  state: { ${leavesText(cells, 'state')} },
  apply: (params, state, x, kit) => {
${lines.join('\n')}
    return [{ ${results.join(', ')} }, { ${after.join(', ')} }]
  },
}
const program = orThrow(trace(drawn, { ${dataOf(cells, declarationText)} }, { mode: '${mode}' }))
const { params, state } = orThrow(init(drawn, 0))
const ran = run(program, { params, state, inputs: { ${dataOf(cells, (c) => dataText(c.value))} } })`
}
