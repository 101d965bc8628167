/** Every way in which quantrace can refuse, as one tagged union. A message says what was asked and what is wrong; `fix` says how to mend it. */
import type { Either } from 'fp-ts/lib/Either.js'

type Common = {
  /** Layer path, `net.conv1`, or the empty string at the top level. */
  readonly path: string
  /** What was asked, and what is missing or wrong. */
  readonly message: string
  /** How to mend it; never empty. */
  readonly fix: string
}

/** One thing that is wrong: of what kind, where, and how to mend it. */
export type QuantError =
  /** Shapes of operands don't fit an operation. */
  | (Common & { readonly tag: 'ShapeError'; readonly op: string })
  /** A layer option is missing, unknown or out of range. */
  | (Common & { readonly tag: 'ConfigError'; readonly option: string })
  /** A layer can't give what was asked of it (for instance a quant tensor). */
  | (Common & { readonly tag: 'LayerError'; readonly layer: string })
  /** Quantization metadata of operands don't fit an operation. */
  | (Common & { readonly tag: 'MetadataError'; readonly op: string })
  /** State was not threaded linearly: used twice, or an old one handed back. */
  | (Common & { readonly tag: 'StateError'; readonly first: string; readonly second: string })
  /** A check that only numbers can decide failed during a run. `nodes` are the compared nodes. */
  | (Common & { readonly tag: 'CheckFailed'; readonly op: string; readonly nodes: readonly number[] })
  /** A run was given arguments that don't fit the program. */
  | (Common & { readonly tag: 'InputError'; readonly input: string })
  /** No gradient is defined here. */
  | (Common & { readonly tag: 'NotDifferentiable'; readonly op: string })
  /** A debug run was given a NaN, or met the first node that makes a NaN or an infinity. */
  | (Common & { readonly tag: 'NonFinite'; readonly op: string; readonly node: number })
  /** A file or text isn't what it should be. */
  | (Common & { readonly tag: 'ParseError'; readonly where: string })
  /** A program can't be said in another format (`quantrace/onnx`); `op` is the primitive that has no place there. */
  | (Common & { readonly tag: 'ExportError'; readonly op: string })
  /** A foreign model can't be read (`quantrace/onnx`); `op` is the operator there that has no place here, `path` its node. */
  | (Common & { readonly tag: 'ImportError'; readonly op: string })
  /** A file can't be read or written (`quantrace/node`): the disk is full, the folder isn't there, a right is missing. */
  | (Common & { readonly tag: 'FileError'; readonly file: string })
  /** A backend can't run this program on this machine, or what it holds was disposed of. */
  | (Common & { readonly tag: 'BackendError'; readonly backend: string })
  /** A bug of ours. */
  | (Common & { readonly tag: 'Internal' })

/** All errors found, at least one. */
export type QuantErrors = readonly QuantError[]

/** Something worth knowing that does not stop a run. */
export type QuantWarning = {
  /** Evaluated before collection of statistics ended: the running average stands in for the learned value. */
  readonly tag: 'StillCollecting'
  readonly path: string
  readonly counter: number
  readonly collectStatsSteps: number
  readonly message: string
}

const isText = (x: unknown): boolean => typeof x === 'string'
const isError = (x: unknown): boolean =>
  typeof x === 'object' &&
  x !== null &&
  'tag' in x &&
  'path' in x &&
  'message' in x &&
  'fix' in x &&
  [x.tag, x.path, x.message, x.fix].every(isText)

const areErrors = (x: unknown): boolean => Array.isArray(x) && x.every(isError)

/** What was given instead of errors. */
const noErrors = (asker: string, wanted: string): QuantFailure =>
  failure([
    {
      tag: 'InputError',
      input: 'errors',
      path: '',
      message: `${asker} takes ${wanted}, and was given something else`,
      fix: "give what stands in a Left: explainAll(either.left), where either._tag is 'Left'",
    },
  ])

const show = (error: QuantError): string =>
  `${error.tag}${error.path === '' ? '' : ` in ${error.path}`}: ${error.message}\n  fix: ${error.fix}`

/** An error as text for people: what, where, and the fix. */
export const explain = (error: QuantError): string => {
  if (!isError(error)) throw noErrors('explain', 'one error of this library')
  return show(error)
}

/** Several errors as text, one paragraph each. */
export const explainAll = (errors: QuantErrors): string => {
  if (!areErrors(errors)) throw noErrors('explainAll', 'a list of errors of this library')
  return errors.map(show).join('\n')
}

/** What `orThrow` throws: an Error whose message is `explainAll(errors)`. */
export type QuantFailure = Error & { readonly errors: QuantErrors }

/** Errors as an exception, for places that return no `Either`. */
export const failure = (errors: QuantErrors): QuantFailure =>
  !areErrors(errors)
    ? noErrors('failure', 'a list of errors of this library')
    : Object.assign(new Error(errors.map(show).join('\n')), { name: 'QuantFailure', errors })

/** Was this thrown by `failure`? */
export const isFailure = (x: unknown): x is QuantFailure =>
  x instanceof Error && x.name === 'QuantFailure' && 'errors' in x

/**
 * What an `Either` of this library holds, or a `QuantFailure` thrown. For scripts, tests and the edge of a program; inside one, `E.chain` and `pipe`
 * keep errors as values.
 */
export const orThrow = <A>(either: Either<QuantErrors, A>): A => {
  // What plain JavaScript gives may be no Either.
  const given: Either<QuantErrors, A> | null | undefined = either
  if (given?._tag === 'Right') return given.right
  throw failure(given?._tag === 'Left' ? given.left : notEither(given))
}

const notEither = (given: unknown): QuantErrors => [
  {
    tag: 'InputError',
    input: 'either',
    path: '',
    message: `orThrow unwraps an Either, and was given ${given instanceof Promise ? 'a promise' : typeof given}`,
    fix: 'give what trace, init, run, … returned: awaited, and called with all that it takes',
  },
]
