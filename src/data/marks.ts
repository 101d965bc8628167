/** What is known of a stored leaf beside its numbers: whether an optimizer may change it, and what its numbers mean. */
import { isTensor, type Tensor } from './tensor.js'

/** The marks of a leaf. They travel with the tensor, so that a state says by itself what it holds. */
export type Marks = {
  /** An optimizer may change it. */
  readonly learned?: boolean
  /** What its numbers mean, in words; nothing where a number is just a number. Two leaves with different words must not be mixed up. */
  readonly means?: string
}
/** A tensor with its marks. */
export type Marked = Tensor & Marks

/** The meaning of leaves that count: whole numbers from 0 to `BEYOND_COUNTING`. A float32 count stays at 2^24, as torch's does. */
export const COUNT = 'a count'

/** A number that no count reaches by counting. */
export const BEYOND_COUNTING = 2 ** 32

/** The meaning of learned leaves in files of version 1, which did not say it. */
export const UNTOLD = 'not said (a file of version 1)'

/** Is it a tensor? Its marks can then be asked for. */
export const isMarked = (x: unknown): x is Marked => isTensor(x)

/** The marks alone; absent ones are left out, so that a leaf without marks gets none. */
export const marksOf = ({ learned, means }: Marks): Marks => ({
  ...(learned === true ? { learned } : {}),
  ...(means === undefined ? {} : { means }),
})

/** What is wrong with a leaf that counts, in words, or null. */
export const countProblem = ({ data }: Tensor): string | null => {
  for (let i = 0; i < data.length; i++)
    if (!Number.isInteger(data[i]) || data[i] < 0 || data[i] > BEYOND_COUNTING)
      return `it counts, and holds ${data[i]}; a count is a whole number from 0 to ${BEYOND_COUNTING}`
  return null
}
