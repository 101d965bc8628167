/**
 * torch's CPU generator as an immutable value. A draw is an fp-ts `State` action: it takes a generator and returns what it
 * drew and the generator to go on with; the one it was given stays as it was. Same seed and same draws, same numbers as torch
 * (`rand`, `randint`, `randperm`, `bernoulli` bit for bit; the others but for the last bits).
 * Every function throws a `QuantFailure` that names it, the value and the accepted range, when an argument is outside.
 *
 * Source: M. Matsumoto and T. Nishimura, "Mersenne Twister" (1998); torch 2.13's CPU distributions (test/conformance/SEMANTICS.md, 14).
 */
export {
  generatorFromJSON,
  generatorToJSON,
  manualSeed,
  type Generator,
  type GeneratorJSON,
} from './random/generator.js'
export { normal, randn } from './random/normals.js'
export { bernoulli, dropoutMask, rand, randint, randperm, uniform } from './random/uniforms.js'
export {
  kaimingNormal,
  kaimingUniform,
  weightAndBias,
  xavierUniform,
  type LayerInit,
  type LayerParameters,
} from './random/weights.js'
