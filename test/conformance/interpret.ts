/** The functions of case programs, as functions of values of the public API. */
import * as q from '../../src/index.js'
import { camel, type Arg, type Json, type Statement } from './format.js'

/** Values by name, and how a statement's arguments become values. */
export type Env = ReadonlyMap<string, q.Value | null>
type Given = q.Value | number | readonly q.Value[] | null
type Call = (args: readonly Given[], attrs: Json) => q.Value

const one = (x: Given | undefined): q.Value => {
  if (x === undefined || x === null || typeof x === 'number' || Array.isArray(x))
    throw new Error('a value was expected')
  return x as q.Value
}
const operand = (x: Given): q.Operand => (typeof x === 'number' ? x : one(x))
const many = (x: Given): readonly q.Value[] => (Array.isArray(x) ? (x as readonly q.Value[]) : [one(x)])
const num = (attrs: Json, key: string, fallback?: number): number => {
  const v = attrs[key]
  if (typeof v === 'number') return v
  if (fallback === undefined) throw new Error(`attribute ${key} is missing`)
  return fallback
}
const list = (attrs: Json, key: string): readonly number[] => {
  const v = attrs[key]
  return Array.isArray(v) ? (v as number[]) : [num(attrs, key)]
}
const opt = (attrs: Json, key: string): number | null => {
  const v = attrs[key]
  return typeof v === 'number' ? v : null
}
const dims = (attrs: Json): number | readonly number[] | undefined =>
  attrs.dim as number | readonly number[] | undefined

const unary =
  (f: (x: q.Value) => q.Value): Call =>
  ([x]) =>
    f(one(x))
const binary =
  (f: (a: q.Operand, b: q.Operand) => q.Value): Call =>
  ([a, b]) =>
    f(operand(a), operand(b))
const pair =
  (f: (a: q.Value, b: q.Value) => q.Value): Call =>
  ([a, b]) =>
    f(one(a), one(b))
const plainPair =
  (f: (a: q.Value, b: q.Operand) => q.Value): Call =>
  ([a, b]) =>
    f(one(a), operand(b))

const perAxis = (attrs: Json, key: string): { readonly [k: string]: number | readonly number[] } => {
  const v = attrs[key]
  return typeof v === 'number' || Array.isArray(v) ? { [camel(key)]: v as number | readonly number[] } : {}
}
const poolOptions = (attrs: Json): q.PoolOptions => ({
  kernelSize: attrs.kernel_size as number,
  ...perAxis(attrs, 'stride'),
  ...perAxis(attrs, 'padding'),
})
const avgOptions = (attrs: Json): q.AvgPoolOptions => ({
  ...poolOptions(attrs),
  ...(typeof attrs.count_include_pad === 'boolean' ? { countIncludePad: attrs.count_include_pad } : {}),
  divisorOverride: opt(attrs, 'divisor_override'),
})
const outputSize = (attrs: Json): number | readonly number[] => attrs.output_size as number | readonly number[]

const interpolate: Call = ([given], attrs) => {
  const x = one(given)
  const o: q.ResizeOptions = { ...perAxis(attrs, 'scale_factor'), ...perAxis(attrs, 'size') }
  const mode = typeof attrs.mode === 'string' ? attrs.mode : 'nearest'
  if (mode === 'nearest') return q.upsampleNearest(x, o)
  if (mode === 'nearest-exact') return q.upsampleNearestExact(x, o)
  if (mode !== ['linear', 'bilinear', 'trilinear'][x.shape.length - 3])
    return x.kit.fail({
      op: 'F.interpolate',
      refuse: `no mode ${mode} for ${x.shape.length} axes`,
      fix: 'choose another',
    })
  return q.upsampleLinear(x, o)
}

const flattenFrom: Call = ([x], a) => q.flatten(one(x), num(a, 'start_dim', 0))
const transpose: Call = ([x], a) => q.transpose(one(x), num(a, 'dim0'), num(a, 'dim1'))
const reshape: Call = ([x], a) => q.reshape(one(x), list(a, 'shape'))
const permute: Call = ([x], a) => q.permute(one(x), list(a, 'dims'))
/** In inference mode, as the format has it, a dropout changes nothing. */
const dropout: Call = ([x], a) => {
  if (num(a, 'p', 0.5) > 1) throw new Error('p is not a probability')
  return q.identity(one(x))
}
/** Operators whose right side is a number in our API. What a quant tensor would be refused for does not depend on it. */
const byNumber =
  (f: (x: q.Value, n: number) => q.Value): Call =>
  ([given, n]) => {
    const x = one(given)
    if (typeof n === 'number') return f(x, n)
    if (q.isQuantValue(x)) return f(x, 0)
    throw new Error('a number was expected')
  }
const needsQuant = (f: (x: q.Value) => q.Value) => unary((x) => (q.isQuantValue(x) ? f(x) : q.scale(x)))

const FUNCTIONS: { readonly [fn: string]: Call } = {
  'torch.relu': unary(q.plain.relu),
  'torch.sigmoid': unary(q.sigmoid),
  'torch.tanh': unary(q.tanh),
  'torch.abs': unary(q.plain.abs),
  'torch.neg': unary(q.plain.neg),
  'torch.round': unary(q.round),
  'torch.add': plainPair(q.plain.add),
  'torch.sub': plainPair(q.plain.sub),
  'torch.mul': plainPair(q.plain.mul),
  'torch.matmul': pair(q.matmul),
  'torch.clamp': ([x], a) => q.clamp(one(x), opt(a, 'min'), opt(a, 'max')),
  'torch.mean': ([x], a) => q.mean(one(x), dims(a)),
  'torch.sum': ([x], a) => q.sum(one(x), dims(a)),
  'torch.max': unary(q.max),
  'torch.squeeze': ([x], a) => q.squeeze(one(x), opt(a, 'dim') ?? undefined),
  'torch.unsqueeze': ([x], a) => q.unsqueeze(one(x), num(a, 'dim')),
  'torch.flatten': flattenFrom,
  'torch.reshape': reshape,
  'torch.transpose': transpose,
  'torch.permute': ([x], a) => q.plain.permute(one(x), list(a, 'dims')),
  'torch.max_pool2d': ([x], a) => q.plain.maxPool2d(one(x), poolOptions(a)),
  'torch.cat': ([xs], a) => q.cat(many(xs), num(a, 'dim', 0)),
  'torch.stack': ([xs], a) => q.stack(many(xs), num(a, 'dim', 0)),
  'F.relu': unary(q.relu),
  'F.relu6': unary(q.relu6),
  'F.hardtanh': ([x], a) => q.hardtanh(one(x), num(a, 'min_val', -1), num(a, 'max_val', 1)),
  'F.leaky_relu': ([x], a) => q.leakyRelu(one(x), num(a, 'negative_slope', 0.01)),
  'F.elu': ([x], a) => q.elu(one(x), num(a, 'alpha', 1)),
  'F.gelu': unary(q.gelu),
  'F.hardswish': unary(q.hardswish),
  'F.softmax': ([x], a) => q.softmax(one(x), num(a, 'dim')),
  'F.log_softmax': ([x], a) => q.logSoftmax(one(x), num(a, 'dim')),
  'F.max_pool1d': ([x], a) => q.maxPool(one(x), poolOptions(a), 1),
  'F.max_pool2d': ([x], a) => q.maxPool(one(x), poolOptions(a), 2),
  'F.avg_pool1d': ([x], a) => q.avgPool(one(x), poolOptions(a), 1),
  'F.adaptive_max_pool2d': ([x], a) => q.adaptiveMaxPool(one(x), outputSize(a), 2),
  'F.adaptive_avg_pool2d': ([x], a) => q.adaptiveAvgPool(one(x), outputSize(a), 2),
  'F.pad': ([x], a) => q.pad(one(x), list(a, 'pad'), num(a, 'value', 0)),
  'F.interpolate': interpolate,
  'F.pixel_shuffle': ([x], a) => q.pixelShuffle(one(x), num(a, 'upscale_factor')),
  'F.pixel_unshuffle': ([x], a) => q.pixelUnshuffle(one(x), num(a, 'downscale_factor')),
  'F.dropout': dropout,
  'F.dropout2d': dropout,
  'op.add': binary(q.add),
  'op.sub': binary(q.sub),
  'op.mul': binary(q.mul),
  'op.div': binary(q.div),
  'op.neg': unary(q.neg),
  'op.abs': unary(q.abs),
  'op.pos': unary(q.identity),
  'op.lshift': byNumber(q.shiftLeft),
  'op.pow': byNumber(q.pow),
  'op.matmul': pair(q.matmulOperator),
  'qt.view': reshape,
  'qt.reshape': reshape,
  'qt.flatten': flattenFrom,
  'qt.transpose': transpose,
  'qt.permute': permute,
  'qt.detach': needsQuant(q.detach),
  'qt.contiguous': needsQuant(q.identity),
  'qt.add': binary(q.add),
  'qt.value': unary(q.value),
  'qt.scale': unary(q.scale),
  'qt.zero_point': unary(q.zeroPoint),
  'qt.bit_width': unary(q.bitWidth),
  'qt.int': unary(q.int),
  'nn.ReLU': unary(q.relu),
  'nn.MaxPool2d': ([x], a) => q.maxPool(one(x), poolOptions(a), 2),
  'nn.AvgPool2d': ([x], a) => q.avgPool(one(x), avgOptions(a), 2),
  'nn.AdaptiveAvgPool2d': ([x], a) => q.adaptiveAvgPool(one(x), outputSize(a), 2),
  'nn.Flatten': ([x], a) => q.flatten(one(x), num(a, 'start_dim', 1)),
  'nn.Dropout': dropout,
  'nn.Identity': unary(q.identity),
  sum_squares: unary(q.sumSquares),
  cross_entropy: pair(q.crossEntropy),
}

const lookUp = (env: Env, name: string): q.Value => {
  const v = env.get(name)
  if (v === undefined || v === null) throw new Error(`the program has no value ${name}`)
  return v
}

/** The arguments of a statement as values and numbers. */
export const argumentsOf = (env: Env, args: readonly Arg[]): readonly Given[] =>
  args.map((a) => {
    if (a === null || typeof a === 'number') return a
    return typeof a === 'string' ? lookUp(env, a) : a.map((n) => lookUp(env, n))
  })

/** Runs a statement that names a function. An attribute that the function never looks at is an error of this file. */
export const callFunction = (env: Env, s: Statement): q.Value => {
  const f = FUNCTIONS[s.fn ?? '']
  if (f === undefined) throw new Error(`no function ${s.fn}`)
  const unread = new Set(Object.keys(s.attrs ?? {}))
  const attrs = new Proxy(s.attrs ?? {}, {
    get: (target, key) => (unread.delete(String(key)), Reflect.get(target, key) as unknown),
  })
  const y = f(argumentsOf(env, s.args), attrs)
  for (const key of unread) throw new Error(`${s.fn} does not know the attribute ${key}`)
  return y
}

/** Positional arguments of layers that take several, by Brevitas' names. */
const POSITIONS: { readonly [type: string]: readonly string[] } = {
  QuantRNN: ['x', 'hx'],
  QuantLSTM: ['x', 'hx', 'cx'],
  QuantGRU: ['x', 'hx'],
  QuantScaledDotProductAttention: ['query', 'key', 'value', 'attn_mask'],
  ScaledDotProductAttention: ['query', 'key', 'value', 'attn_mask'],
  QuantMultiheadAttention: ['query', 'key', 'value', 'key_padding_mask'],
}

/** Arguments as one record, those that are absent left out. */
const recordOf = (positions: readonly string[], env: Env, s: Statement): unknown => {
  const given = argumentsOf(env, s.args)
  const positional = given.map((v, i) => [camel(positions[i]), v] as const).filter(([, v]) => v !== null)
  const named = Object.entries(s.named ?? {}).map(([k, name]) => [camel(k), lookUp(env, name)] as const)
  return Object.fromEntries([...positional, ...named, ...Object.entries(s.attrs ?? {}).map(([k, v]) => [camel(k), v])])
}

/** What a layer is given: one value, a pair, a list with an axis, or a record, by its type. */
export const layerInput = (type: string, env: Env, s: Statement): unknown => {
  if (POSITIONS[type] !== undefined) return recordOf(POSITIONS[type], env, s)
  const args = argumentsOf(env, s.args)
  const { dim, ...others } = s.attrs ?? {}
  const unknown = Object.keys(type === 'QuantCat' ? others : (s.attrs ?? {}))
  if (unknown.length > 0) throw new Error(`a call of ${type} does not know the attribute ${unknown[0]}`)
  if (type === 'QuantEltwiseAdd') return args
  if (type === 'QuantCat') return { values: many(args[0]), ...(typeof dim === 'number' ? { dim } : {}) }
  return one(args[0])
}
