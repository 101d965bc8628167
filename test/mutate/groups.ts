/** What is mutated, and the tests that are asked. */

/** One group of sources with its tests. */
export type Group = {
  readonly name: string
  readonly sources: RegExp
  /** Files whose tests may notice a change; those that start processes or threads are left out (`bundle.ts`). */
  readonly tests: RegExp
}

const OWN = 'mutate/tests'

/** All groups. */
export const GROUPS: readonly Group[] = [
  {
    name: 'ops',
    sources: /^src\/ops\/.*\.ts$/,
    tests: new RegExp(`^test/(${OWN}|laws|ops|autodiff|nn|graph|evaluator)/`),
  },
  {
    name: 'autodiff',
    sources: /^src\/autodiff\/.*\.ts$/,
    tests: new RegExp(`^test/(${OWN}|autodiff|laws|nn|graph)/`),
  },
  {
    name: 'quantizers',
    sources: /^src\/quantizers\/.*\.ts$/,
    tests: new RegExp(`^test/(${OWN}|laws|nn|quantize|interop/brevitas)/`),
  },
  {
    name: 'specialize',
    sources: /^src\/graph\/specialize(?:\.ts$|\/)/,
    tests: new RegExp(`^test/(${OWN}/|graph/|interop/onnx/|integer/|runtime/|nn/equalScales)`),
  },
  {
    name: 'exporters',
    sources: /^src\/interop\/onnx\/(?!proto|import).*\.ts$/,
    tests: new RegExp(`^test/(${OWN}|interop/onnx|quantize)/`),
  },
]
