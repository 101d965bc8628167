/** What is mutated, and the tests that shall notice it, the fastest first. */

/** One group of sources with its tests. */
export type Group = {
  readonly name: string
  readonly sources: RegExp
  /** Commands, each in turn until one fails; `FILE` stands for the mutated file. */
  readonly stages: readonly (readonly string[])[]
}

const tests = (...files: readonly string[]): readonly (readonly string[])[] => files.map((f) => [`test/${f}.test.ts`])
const LAWS = ['test/mutate/laws.ts', 'FILE']
const CASES = ['test/conformance/run.ts', '--backend', 'reference', 'test/conformance/cases']

/** All groups. */
export const GROUPS: readonly Group[] = [
  {
    name: 'ops',
    sources: /^src\/ops\/[^/]+\.ts$/,
    stages: [
      LAWS,
      ...tests(
        'laws/registry',
        'ops/conv',
        'ops/pool',
        'ops/shape',
        'ops/resample',
        'ops/activations',
        'ops/matmul',
        'ops/nonfinite',
      ),
      CASES,
    ],
  },
  {
    name: 'autodiff',
    sources: /^src\/autodiff\/.*\.ts$/,
    stages: [...tests('autodiff/vjp', 'fuzz/fuzz', 'nn/train', 'graph/scan', 'evaluator/commits'), CASES],
  },
  {
    name: 'quantizers',
    sources: /^src\/quantizers\/.*\.ts$/,
    stages: [
      ...tests('laws/faults', 'laws/quantizers', 'nn/presets', 'nn/collection', 'laws/presets', 'nn/comparisons'),
      CASES,
    ],
  },
  {
    name: 'specialize',
    sources: /^src\/graph\/specialize(?:\.ts$|\/)/,
    stages: [...tests('graph/specialize', 'fuzz/fuzz', 'interop/onnx/export', 'integer/toInteger'), CASES],
  },
  {
    name: 'exporters',
    sources: /^src\/interop\/onnx\/(?!proto|import).*\.ts$/,
    stages: [...tests('fuzz/fuzz', 'interop/onnx/export', 'interop/onnx/import', 'interop/onnx/report'), [...CASES]],
  },
]
