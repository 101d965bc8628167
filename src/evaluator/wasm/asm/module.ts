/** Functions and modules: names, locals and sections around code. Source: WebAssembly Core Specification 5.5. */
import { flatten, s32, sized, text, u32, vector, type Bytes, type Code, type ValueType } from './encode.js'
import { control, f32x4, i32, relaxed } from './instructions.js'

export type { ValueType }

const CODES: { readonly [T in ValueType]: number } = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b }

/** A local variable of a function. */
export type Local<T extends ValueType = 'i32'> = {
  readonly get: Code<T>
  readonly set: (value: Code<T>) => Code
  readonly tee: (value: Code<T>) => Code<T>
  readonly index: number
}

/** Locals, one for each of the types. */
export type Locals<P extends readonly ValueType[]> = { readonly [K in keyof P]: Local<P[K]> }
/** Operands, one for each of the types. */
export type Operands<P extends readonly ValueType[]> = { readonly [K in keyof P]: Code<P[K]> }

/** Where code gets its locals. */
export type Scope = {
  /** A fresh local, 0 at the start of the function. */
  readonly local: <T extends ValueType>(type: T) => Local<T>
}

/** What the body of a function is written with. */
export type Body<P extends readonly ValueType[]> = Scope & { readonly params: Locals<P> }

/** A function of the module under construction: from operands to one result, or to `none`. */
export type Func<P extends readonly ValueType[], R extends ValueType | 'none' = 'none'> = {
  readonly index: number
  readonly call: (...args: Operands<P>) => Code<R>
}

/** How a function is declared. An exported one has a name. */
export type FuncSpec<P extends readonly ValueType[], R extends ValueType | 'none' = 'none'> = {
  readonly name?: string
  readonly params: P
  /** The type of the result; absent where there is none. */
  readonly result?: R
  readonly body: (scope: Body<P>) => Code<R>
}

/** Bytes, and where they stand in memory from the start. */
export type DataPiece = { readonly address: number; readonly bytes: Uint8Array }

/** Memory that the module imports as `env.memory`, in pages of 64 KiB. With `image` it is the module's own, exported as `memory`, and holds these pieces. */
export type MemorySpec = {
  readonly pages: number
  readonly maximum: number
  readonly shared: boolean
  readonly image?: readonly DataPiece[]
}

/** The units that a function does: from the first operand up to the second. */
export type Units = readonly ['i32', 'i32']

/** Collects functions; `bytes` assembles the module. */
export type ModuleBuilder = {
  readonly func: <const P extends readonly ValueType[], R extends ValueType | 'none' = 'none'>(
    spec: FuncSpec<P, R>,
  ) => Func<P, R>
  /** `a * b + c` in float32, with one rounding or two. */
  readonly multiplyAdd: (a: Code<'v128'>, b: Code<'v128'>, c: Code<'v128'>) => Code<'v128'>
  /** At least so many globals: mutable 32-bit integers. */
  readonly needGlobals: (count: number) => void
  /** What profilers and stack traces call a function: kept in the module's name section. */
  readonly label: (func: { readonly index: number }, text: string) => void
  readonly bytes: (memory: MemorySpec) => Uint8Array<ArrayBuffer>
}

const localAt = <T extends ValueType>(index: number): Local<T> => ({
  index,
  get: [0x20, u32(index)],
  set: (value) => [value, 0x21, u32(index)],
  tee: (value) => [value, 0x22, u32(index)],
})

/** The function at an index. */
export const funcAt = <P extends readonly ValueType[], R extends ValueType | 'none'>(index: number): Func<P, R> => ({
  index,
  call: (...args) => [[...args], 0x10, u32(index)],
})

/** Locals as the binary format wants them: runs of one type. */
const runs = (types: readonly ValueType[]): Bytes => {
  const groups: { readonly type: ValueType; n: number }[] = []
  for (const type of types) {
    const last = groups[groups.length - 1]
    if (last !== undefined && last.type === type) last.n++
    else groups.push({ type, n: 1 })
  }
  return vector(groups.map((g) => [u32(g.n), CODES[g.type]]))
}

const section = (id: number, content: Bytes): Bytes => [id, sized(content)]

/** An active segment of data: it is copied to its address when the module is instantiated. */
const placedAt = ({ address, bytes }: DataPiece): Bytes => [0, 0x41, s32(address), 0x0b, u32(bytes.length), bytes]

/** The custom section `name` with the names of functions, in the order of their indices (Core Specification, appendix 7.4). */
const nameSection = (labels: ReadonlyMap<number, string>): Bytes => {
  if (labels.size === 0) return []
  const entries = [...labels].sort(([a], [b]) => a - b).map(([index, label]) => [u32(index), text(label)])
  return section(0, [text('name'), 1, sized(vector(entries))])
}

/** Starts an empty module. `fma`: products are added unrounded, by relaxed SIMD. */
export const newModule = ({ fma = false }: { readonly fma?: boolean } = {}): ModuleBuilder => {
  const types: Bytes[] = []
  const typeKeys = new Map<string, number>()
  const labels = new Map<number, string>()
  const functions: { readonly type: number; readonly name: string | undefined; readonly code: Bytes }[] = []
  const typeOf = (params: readonly ValueType[], results: readonly ValueType[]): number => {
    const key = `${params.join()}>${results.join()}`
    const known = typeKeys.get(key)
    if (known !== undefined) return known
    typeKeys.set(key, types.length)
    return types.push([0x60, vector(params.map((t) => CODES[t])), vector(results.map((t) => CODES[t]))]) - 1
  }
  let globals = 0
  return {
    needGlobals: (count) => {
      globals = Math.max(globals, count)
    },
    multiplyAdd: (a, b, c) => (fma ? relaxed.f32x4_madd(a, b, c) : f32x4.add(c, f32x4.mul(a, b))),
    func: <const P extends readonly ValueType[], R extends ValueType | 'none' = 'none'>({
      name,
      params,
      result,
      body,
    }: FuncSpec<P, R>): Func<P, R> => {
      const locals: ValueType[] = []
      const local = <T extends ValueType>(type: T): Local<T> => localAt(params.length + locals.push(type) - 1)
      // A list made of a tuple is a tuple, which `map` forgets.
      const code = body({ params: params.map((_, i) => localAt(i)) as Locals<ValueType[]> as Locals<P>, local })
      const results: readonly ValueType[] = result === undefined || result === 'none' ? [] : [result]
      const index = functions.push({ type: typeOf(params, results), name, code: sized([runs(locals), code, 0x0b]) }) - 1
      return funcAt(index)
    },
    label: ({ index }, label) => void labels.set(index, label),
    bytes: ({ pages, maximum, shared, image }) => {
      const exported = functions.flatMap((f, i): readonly Bytes[] =>
        f.name === undefined ? [] : [[text(f.name), 0x00, u32(i)]],
      )
      const limits: Bytes = [shared ? 0x03 : 0x01, u32(pages), u32(maximum)]
      const own = image !== undefined
      return flatten([
        [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, vector(types)),
        own ? [] : section(2, vector([[text('env'), text('memory'), 0x02, limits]])),
        section(3, vector(functions.map((f) => u32(f.type)))),
        own ? section(5, vector([limits])) : [],
        globals === 0 ? [] : section(6, vector(Array.from({ length: globals }, () => [CODES.i32, 1, 0x41, 0, 0x0b]))),
        section(7, vector(own ? [...exported, [text('memory'), 0x02, 0]] : exported)),
        section(10, vector(functions.map((f) => f.code))),
        own ? section(11, vector(image.map(placedAt))) : [],
        // Who keeps a file of it wants few bytes.
        own ? [] : nameSection(labels),
      ]) as Uint8Array<ArrayBuffer>
    },
  }
}

/** `for (at = from; at < to; at += step) body`, unsigned; `to` is evaluated at each turn, so give a local or a constant. */
export const forLoop = (at: Local, from: Code<'i32'>, to: Code<'i32'>, step: number, body: Code): Code => [
  at.set(from),
  control.block(
    control.loop([
      control.br_if(1, i32.ge_u(at.get, to)),
      body,
      at.set(i32.add(at.get, i32.const(step))),
      control.br(0),
    ]),
  ),
]
