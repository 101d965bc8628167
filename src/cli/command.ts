/** What a sub-command is: a value. `commands/index.ts` lists them; adding one is a file there and a line. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'

/** One option of a sub-command. */
export type Option = {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  /** It may be given several times. */
  readonly multiple?: true
  /** What stands for its value in the help, `FILE`. */
  readonly value?: string
  readonly says: string
}

/** Options by name, as they are written behind `--`. */
export type Options = { readonly [name: string]: Option }

/** What was given for options. */
export type Given<O extends Options> = {
  readonly [K in keyof O]: O[K] extends { readonly type: 'boolean' }
    ? boolean
    : O[K] extends { readonly multiple: true }
      ? readonly string[]
      : string | undefined
}

/** Why a command was not carried out: 1, what it was given is wrong; 2, how it was called is. */
export type Refusal = { readonly status: 1 | 2; readonly errors: QuantErrors }

/** What a command has to say on stdout: text for people, data for `--json`; bytes instead of both where stdout is the file. */
export type Outcome = { readonly text: string; readonly json: unknown; readonly bytes?: string | Uint8Array }

/** The world of a command, which tests make up. */
export type Io = {
  readonly stdin: () => Promise<Uint8Array>
  /** Resolves once it is written; to a pipe that was closed, nothing is. */
  readonly out: (content: string | Uint8Array) => Promise<void>
  readonly err: (text: string) => void
  /** Is stderr a terminal, on which a line may be written over? */
  readonly terminal: boolean
}

export type Result<A = Outcome> = E.Either<Refusal, A>

/** How a sub-command is called. */
export type Call<O extends Options> = { readonly given: Given<O>; readonly files: readonly string[]; readonly io: Io }

/** A sub-command. */
export type Command<O extends Options = Options> = {
  /** What it does, in a line. */
  readonly says: string
  /** What stands behind its name, `PROGRAM [OTHER]`, and how many may. */
  readonly files: { readonly shown: string; readonly least: number; readonly most: number }
  readonly options: O
  /** Options that are read too, and of which `more` tells. */
  readonly own?: Options
  /** More for its help. */
  readonly more?: string
  readonly run: (call: Call<O>) => Promise<Result>
}

/** A command whose `run` knows the types of its options. */
export const command = <const O extends Options>(c: Command<O>): Command => ({
  ...c,
  // What is given was read by the very options of this command.
  run: (call) => c.run(call as Call<O>),
})

/** What was given is wrong. */
export const refused = (errors: QuantErrors): E.Either<Refusal, never> => E.left({ status: 1, errors })

/** The errors of an Either as a refusal. */
export const orRefused = E.mapLeft((errors: QuantErrors): Refusal => ({ status: 1, errors }))

/** The command was called in a way that it has not. */
export const misused = (option: string, message: string, fix: string): E.Either<Refusal, never> =>
  E.left({ status: 2, errors: [{ tag: 'ConfigError', option, path: '', message, fix }] })
