/** Functions and modules: names, locals and sections around code. Source: WebAssembly Core Specification 5.5. */
import { flatten, s32, sized, text, u32, vector, type Code } from './encode.js'
import { control, i32 } from './instructions.js'

/** Types of locals, parameters and results. */
export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'
const CODES: { readonly [T in ValueType]: number } = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b }

/** A local variable of a function. */
export type Local = {
  readonly get: Code
  readonly set: (value: Code) => Code
  readonly tee: (value: Code) => Code
  readonly index: number
}

/** What the body of a function is written with. */
export type Scope = {
  readonly params: readonly Local[]
  /** A fresh local, 0 at the start of the function. */
  readonly local: (type: ValueType) => Local
}

/** A function of the module under construction. */
export type Func = { readonly index: number; readonly call: (...args: readonly Code[]) => Code }

/** How a function is declared. An exported one has a name. */
export type FuncSpec = {
  readonly name?: string
  readonly params?: readonly ValueType[]
  readonly results?: readonly ValueType[]
  readonly body: (scope: Scope) => Code
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

/** Collects functions; `bytes` assembles the module. */
export type ModuleBuilder = {
  readonly func: (spec: FuncSpec) => Func
  readonly bytes: (memory: MemorySpec) => Uint8Array<ArrayBuffer>
}

const localAt = (index: number): Local => ({
  index,
  get: [0x20, u32(index)],
  set: (value) => [value, 0x21, u32(index)],
  tee: (value) => [value, 0x22, u32(index)],
})

/** Locals as the binary format wants them: runs of one type. */
const runs = (types: readonly ValueType[]): Code => {
  const groups: { readonly type: ValueType; n: number }[] = []
  for (const type of types) {
    const last = groups[groups.length - 1]
    if (last !== undefined && last.type === type) last.n++
    else groups.push({ type, n: 1 })
  }
  return vector(groups.map((g) => [u32(g.n), CODES[g.type]]))
}

const section = (id: number, content: Code): Code => [id, sized(content)]

/** An active segment of data: it is copied to its address when the module is instantiated. */
const placedAt = ({ address, bytes }: DataPiece): Code => [0, 0x41, s32(address), 0x0b, u32(bytes.length), bytes]

/** Starts an empty module. */
export const newModule = (): ModuleBuilder => {
  const types: Code[] = []
  const typeKeys = new Map<string, number>()
  const functions: { readonly type: number; readonly name: string | undefined; readonly code: Code }[] = []
  const typeOf = (params: readonly ValueType[], results: readonly ValueType[]): number => {
    const key = `${params.join()}>${results.join()}`
    const known = typeKeys.get(key)
    if (known !== undefined) return known
    typeKeys.set(key, types.length)
    return types.push([0x60, vector(params.map((t) => CODES[t])), vector(results.map((t) => CODES[t]))]) - 1
  }
  return {
    func: ({ name, params = [], results = [], body }) => {
      const locals: ValueType[] = []
      const local = (type: ValueType): Local => localAt(params.length + locals.push(type) - 1)
      const code = body({ params: params.map((_, i) => localAt(i)), local })
      const index = functions.push({ type: typeOf(params, results), name, code: sized([runs(locals), code, 0x0b]) }) - 1
      return { index, call: (...args) => [args, 0x10, u32(index)] }
    },
    bytes: ({ pages, maximum, shared, image }) => {
      const exported = functions.flatMap((f, i): readonly Code[] =>
        f.name === undefined ? [] : [[text(f.name), 0x00, u32(i)]],
      )
      const limits: Code = [shared ? 0x03 : 0x01, u32(pages), u32(maximum)]
      const own = image !== undefined
      return flatten([
        [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, vector(types)),
        own ? [] : section(2, vector([[text('env'), text('memory'), 0x02, limits]])),
        section(3, vector(functions.map((f) => u32(f.type)))),
        own ? section(5, vector([limits])) : [],
        section(7, vector(own ? [...exported, [text('memory'), 0x02, 0]] : exported)),
        section(10, vector(functions.map((f) => f.code))),
        own ? section(11, vector(image.map(placedAt))) : [],
      ]) as Uint8Array<ArrayBuffer>
    },
  }
}

/** `for (at = from; at < to; at += step) body`, unsigned; `to` is evaluated at each turn, so give a local or a constant. */
export const forLoop = (at: Local, from: Code, to: Code, step: number, body: Code): Code => [
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
