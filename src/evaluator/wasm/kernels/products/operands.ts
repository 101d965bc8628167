/** Operands of a product in words of 32 bits: numbers, pairs of 16-bit integers, or four bytes. */
import type { ByteOperand } from '../../kernel.js'
import type { Place } from './layout.js'
import type { ByteMac, Mac } from './tile.js'

/** Operands of linear; of integers, with a factor for each column. */
export type LinearOperands = {
  readonly mac: 'f32' | 'i16' | Pick<ByteMac, 'split'>
  readonly x: Place
  readonly w: Place
  readonly scales?: Place
}

/** How many integers a word holds. */
export const perWord = (bytes: ByteOperand | null): 2 | 4 => (bytes === null || bytes.dot === 'i16' ? 2 : 4)

/** How integers are multiplied. */
export const integerMac = (bytes: ByteOperand | null): LinearOperands['mac'] => {
  if (bytes === null || bytes.dot === 'i16') return 'i16'
  if (bytes.dot === 'i8') return { split: null }
  return { split: bytes.signed ? 'signed' : 'unsigned' }
}

/** What a kernel of integers is called by. */
export const integerName = (bytes: ByteOperand | null): string => (bytes === null ? 'i16' : `bytes ${bytes.dot}`)

/** How a product multiplies whose first factor of the program is its operand a or b. */
export const macOf = (mac: LinearOperands['mac'], x: 'a' | 'b'): Mac =>
  typeof mac === 'string' ? mac : { x, split: mac.split }
