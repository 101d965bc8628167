/** What the rules want of each layer, before anything is known of what flows where. */
import type { QuantErrors } from '../data/error.js'
import type { AnyLayer } from '../nn/layers/layer.js'
import { layersBelow } from '../nn/merging/places.js'
import { against, draftOf, quantizedForm, quantizesActivations, type Around, type Draft } from './convert.js'
import { choiceOf, type Choice, type Rule } from './rules.js'

/** Why a layer is left float, and how to mend it. */
export type LeftAs = { readonly why: string; readonly fix: string }

/** A layer that is to be quantized. */
export type Job = { readonly path: string; readonly draft: Draft; readonly choice: Choice }
/** What is to be done with each layer. */
export type Plan = { readonly jobs: ReadonlyMap<string, Job>; readonly left: ReadonlyMap<string, LeftAs> }

/** Said of layers that have no quantized form, before it is known whether anything is lost there. */
export const NO_TWIN: LeftAs = {
  why: 'it has no quantized form',
  fix: 'what comes behind it quantizes its own input; write a quantizer behind it (QuantIdentity) for another place',
}
const ALREADY: LeftAs = { why: 'it has quantizers of its own already', fix: 'leave it, or quantize the float layer' }
const BY_RULE: LeftAs = { why: 'the rules leave it float', fix: 'take the rule out that says to: null' }

/** Layers of a network by path; a network that is one layer stands at the empty path. */
export const placed = (net: AnyLayer): readonly { readonly path: string; readonly layer: AnyLayer }[] => {
  const found = layersBelow(net)
  return found.length > 0 || net.source?.within !== undefined ? found : [{ path: '', layer: net }]
}

/** A layer of whose surroundings nothing is known yet. */
export const ALONE: Around = { input: false, output: false, unsigned: false }

const decide = (job: Job, jobs: Map<string, Job>, left: Map<string, LeftAs>): void => {
  const { draft, choice, path } = job
  const acts = quantizesActivations(choice, false) || quantizesActivations(choice, true)
  if (draft.role === 'weights' && (choice.weightQuant ?? null) === null) {
    left.set(path, { why: 'no rule says a weightQuant for it', fix: 'add to: { weightQuant: … }' })
    return
  }
  if ((draft.role === 'activation' || draft.role === 'join') && !acts) {
    left.set(path, { why: 'no rule says an actQuant for it', fix: 'add to: { actQuant: … }' })
    return
  }
  const why = draft.role === 'activation' || draft.role === 'join' ? against(draft, choice) : null
  if (why !== null) {
    left.set(path, { why, fix: 'take a preset of that kind, or let the layer behind it quantize its input' })
    return
  }
  // What only the layer knows: groups longer than its axis.
  const problem = quantizedForm(draft, choice, ALONE)?.problems[0]
  if (problem === undefined) jobs.set(path, job)
  else left.set(path, { why: problem.message, fix: problem.fix })
}

/** What the rules want of each layer, before anything is known of what flows where. */
export const planOf = (net: AnyLayer, rules: readonly Rule[]): Plan => {
  const [jobs, left] = [new Map<string, Job>(), new Map<string, LeftAs>()]
  for (const { path, layer } of placed(net)) {
    const choice = choiceOf(rules, { path, layer: layer.layer })
    const draft = draftOf(layer)
    if (choice === null) left.set(path, BY_RULE)
    else if (draft === null)
      left.set(path, Object.values(layer.source?.quantizers ?? {}).length > 0 ? ALREADY : NO_TWIN)
    else decide({ path, draft, choice }, jobs, left)
  }
  return { jobs, left }
}

/** An error where nothing at all would be quantized. */
export const nothingDone = (plan: Plan): QuantErrors => {
  if (plan.jobs.size > 0) return []
  const [first] = plan.left
  const error: QuantErrors[number] = {
    tag: 'ConfigError',
    option: 'rules',
    path: first?.[0] ?? '',
    message: `quantize: no layer would be quantized${first === undefined ? '' : `; ${first[0]}: ${first[1].why}`}`,
    fix: first?.[1].fix ?? 'give a network with convolutions or linear layers',
  }
  return [error]
}
