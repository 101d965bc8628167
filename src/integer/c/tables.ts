/** Constants as tables of C, small numbers packed: 4 or 2 bits each where all of a table fit. */
import { bitsFor, rangeOf, typeFor, WIDTHS, type IntegerTensor } from '../values.js'

/** A table: how it is declared, how an element is read, and its bytes. */
export type Table = {
  readonly name: string
  readonly declaration: string
  readonly read: (index: string) => string
  /** Its element type, where it is not packed. */
  readonly type: string
  readonly bytes: number
  /** Bits of a packed element; null where each has its own bytes. */
  readonly packed: 2 | 4 | null
}

const WIDEST_LINE = 110

/** Numbers in lines. */
const listed = (numbers: readonly string[]): string => {
  const lines: string[] = []
  let line = ' '
  for (const n of numbers) {
    if (line.length + n.length > WIDEST_LINE) {
      lines.push(line)
      line = ' '
    }
    line += ` ${n},`
  }
  lines.push(line)
  return lines.join('\n').replace(/,$/, '')
}

/** A whole number as C has it; the smallest of 32 bits is no literal there. */
export const literal = (v: number): string => {
  if (v === -(2 ** 31)) return '(-2147483647 - 1)'
  return Math.abs(v) > 2 ** 31 - 1 ? `INT64_C(${v})` : String(v)
}

/** Least length from which packing is worth its unpacking. */
const WORTH = 8

const packedBits = (t: IntegerTensor): 2 | 4 | null => {
  if (t.data.length < WORTH) return null
  const { bits, signed } = bitsFor(rangeOf(t.data))
  const needed = signed ? bits : bits + 1
  if (needed <= 2) return 2
  return needed <= 4 ? 4 : null
}

const pack = (data: ArrayLike<number>, bits: 2 | 4): readonly string[] => {
  const per = 8 / bits
  const out: string[] = []
  for (let i = 0; i < data.length; i += per) {
    let byte = 0
    for (let j = 0; j < per && i + j < data.length; j++) byte |= (data[i + j] & (2 ** bits - 1)) << (j * bits)
    out.push(String(byte))
  }
  return out
}

/** A constant tensor as a table; `mayPack` where it is read often enough one by one: weights. */
export const tableOf = (name: string, t: IntegerTensor, mayPack: boolean, prefix: string): Table => {
  const bits = mayPack ? packedBits(t) : null
  if (bits !== null) {
    const bytes = pack(t.data, bits)
    return {
      name,
      declaration: `static const uint8_t ${name}[${bytes.length}] = {\n${listed(bytes)}\n};`,
      read: (index) => `${prefix}_packed${bits}(${name}, ${index})`,
      type: 'uint8_t',
      bytes: bytes.length,
      packed: bits,
    }
  }
  const element = typeFor(rangeOf(t.data))
  const type = element === null ? 'int64_t' : `${element}_t`
  const numbers = Array.from(t.data, literal)
  return {
    name,
    declaration: `static const ${type} ${name}[${Math.max(1, numbers.length)}] = {\n${listed(numbers.length === 0 ? ['0'] : numbers)}\n};`,
    read: (index) => `${name}[${index}]`,
    type,
    bytes: Math.max(1, numbers.length) * (element === null ? 8 : WIDTHS[element]),
    packed: null,
  }
}

/** How a packed number is read: two's complement of few bits. */
export const unpacker = (prefix: string, bits: 2 | 4): string => {
  const [per, shift, mask, sign] = bits === 4 ? [2, 1, 15, 8] : [4, 2, 3, 2]
  return [
    `/* Number i of a table with ${per} to a byte. */`,
    `static int32_t ${prefix}_packed${bits}(const uint8_t *table, int32_t i)`,
    '{',
    `    int32_t v = (table[i >> ${shift}] >> ((i & ${per - 1}) * ${bits})) & ${mask};`,
    `    return (v ^ ${sign}) - ${sign};`,
    '}',
  ].join('\n')
}
