/** Errors behind the steps of a quantization as the page needs them: a row for each layer, with its box. */
import type { StepErrors } from '../../src/quantize/errors.js'
import { boxOf } from './names.js'
import type { SceneBox, SceneSteps } from './scene.js'

/** What `layerErrors` gave behind each step, layer by layer; a layer that is no box of the program has none. */
export const stepErrors = (steps: readonly StepErrors[], boxes: readonly SceneBox[]): SceneSteps => {
  const known = new Set(boxes.map((b) => b.id))
  const paths = [...new Set(steps.flatMap(({ errors }) => errors.map((e) => e.path)))]
  return {
    names: steps.map((s) => s.step),
    layers: paths.map((path) => {
      const box = boxOf(path)
      return {
        path,
        box: path !== '' && known.has(box) ? box : null,
        errors: steps.map(({ errors }) => errors.find((e) => e.path === path)?.error ?? null),
      }
    }),
  }
}

/** Signal over error in decibels; more is better, infinity where nothing is off. */
export const decibels = (error: number): number => (error > 0 ? -10 * Math.log10(error) : Infinity)
