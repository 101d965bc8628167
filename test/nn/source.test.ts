/** How layers were written: the code that is said of a layer makes that layer again, and options that it takes are options of it. */
import { createContext, runInContext } from 'node:vm'
import { isLeft } from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { layersOf } from '../../src/nn/layers/source.js'
import { right } from '../graph/fixtures/programs.js'
import { suite } from '../support/suite.js'

const test = suite('how layers were written')
const scope = createContext({ ...q, pipe })
const odd = pipe(q.Int8ActPerTensorFloat, q.withOptions({ bitWidth: 5, narrowRange: true }))

const layers: { readonly [name: string]: q.AnyLayer } = {
  identity: q.QuantIdentity({ returnQuantTensor: true, bitWidth: 3 }),
  custom: q.QuantIdentity({ actQuant: odd }),
  off: q.QuantReLU({ actQuant: null, inputQuant: q.ShiftedUint8ActPerTensorFloat }),
  hardtanh: q.QuantHardTanh({ minVal: -1, maxVal: 0.5 }),
  conv: q.QuantConv2d({ inChannels: 2, outChannels: 4, kernelSize: [3, 1], padding: 'same', biasQuant: q.Int16Bias }),
  transposed: q.QuantConvTranspose1d({ inChannels: 2, outChannels: 3, kernelSize: 2, correctMetadata: true }),
  linear: q.Linear({ inFeatures: 2, outFeatures: 3, bias: false }),
  add: q.QuantEltwiseAdd({ inputBitWidth: 4, outputQuant: null }),
  cat: q.QuantCat({ returnQuantTensor: true }),
  scale: q.QuantScaleBias({ numFeatures: 3, bias: false, runtimeShape: [1, -1] }),
  folded: q.BatchNorm2dToQuantScaleBias({ numFeatures: 3, eps: 1e-3 }),
  norm: q.BatchNorm1d({ numFeatures: 3, momentum: null }),
  layerNorm: q.LayerNorm({ normalizedShape: [2, 3] }),
  trunc: q.TruncAvgPool2d({ kernelSize: 2, bitWidth: 6, truncQuant: q.TruncTo8bit }),
  upsample: q.QuantUpsample({ scaleFactor: 2, mode: 'bilinear' }),
  relu: q.ReLU(),
  relu6: q.ReLU6(),
  clip: q.Hardtanh({ maxVal: 2 }),
  pad: q.ZeroPad2d({ padding: [1, 0, 2, 0] }),
  drop: q.Dropout({ p: 0.25 }),
}

const written = (l: q.ProgramLayer): string =>
  `${l.layer}({ ${l.given.map(([k, code]) => `${k}: ${code}`).join(', ')} })`

for (const [name, layer] of Object.entries(layers)) {
  const [said] = layersOf(layer)
  test(`${name}: its code makes it again`, () => {
    const again: q.AnyLayer = runInContext(`(${written(said)})`, scope)
    assert.equal(again.problems, [])
    assert.equal(again.config, layer.config)
    assert.equal(layersOf(again), [said])
  })
  test(`${name}: options that it takes are options of it`, () => {
    for (const option of said.takes) {
      const made: q.AnyLayer = runInContext(
        `(${written({ ...said, given: [...said.given.filter(([k]) => k !== option), [option, "'?'"]] })})`,
        scope,
      )
      assert.not.ok(
        made.problems.some((p) => p.message.includes('has no option')),
        option,
      )
    }
  })
  if (said.twin !== undefined) {
    const { twin } = said
    test(`${name}: its quantized twin is a layer without a fault`, () => {
      const made: q.AnyLayer = runInContext(`(${written({ ...said, ...twin })})`, scope)
      assert.equal(made.problems, [])
      assert.match(made.layer, /^Quant/)
    })
  }
}

test('a program says how its layers were written, by path, and a stored one too', () => {
  const net = q.chain({
    input: q.QuantIdentity({ returnQuantTensor: true }),
    block: q.residual(q.chain({ act: q.QuantReLU({ bitWidth: 4, returnQuantTensor: true }) })),
  })
  const program = right(q.trace(net, q.tensorInput([2]), { mode: 'train' }))
  assert.equal(
    program.layers?.map((l) => [l.path, l.layer]),
    [
      ['', 'chain'],
      ['input', 'QuantIdentity'],
      ['block', 'residual'],
      ['block.body', 'chain'],
      ['block.body.act', 'QuantReLU'],
    ],
  )
  const back = right(q.parseProgram(q.ops)(q.programToJSON(program)))
  assert.equal(back.layers, program.layers)
  assert.equal(
    back.graph.nodes.map((n) => n.carried),
    program.graph.nodes.map((n) => n.carried),
  )
  for (const layers of ['x', [{ path: 1 }], [{ ...program.layers?.[1], given: [['a', 3]] }]])
    assert.ok(isLeft(q.parseProgram(q.ops)(JSON.stringify({ ...JSON.parse(q.programToJSON(program)), layers }))))
  const trained = right(
    q.grad(
      right(
        q.trace(q.chain({ net, s: q.functionLayer('s', (x: q.Value) => q.sum(x)) }), q.tensorInput([2]), {
          mode: 'train',
        }),
      ),
    ),
  )
  assert.ok(trained.layers?.some((l) => l.path === 'net.block.body.act'))
})

test('a claim is exact where integers hold and float32 does not; a real doubt behind it is none', () => {
  const conv = (outputs: number, more: object = {}): q.AnyLayer =>
    q.QuantLinear({ inFeatures: 4096, outFeatures: outputs, bias: false, returnQuantTensor: true, ...more })
  const traced = (layers: { readonly [name: string]: q.AnyLayer }): q.Program =>
    right(
      q.trace(q.chain(layers as never) as q.Layer<unknown, unknown>, q.tensorInput([1, 4096]) as never, {
        mode: 'eval',
      }),
    ) as q.Program
  const input = q.QuantIdentity({ returnQuantTensor: true, bitWidth: 12 })
  const last = (p: q.Program): q.Carried => p.graph.nodes[p.outputs[0].node].carried
  const wide = last(traced({ input, fc: conv(2) }))
  assert.ok(wide.tag === 'claimed' && wide.exact === true, JSON.stringify(wide))
  const kept = last(traced({ input, fc: conv(2), relu: q.ReLU() }))
  assert.ok(kept.tag === 'claimed' && kept.exact === true)
  const doubtful = last(traced({ input, fc: conv(2), relu: q.ReLU6() }))
  assert.ok(doubtful.tag === 'claimed' && doubtful.exact === undefined && doubtful.why.startsWith('6 is off the grid'))
  const back = right(q.parseProgram(q.ops)(q.programToJSON(traced({ input, fc: conv(2) }))))
  assert.equal(last(back), wide)
})

test.run()
