/** What the functions of this folder are given by users, checked where it comes in: programs, and what may be said beside them. */
import { failure } from '../src/data/error.js'
import {
  allOf,
  anyNumber,
  anything,
  demand,
  demandArguments,
  fieldProblems,
  func,
  list,
  listOf,
  nonNegative,
  oneOf,
  orNull,
  record,
  required,
  shaped,
  text,
  type Field,
} from '../src/data/fields.js'
import { tensorField } from '../src/data/tensor.js'
import { planField } from '../src/evaluator/wasm/describe.js'
import { profileField } from '../src/evaluator/wasm/profile.js'
import { demandProgram, programProblems } from '../src/graph/program.js'

/** What a quantizer's record holds: numbers by name. */
const numbersField = shaped('numbers by name', {
  scale: anyNumber,
  zeroPoint: anyNumber,
  counter: anyNumber,
  buffer: anyNumber,
  statistic: anyNumber,
  bits: anyNumber,
})
const byPath = (one: Field): Field => ({
  ...record,
  holds: (x) => record.holds(x) && Object.values(Object(x)).every((v) => one.holds(v)),
})

/** Records of a training log, as an argument. */
export const recordsField: Field = {
  ...listOf(
    shaped(
      'a record of a log',
      allOf({
        step: anyNumber,
        epoch: anyNumber,
        over: anyNumber,
        loss: anyNumber,
        accuracy: orNull(anyNumber),
        lr: orNull(anyNumber),
        quantizers: byPath(numbersField),
      }),
    ),
  ),
  says: 'the records of a log, as addEvent makes them',
  like: 'log.records',
}

/** Values of a run by node. */
const valuesField: Field = {
  says: 'a map of tensors by node, as watch collects them',
  like: 'watch(program, args).values',
  holds: (x) => x instanceof Map && [...x].every(([id, t]) => typeof id === 'number' && tensorField.holds(t)),
}

/** Values over the steps of loops. */
const overStepsField: Field = {
  says: 'what watch collects over the steps of loops',
  like: 'watch(program, args).overSteps',
  holds: (x) =>
    x instanceof Map &&
    [...x].every(([id, s]) => typeof id === 'string' && SERIES.every((k) => Array.isArray(Object(s)[k]))),
}
const SERIES = ['min', 'max', 'mean'] as const

/** A report of an export. */
const reportField: Field = {
  ...shaped('what exportReport gave, unwrapped', {
    target: required(oneOf('qcdq', 'qonnx')),
    entries: required(
      listOf(
        shaped(
          'an entry',
          allOf({
            severity: oneOf('blocking', 'warning', 'note'),
            path: text,
            op: text,
            what: text,
            instead: text,
            fix: text,
          }),
        ),
      ),
    ),
  }),
  like: 'orThrow(exportReport(…))',
}

/** Errors behind steps. */
const stepsField: Field = {
  ...listOf(
    shaped('a step with its errors', {
      step: required(text),
      errors: required(listOf(shaped('the error of a layer', { path: required(text), error: required(nonNegative) }))),
    }),
  ),
  says: 'a list of steps with their errors',
  like: "[{ step: 'calibrated', errors: orThrow(layerErrors(…)) }]",
}

/** What may be said about a program besides itself. */
export const SCENE = {
  title: text,
  outputs: anything,
  values: valuesField,
  overSteps: overStepsField,
  log: recordsField,
  profile: profileField,
  plan: planField,
  exported: reportField,
  steps: stepsField,
  nameOf: func,
}

/** Throws where a program, or what is said beside it, is not what it must be. */
export const demandScene = (
  asker: string,
  program: unknown,
  options: unknown,
  more: { readonly [name: string]: Field } = {},
): void => {
  demandProgram(asker, program)
  demand(fieldProblems(asker, options, { ...SCENE, ...more }))
}

const plan = { bits: required(byPath(nonNegative)), cost: required(nonNegative), loss: required(nonNegative) }
const SEARCH = required({
  ...shaped('what searchBits gave, unwrapped', {
    ...plan,
    front: required(listOf(shaped('a plan', plan))),
    sensitivity: required(
      shaped('what sensitivity gave', {
        float: required(anyNumber),
        layers: required(
          listOf(
            shaped('a layer', {
              path: required(text),
              weights: required(nonNegative),
              multiplications: required(nonNegative),
              actBits: required(nonNegative),
              losses: required(listOf(shaped('a loss', { bits: required(nonNegative), loss: required(anyNumber) }))),
            }),
          ),
        ),
      }),
    ),
  }),
  like: 'orThrow(searchBits(…))',
})

/** Throws where something is no search for bits, or its options aren't what they must be. */
export const demandFront = (asker: string, found: unknown, options: unknown): void => {
  demandArguments(asker, { found }, { found: SEARCH })
  demand(fieldProblems(asker, options, { title: text, unit: oneOf('bytes', 'bitOperations') }))
}

const PAIR = { title: text, sides: list }

/** Throws where something is no pair of programs, or its options aren't what they must be. */
export const demandPair = (asker: string, programs: unknown, options: unknown): void => {
  if (!Array.isArray(programs) || programs.length !== 2) throw failure(programProblems(asker, programs))
  programs.forEach((p) => demandProgram(asker, p))
  demand(fieldProblems(asker, options, PAIR))
  const { sides = [{}, {}] }: { readonly sides?: readonly unknown[] } = Object(options)
  demandArguments(
    asker,
    { sides },
    {
      sides: {
        ...list,
        says: 'a list of two records, one a program',
        like: '[{}, {}]',
        holds: (x) => Array.isArray(x) && x.length === 2,
      },
    },
  )
  sides.forEach((side) => demand(fieldProblems(`${asker}'s sides`, side, SCENE)))
}

/** What a run is given, as an argument. */
export const runArgsField: Field = required({
  ...shaped('what a run is given: { params, state, inputs }', { params: anything }),
  like: '{ params, state, inputs: x }',
})
