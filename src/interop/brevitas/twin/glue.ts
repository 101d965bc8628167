/** What stands between the layers: primitives of a trace as expressions of torch and Brevitas. */
import type { Node } from '../../../graph/graph.js'
import { numberLiteral, textLiteral, tupleLiteral } from './python.js'
import type { Import } from './quantizers.js'

/** What a rule is given. */
export type Gluing = {
  readonly node: Node
  /** The operands as expressions, computed on demand; one that is unused is not written. */
  readonly arg: (i: number) => string
  readonly inputs: readonly Node[]
  /** Of sizes that follow the batch: -1 where one does, null where several do. */
  readonly sizes: (key: string) => readonly number[] | null
  readonly use: (...wanted: Import) => void
}

/** An expression; `same` for an op that hands its operand on; a reason why there is none. */
export type Glued = string | { readonly same: string } | { readonly no: string; readonly fix: string }
/** How one primitive is said. */
export type Rule = (g: Gluing) => Glued

const no = (why: string, fix: string): Glued => ({ no: why, fix })

const ofBatch: Glued = no(
  'a size in it depends on the number of samples',
  'write it with sizes of single samples, so that any batch goes through',
)

const attr = (g: Gluing, key: string): unknown => g.node.attrs[key]
const num = (g: Gluing, key: string, float = false): string => numberLiteral(Number(attr(g, key)), float)
const list = (g: Gluing, key: string): readonly number[] => {
  const v = attr(g, key)
  return Array.isArray(v) ? v.map(Number) : []
}
const tuple = (numbers: readonly number[]): string => tupleLiteral(numbers.map((n) => numberLiteral(n)))
/** One number where all axes agree. */
const axes = (numbers: readonly number[]): string =>
  new Set(numbers).size === 1 ? numberLiteral(numbers[0]) : tuple(numbers)

const infix =
  (sign: string): Rule =>
  (g) =>
    `${g.arg(0)} ${sign} ${g.arg(1)}`

const fn =
  (name: string, ...more: readonly (readonly [keyword: string, key: string])[]): Rule =>
  (g) =>
    `${name}(${[g.arg(0), ...more.map(([keyword, key]) => `${keyword}=${num(g, key)}`)].join(', ')})`

const both =
  (name: string): Rule =>
  (g) =>
    `${name}(${g.arg(0)}, ${g.arg(1)})`

const imported =
  (module: string, name: string): Rule =>
  (g) => {
    g.use(module, name)
    return `${name}(${g.arg(0)})`
  }
const straight = (name: string): Rule => imported('brevitas.function.ops_ste', name)

const same: Rule = (g) => ({ same: g.arg(0) })

/** A bound that may be absent. */
const bound = (g: Gluing, key: string, absent: string): string =>
  typeof attr(g, key) === 'number' ? num(g, key, true) : absent

/** What Brevitas has no name for: corrected versions of its quirks. */
const quirky =
  (rule: Rule): Rule =>
  (g) =>
    attr(g, 'correct') === true
      ? no(
          'it corrects a quirk of Brevitas, which Brevitas itself does not',
          'use the function without Correct in its name',
        )
      : rule(g)

const reshape: Rule = (g) => {
  const sizes = g.sizes('shape')
  return sizes === null ? ofBatch : `${g.arg(0)}.reshape(${tuple(sizes)})`
}

const reduced =
  (name: string): Rule =>
  (g) => {
    const dims = list(g, 'dims')
    const keep = attr(g, 'keepdim') === true ? ', keepdim=True' : ''
    if (dims.length === 0) return { same: g.arg(0) }
    return dims.length === g.inputs[0].shape.length && keep === ''
      ? `${name}(${g.arg(0)})`
      : `${name}(${g.arg(0)}, dim=${tuple(dims)}${keep})`
  }

const along =
  (name: string): Rule =>
  (g) =>
    `${name}(${g.arg(0)}, dim=${num(g, 'dim')})`

/** `name1d`, `2d`, `3d` by the number of pooled axes. */
const pool =
  (name: string, key: string, args: (g: Gluing) => readonly string[]): Rule =>
  (g) =>
    `F.${name}${list(g, key).length}d(${[g.arg(0), ...args(g)].join(', ')})`

const window = (g: Gluing): readonly string[] => [
  axes(list(g, 'kernel')),
  `stride=${axes(list(g, 'stride'))}`,
  ...(list(g, 'padding').some((p) => p !== 0) ? [`padding=${axes(list(g, 'padding'))}`] : []),
  ...(attr(g, 'ceilMode') === true ? ['ceil_mode=True'] : []),
]

const maxPool = pool('max_pool', 'kernel', (g) => [
  ...window(g),
  ...(list(g, 'dilation').some((d) => d !== 1) ? [`dilation=${axes(list(g, 'dilation'))}`] : []),
])
/** All by place: Brevitas' own average over two axes of a quant tensor takes no keyword and has no default. */
const averages = pool('avg_pool', 'kernel', (g) => [
  axes(list(g, 'kernel')),
  axes(list(g, 'stride')),
  axes(list(g, 'padding')),
  attr(g, 'ceilMode') === true ? 'True' : 'False',
  attr(g, 'countIncludePad') === false ? 'False' : 'True',
  ...(list(g, 'kernel').length === 1
    ? []
    : [typeof attr(g, 'divisorOverride') === 'number' ? num(g, 'divisorOverride') : 'None']),
])

const pad: Rule = (g) => {
  const pairs = (Array.isArray(attr(g, 'pad')) ? (attr(g, 'pad') as readonly (readonly number[])[]) : []).map((p) => [
    ...p,
  ])
  const first = pairs.findIndex((p) => p.some((n) => n !== 0))
  const widths = (first < 0 ? pairs.slice(-1) : pairs.slice(first)).reverse().flat()
  const mode = String(attr(g, 'mode'))
  return `F.pad(${g.arg(0)}, ${tuple(widths)}, ${mode === 'constant' ? `value=${num(g, 'value', true)}` : `mode=${textLiteral(mode)}`})`
}

const resized =
  (mode: (rank: number) => string): Rule =>
  (g) => {
    const scales = attr(g, 'scales')
    const byFactor = Array.isArray(scales) && scales.every((s) => typeof s === 'number')
    const size = byFactor ? `scale_factor=${axes(list(g, 'scales'))}` : `size=${tuple(list(g, 'size'))}`
    const corners = attr(g, 'alignCorners') === true ? ', align_corners=True' : ''
    return `F.interpolate(${g.arg(0)}, ${size}, mode=${textLiteral(mode(list(g, 'size').length))}${corners})`
  }

const product = (g: Gluing, name: string, more: readonly string[]): string =>
  `F.${name}${list(g, 'stride').length}d(${[g.arg(0), g.arg(1), `stride=${axes(list(g, 'stride'))}`, ...more, `dilation=${axes(list(g, 'dilation'))}`, `groups=${num(g, 'groups')}`].join(', ')})`

const conv: Rule = (g) => {
  const pairs = (attr(g, 'padding') as readonly (readonly number[])[]) ?? []
  return pairs.every(([a, b]) => a === b)
    ? product(g, 'conv', [`padding=${axes(pairs.map(([a]) => a))}`])
    : no('its padding differs before and behind an axis', 'pad first, with pad')
}

const QUANTIZER = () =>
  no(
    'it belongs to a quantizer of your own, which no class of Brevitas is',
    'use a preset, with withOptions for what differs',
  )
const RANDOM = () => no('it draws random numbers', 'use the layer Dropout')

/** Primitives that a forward's own functions are made of. What is absent has no counterpart. */
export const glue: { readonly [op: string]: Rule | undefined } = {
  abs: fn('torch.abs'),
  adaptiveAvgPool: quirky(pool('adaptive_avg_pool', 'outputSize', (g) => [axes(list(g, 'outputSize'))])),
  adaptiveMaxPool: pool('adaptive_max_pool', 'outputSize', (g) => [axes(list(g, 'outputSize'))]),
  add: infix('+'),
  avgPool: quirky(averages),
  bernoulliMask: RANDOM,
  binaryQuantize: QUANTIZER,
  binarySign: imported('brevitas.function.ops', 'binary_sign'),
  broadcastTo: (g) => {
    const sizes = g.sizes('shape')
    return sizes === null || sizes.includes(-1) ? ofBatch : `${g.arg(0)}.expand(${tuple(sizes)})`
  },
  ceil: fn('torch.ceil'),
  'ceil~identity': straight('ceil_ste'),
  checkClose: same,
  checkFinite: same,
  checkValid: same,
  checkZero: same,
  clamp: (g) => `torch.clamp(${g.arg(0)}, min=${bound(g, 'min', 'None')}, max=${bound(g, 'max', 'None')})`,
  concat: (g) => `torch.cat([${g.inputs.map((_, i) => g.arg(i)).join(', ')}], dim=${num(g, 'dim')})`,
  conv,
  convTranspose: quirky((g) =>
    product(g, 'conv_transpose', [
      `padding=${axes(list(g, 'padding'))}`,
      `output_padding=${axes(list(g, 'outputPadding'))}`,
    ]),
  ),
  delay: QUANTIZER,
  dequantize: (g) => `${g.arg(0)}.value`,
  detach: (g) => `${g.arg(0)}.detach()`,
  div: infix('/'),
  dpuRound: imported('brevitas.function.ops', 'dpu_round'),
  'dpuRound~identity': straight('dpu_round_ste'),
  dropout: RANDOM,
  elu: fn('F.elu', ['alpha', 'alpha']),
  equal: (g) => `(${g.arg(0)} == ${g.arg(1)}).float()`,
  erf: fn('torch.erf'),
  exp: fn('torch.exp'),
  exp2: fn('torch.exp2'),
  floor: fn('torch.floor'),
  'floor~identity': straight('floor_ste'),
  fromSteps: QUANTIZER,
  gatherLast: (g) => `torch.gather(${g.arg(0)}, 1, ${g.arg(1)}.long().unsqueeze(1)).squeeze(1)`,
  gelu: fn('F.gelu'),
  hardswish: fn('F.hardswish'),
  hardtanh: (g) =>
    `F.hardtanh(${g.arg(0)}, ${bound(g, 'minVal', 'float("-inf")')}, ${bound(g, 'maxVal', 'float("inf")')})`,
  identity: same,
  leakyRelu: fn('F.leaky_relu', ['negative_slope', 'negativeSlope']),
  less: (g) => `(${g.arg(0)} < ${g.arg(1)}).float()`,
  lessEqual: (g) => `(${g.arg(0)} <= ${g.arg(1)}).float()`,
  linear: both('F.linear'),
  log: fn('torch.log'),
  log2: fn('torch.log2'),
  logSoftmax: along('F.log_softmax'),
  matmul: both('torch.matmul'),
  maxAll: fn('torch.max'),
  maxLast: (g) => `torch.max(${g.arg(0)}, dim=-1).values`,
  maxPool,
  maximum: both('torch.maximum'),
  mean: reduced('torch.mean'),
  minimum: both('torch.minimum'),
  mul: infix('*'),
  neg: (g) => `-${g.arg(0)}`,
  pad,
  permute: (g) => `${g.arg(0)}.permute(${tuple(list(g, 'dims'))})`,
  pixelShuffle: (g) => `F.pixel_shuffle(${g.arg(0)}, ${num(g, 'factor')})`,
  pixelUnshuffle: (g) => `F.pixel_unshuffle(${g.arg(0)}, ${num(g, 'factor')})`,
  pow: infix('**'),
  quantAbs: quirky((g) => `abs(${g.arg(0)})`),
  quantNeg: quirky((g) => `-${g.arg(0)}`),
  quantize: QUANTIZER,
  relu: fn('F.relu'),
  relu6: fn('F.relu6'),
  reshape,
  round: fn('torch.round'),
  'round~identity': straight('round_ste'),
  roundToZero: fn('torch.trunc'),
  'roundToZero~identity': straight('round_to_zero_ste'),
  select: (g) => `torch.where(${g.arg(0)} != 0, ${g.arg(1)}, ${g.arg(2)})`,
  sigmoid: fn('torch.sigmoid'),
  sign: fn('torch.sign'),
  slice: (g) =>
    `torch.narrow(${g.arg(0)}, ${num(g, 'dim')}, ${num(g, 'start')}, ${Number(attr(g, 'end')) - Number(attr(g, 'start'))})`,
  snapToGrid: QUANTIZER,
  softmax: along('F.softmax'),
  softsign: fn('F.softsign'),
  sqrt: fn('torch.sqrt'),
  sub: infix('-'),
  sum: reduced('torch.sum'),
  tanh: fn('torch.tanh'),
  upsampleLinear: resized((rank) => ['linear', 'bilinear', 'trilinear'][rank - 1] ?? 'linear'),
  upsampleNearest: resized(() => 'nearest'),
  upsampleNearestExact: resized(() => 'nearest-exact'),
}
