/** The PyTorch twin: the text that is generated, names that must not break out of it, what is refused, and the way back of its numbers. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import { readFileSync, writeFileSync } from 'node:fs'
import * as q from '../../../src/index.js'
import { fromBrevitas, parseSafetensors, safetensorsToBytes, toBrevitas } from '../../../src/interop/brevitas/index.js'
import { newFolder, quantrace } from '../../cli/support.js'
import { suite } from '../../support/suite.js'

const test = suite('interop: the PyTorch twin')

/** A text without the indentation of its first line. */
const dedent = ([text]: TemplateStringsArray): string => {
  const lines = text.replace(/^\n/, '').replace(/\n *$/, '\n').split('\n')
  const margin = /^ */.exec(lines[0])?.[0].length ?? 0
  return lines.map((l) => l.slice(Math.min(margin, l.length))).join('\n')
}

const HEAD = dedent`
  """The network, layer by layer as in quantrace. Written by \`toBrevitas\`; it is yours to change."""

  import torch
`.replaceAll('\\`', '`')

const textOf = <P, S>(net: q.Layer<P, S>, shape: readonly number[]): string => {
  const text = q.orThrow(toBrevitas(net, q.tensorInput(shape), q.orThrow(q.init(net, 0))))['network.py']
  if (typeof text !== 'string' || !text.startsWith(HEAD)) throw new Error(String(text))
  return text.slice(HEAD.length)
}

const errorsOf = <A>(r: E.Either<q.QuantErrors, A>): readonly string[] =>
  E.isLeft(r) ? r.left.map((e) => e.message) : []

test('a chain is a module with its layers as attributes, presets by name, what differs from them as keywords', () => {
  const fourBits = q.withOptions({ bitWidth: 4, narrowRange: false })(q.Int8WeightPerChannelFloat)
  const net = q.chain({
    input: q.QuantIdentity({ returnQuantTensor: true }),
    conv: q.QuantConv2d({
      inChannels: 1,
      outChannels: 4,
      kernelSize: [3, 3],
      padding: 'same',
      weightQuant: q.named('Mine')(fourBits),
      biasQuant: q.Int32Bias,
    }),
    bn: q.BatchNorm2d({ numFeatures: 4, momentum: null }),
    act: q.QuantReLU({
      actQuant: q.Uint8ActPerTensorFixedPointMaxInit,
      bitWidth: 4,
      maxVal: 6,
      returnQuantTensor: true,
    }),
    off: q.QuantTanh({ actQuant: null }),
    flatten: q.Flatten(),
    fc: q.QuantLinear({ inFeatures: 256, outFeatures: 2, bias: false, outputQuant: q.Int8ActPerTensorFloat }),
  })
  assert.snapshot(
    textOf(net, [2, 1, 8, 8]),
    dedent`
      from torch import nn
      import brevitas.nn as qnn
      from brevitas.quant import (
          Int32Bias,
          Int8ActPerTensorFloat,
          Int8WeightPerChannelFloat,
          Uint8ActPerTensorFixedPointMaxInit,
      )

      # What Network.forward takes.
      INPUTS = {"x": torch.float32}


      class Network(nn.Module):
          """Takes x [N, 1, 8, 8]."""

          def __init__(self):
              super().__init__()
              self.input = qnn.QuantIdentity(collect_stats_steps=30, return_quant_tensor=True)
              self.conv = qnn.QuantConv2d(
                  in_channels=1,
                  out_channels=4,
                  kernel_size=(3, 3),
                  padding="same",
                  weight_quant=Int8WeightPerChannelFloat,
                  weight_bit_width=4,
                  weight_narrow_range=False,
                  bias_quant=Int32Bias,
              )
              self.bn = nn.BatchNorm2d(num_features=4, momentum=None)
              self.act = qnn.QuantReLU(
                  act_quant=Uint8ActPerTensorFixedPointMaxInit,
                  bit_width=4,
                  max_val=6.0,
                  return_quant_tensor=True,
              )
              self.off = qnn.QuantTanh(act_quant=None)
              self.flatten = nn.Flatten()
              self.fc = qnn.QuantLinear(
                  in_features=256,
                  out_features=2,
                  bias=False,
                  output_quant=Int8ActPerTensorFloat,
                  output_collect_stats_steps=30,
              )

          def forward(self, x):
              x = self.input(x)
              x = self.conv(x)
              x = self.bn(x)
              x = self.act(x)
              x = self.off(x)
              x = self.flatten(x)
              return self.fc(x)
    `,
  )
})

test('blocks that are alike are one class; a residual is a sum', () => {
  const block = () =>
    q.residual(q.chain({ conv: q.QuantConv1d({ inChannels: 2, outChannels: 2, kernelSize: 1 }), act: q.QuantReLU() }))
  assert.snapshot(
    textOf(q.chain({ first: block(), second: block() }), [1, 2, 5]),
    dedent`
      from torch import nn
      import brevitas.nn as qnn

      # What Network.forward takes.
      INPUTS = {"x": torch.float32}


      class FirstBody(nn.Module):
          def __init__(self):
              super().__init__()
              self.conv = qnn.QuantConv1d(in_channels=2, out_channels=2, kernel_size=1)
              self.act = qnn.QuantReLU(collect_stats_steps=30)

          def forward(self, x):
              x = self.conv(x)
              return self.act(x)


      class First(nn.Module):
          def __init__(self):
              super().__init__()
              self.body = FirstBody()

          def forward(self, x):
              body = self.body(x)
              return x + body


      class Network(nn.Module):
          """Takes x [N, 2, 5]."""

          def __init__(self):
              super().__init__()
              self.first = First()
              self.second = First()

          def forward(self, x):
              x = self.first(x)
              return self.second(x)
    `,
  )
})

test('a model: its functions as expressions, inputs and results by name, quantizers called twice, sizes of the batch left open', () => {
  const net = q.model(
    {
      act: q.QuantIdentity({ returnQuantTensor: true }),
      cat: q.QuantCat(),
      fc: q.QuantLinear({ inFeatures: 8, outFeatures: 2 }),
    },
    (layers, params, state, x: { readonly a: q.Value; readonly b: q.Value }) => {
      const [a, s1] = layers.act(params.act, state.act, x.a)
      const [b, s2] = layers.act(params.act, s1, q.reshape(x.b, [x.b.shape[0], -1]))
      const [both, cat] = layers.cat(params.cat, state.cat, { values: [a, q.mul(b, q.scale(a))], dim: 1 })
      const [y, fc] = layers.fc(params.fc, state.fc, q.sub(q.relu(both), -0.5))
      return [
        { y, parts: [q.max(y), q.plain.add(a, 1)] },
        { act: s2, cat, fc },
      ]
    },
  )
  const declared = { a: q.tensorInput([3, 4]), b: q.tensorInput([3, 2, 2]) }
  assert.snapshot(
    String(q.orThrow(toBrevitas(net, declared, q.orThrow(q.init(net, 0))))['network.py']).slice(HEAD.length),
    dedent`
      import torch.nn.functional as F
      from torch import nn
      import brevitas.nn as qnn

      # What Network.forward takes.
      INPUTS = {"a": torch.float32, "b": torch.float32}


      class Network(nn.Module):
          """Takes a [N, 4], b [N, 2, 2]."""

          def __init__(self):
              super().__init__()
              self.act = qnn.QuantIdentity(collect_stats_steps=30, return_quant_tensor=True)
              self.cat = qnn.QuantCat(input_collect_stats_steps=30, output_collect_stats_steps=30)
              self.fc = qnn.QuantLinear(in_features=8, out_features=2)

          def forward(self, a, b):
              act = self.act(a)
              reshape = b.reshape((-1, 4))
              act_2 = self.act(reshape)
              mul = act_2 * act.scale
              cat = self.cat([act, mul], dim=1)
              relu = F.relu(cat)
              sub = relu - (-0.5)
              fc = self.fc(sub)
              max_all = torch.max(fc)
              dequantize = act.value
              add = dequantize + 1.0
              return {"y": fc, "parts": [max_all, add]}
    `,
  )
})

test('an attention is called by keywords: operands, and what each call does', () => {
  const net = q.model(
    { attention: q.QuantScaledDotProductAttention({ qScaledBitWidth: 4, vQuant: null, isCausal: true }) },
    (layers, params, state, x: { readonly q: q.Value; readonly k: q.Value }) => {
      const [y, attention] = layers.attention(params.attention, state.attention, {
        query: x.q,
        key: x.k,
        value: x.k,
        scale: 0.5,
      })
      return [y, { attention }]
    },
  )
  const declared = { q: q.tensorInput([2, 3, 4]), k: q.tensorInput([2, 3, 4]) }
  const text = String(q.orThrow(toBrevitas(net, declared, q.orThrow(q.init(net, 0))))['network.py'])
  assert.snapshot(
    text.slice(text.indexOf('class Network')),
    dedent`
      class Network(nn.Module):
          """Takes q [N, 3, 4], k [N, 3, 4]."""

          def __init__(self):
              super().__init__()
              self.attention = qnn.QuantScaledDotProductAttention(
                  q_scaled_bit_width=4,
                  q_scaled_collect_stats_steps=30,
                  k_transposed_collect_stats_steps=30,
                  v_quant=None,
                  attn_output_weights_collect_stats_steps=30,
              )

          def forward(self, q, k):
              return self.attention(query=q, key=k, value=k, is_causal=True, scale=0.5)
    `,
  )
})

const HOSTILE = [
  'class',
  'forward',
  'train',
  'training',
  '__init__',
  '_modules',
  '__x',
  'x"; import os',
  "it's",
  'a\nb',
  'a\\',
  '"""',
  '#',
  ' ',
  'é',
  'ﬁ',
  '😀',
  '\u2028',
  '\0',
  'None',
  'self',
  'T_destination',
  'constructor',
  'toString',
]

/** What Python reads in a text between quotes; JSON reads the same but for letters beyond 16 bits. */
const readBack = (literal: string): unknown =>
  JSON.parse(literal.replace(/\\U([0-9a-f]{8})/g, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16))))

test('no name breaks out of the generated text', () => {
  const text = (name: string): string => textOf(q.chain({ [name]: q.residual(q.ReLU()), last: q.Flatten() }), [1, 2])
  const plain = text('some')
  const holds = (name: string): void => {
    const made = text(name)
    assert.match(made, /^[\n\x20-\x7e]*$/)
    assert.is(made.split('\n').length, plain.split('\n').length)
    const inModules = [...made.matchAll(/self\._modules\[("(?:[^"\\]|\\.)*")\]/g)].map(([, literal]) =>
      readBack(literal),
    )
    const attributes = [...made.matchAll(/self\.([a-zA-Z0-9_]+) = /g)].map(([, attribute]) => attribute)
    assert.ok([...inModules, ...attributes].includes(name), JSON.stringify(name))
    // Without literals and names nothing is left but what a harmless name leaves.
    const bare = (t: string) =>
      t
        .replace(/"""[^\n]*"""/g, '')
        .replace(/self\._modules\["(?:[^"\\]|\\.)*"\]|self\.[A-Za-z]\w*/g, 'self._')
        .replace(/class \w+|= \w+\(\)/g, '_')
    assert.is(bare(made), bare(plain))
  }
  for (const name of HOSTILE) holds(name)
  const names = fc
    .string({ unit: 'binary', minLength: 1 })
    .filter(
      (n) =>
        !/^\d+$/.test(n) &&
        !n.includes('.') &&
        n !== '__proto__' &&
        n !== 'last' &&
        !/[\ud800-\udfff]/.test(n.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '')),
    )
  fc.assert(fc.property(names, holds), { numRuns: 50 })
})

test('all that has no counterpart is refused at once, by name', () => {
  const halfway = q.customQuantizer({ name: 'Halfway', bits: 4, signed: false, threshold: (x) => q.max(q.abs(x)) })
  const softplus = q.unary({
    name: 'softplus',
    doc: 'log(1 + exp(x)).',
    attrs: {},
    f: (x) => Math.log1p(Math.exp(x)),
    carry: q.strips('it is on no grid'),
    vjp: ({ g }) => [g],
  })
  const own: q.Layer<q.None, q.None> = { ...q.functionLayer('Own', q.relu), params: {}, state: { kept: {} } }
  const net = q.chain({
    halfway: q.functionLayer('Halfway', halfway),
    own,
    block: q.residual(q.functionLayer('f', (x: q.Value) => q.apply(softplus, [x]))),
    renamed: { ...q.QuantReLU(), layer: 'Mine' },
    fc: q.QuantLinear({ inFeatures: 4, outFeatures: 4, weightScalingStatsOp: 'ZERO_MIN_MAX' }),
    up: q.QuantConvTranspose1d({ inChannels: 2, outChannels: 2, kernelSize: 1, correctMetadata: true }),
  })
  const result = toBrevitas(net, q.tensorInput([2, 2, 4]), q.orThrow(q.init(net, 0)))
  assert.ok(E.isLeft(result) && result.left.every((e) => e.tag === 'ExportError' && e.fix !== ''))
  const found = E.isLeft(result) ? result.left.map((e) => `${e.path}: ${e.message}`).join('\n') : ''
  for (const part of [
    'halfway.Halfway: fromSteps',
    'own: Own is a layer of your own',
    'block.body: softplus',
    'renamed: Mine',
    'ZERO_MIN_MAX',
    'correctMetadata',
  ])
    assert.ok(found.includes(part), `${part} in\n${found}`)
})

test('a forward that depends on the mode or on the number of samples is refused or says so', () => {
  const byMode = q.functionLayer('byMode', (x: q.Value, kit) => (kit.mode === 'train' ? q.relu(x) : q.tanh(x)))
  assert.match(
    errorsOf(toBrevitas(byMode, q.tensorInput([2, 2]), { params: {}, state: {} })).join(),
    /something else in training/,
  )
  const sliced = q.functionLayer('rows', (x: q.Value) =>
    x.kit.emit('slice', [x], { dim: 0, start: 0, end: x.shape[0] - 1 }),
  )
  assert.match(
    errorsOf(toBrevitas(sliced, q.tensorInput([3, 2]), { params: {}, state: {} })).join(),
    /depends on the number of samples/,
  )
  const fixed = q.functionLayer('fixed', (x: q.Value) => q.reshape(x, [6]))
  assert.match(textOf(fixed, [3, 2]), /Takes x \[3, 2\], and no other number of samples/)
  // One sample is special: an axis of size 1 that is the batch must not be taken for another.
  const one = q.functionLayer('one', (x: q.Value) => q.reshape(x, [x.shape[0], 1, -1]))
  assert.match(textOf(one, [1, 4]), /x\.reshape\(\(-1, 1, 4\)\)/)
})

test('wrong arguments and names that no file can hold are typed errors', () => {
  const net = q.chain({ fc: q.QuantLinear({ inFeatures: 2, outFeatures: 2 }) })
  const fresh = q.orThrow(q.init(net, 0))
  assert.match(errorsOf(toBrevitas(net, q.tensorInput([1, 3]), fresh)).join(), /linear: input \[1,3\]/)
  assert.match(
    errorsOf(toBrevitas(net, q.tensorInput([1, 2]), { params: {}, state: fresh.state } as never)).join(),
    /no fc\.weight/,
  )
  assert.match(errorsOf(toBrevitas({} as never, q.tensorInput([1, 2]) as never, fresh)).join(), /takes a layer/)
  const half = q.chain({ 'a\ud800': q.QuantReLU() })
  assert.match(errorsOf(toBrevitas(half, q.tensorInput([1, 2]), q.orThrow(q.init(half, 0)))).join(), /half a character/)
})

const network = () =>
  q.chain({
    input: q.QuantIdentity({
      actQuant: q.ShiftedUint8ActPerTensorFloat,
      collectStatsSteps: 3,
      returnQuantTensor: true,
    }),
    fc: q.QuantLinear({
      inFeatures: 3,
      outFeatures: 4,
      weightQuant: q.Int8WeightPerTensorFloatMSE,
      inputQuant: q.Int8ActPerTensorFixedPoint,
    }),
    bn: q.BatchNorm1d({ numFeatures: 4 }),
    late: q.QuantReLU({ actQuant: q.Int8ActPerTensorFloatMinMaxInit, minVal: -1, maxVal: 1, quantDelaySteps: 5 }),
  })

test('every number comes back: fresh, in the middle of collections and delays, learned', () => {
  const net = network()
  const program = q.orThrow(q.trace(net, q.tensorInput([6, 3]), { mode: 'train' }))
  let { params, state } = q.orThrow(q.init(net, 0))
  for (let step = 0; step < 7; step++) {
    const files = q.orThrow(toBrevitas(net, q.tensorInput([6, 3]), { params, state }))
    const back = q.orThrow(fromBrevitas(net, q.orThrow(parseSafetensors(files['network.safetensors'] as Uint8Array))))
    const x = q.randn([6, 3])(q.manualSeed(step))[0]
    const next = (from: { readonly params: typeof params; readonly state: typeof state }) =>
      q.orThrow(q.run(program, { ...from, inputs: x }))
    const [a, b] = [next({ params, state }), next(back)]
    assert.equal(b.outputs, a.outputs, `outputs of step ${step}`)
    const counters = (s: typeof state) =>
      [s.input.actQuant, s.fc.inputQuant, s.fc.weightQuant, s.late.actQuant].map((t) => JSON.stringify(t))
    if (step < 3) assert.equal(counters(b.state), counters(a.state), `state of step ${step}`)
    params = { ...params }
    state = a.state
  }
})

test('a file of another network is refused with the nearest names; a plain state dict is taken', () => {
  const net = network()
  const files = q.orThrow(toBrevitas(net, q.tensorInput([6, 3]), q.orThrow(q.init(net, 0))))
  const dict = q.orThrow(parseSafetensors(files['network.safetensors'] as Uint8Array))
  const { 'fc.weight': weight, ...others } = dict
  const said = errorsOf(fromBrevitas(net, { ...others, 'fc.wieght': weight })).join('\n')
  assert.match(said, /the file has no fc\.weight/)
  assert.match(said, /this network has nothing for fc\.wieght/)
  const counter = Object.keys(dict).find((key) => key.endsWith('.counter')) ?? ''
  const wide = { shape: [2], data: Float32Array.of(1, 2), type: 'F32' as const }
  assert.match(errorsOf(fromBrevitas(net, { ...dict, [counter]: wide })).join(), /has shape \[2\]/)
  const plain = Object.fromEntries(Object.entries(dict).filter(([key]) => !/counter|buffer|quant_delay/.test(key)))
  assert.ok(E.isRight(fromBrevitas(net, plain)))
})

test('quantrace export --to brevitas and import', async () => {
  const { at, remove } = newFolder()
  try {
    const src = JSON.stringify(new URL('../../../src/index.ts', import.meta.url).href)
    writeFileSync(
      at('net.ts'),
      `import * as q from ${src}
export const net = q.chain({ input: q.QuantIdentity({ returnQuantTensor: true }), fc: q.QuantLinear({ inFeatures: 4, outFeatures: 2 }) })
export const inputs = q.tensorInput([1, 4])
export const program = q.orThrow(q.trace(net, inputs, { mode: 'eval' }))
`,
    )
    const made = await quantrace(['export', at('net.ts'), '--export', 'net', '--to', 'brevitas', '-o', at('twin')])
    assert.is(made.status, 0, made.err)
    assert.equal(
      made.out
        .trim()
        .split('\n')
        .map((f) => f.split('/').pop()),
      ['network.py', 'network.safetensors', 'state.py', 'train.py', 'README.md'],
    )
    assert.match(
      readFileSync(at('twin', 'network.py'), 'utf8'),
      /self\.fc = qnn\.QuantLinear\(in_features=4, out_features=2\)/,
    )
    const back = await quantrace([
      'import',
      at('twin', 'network.safetensors'),
      '--net',
      at('net.ts'),
      '--export',
      'net',
      '-o',
      at('back.qtrc'),
    ])
    assert.is(back.status, 0, back.err)
    const stored = await quantrace(['export', at('net.ts'), '--to', 'brevitas', '-o', at('no')])
    assert.is(stored.status, 1)
    assert.match(stored.err, /a twin is made of the layers themselves/)
  } finally {
    remove()
  }
})

test('Python never sees a tab, a carriage return, or JavaScript in the fixed files', () => {
  const net = q.QuantReLU()
  const files = q.orThrow(toBrevitas(net, q.tensorInput([1, 2]), q.orThrow(q.init(net, 0))))
  for (const [name, text] of Object.entries(files))
    if (typeof text === 'string') assert.match(text, name.endsWith('.py') ? /^(?!.*\$\{)[\n\x20-\x7e]*$/s : /^/, name)
  assert.match(String(files['network.py']), /class Network\(qnn\.QuantReLU\):\n {4}"""Takes x \[N, 2\]\."""/)
  assert.ok(safetensorsToBytes(q.orThrow(parseSafetensors(files['network.safetensors'] as Uint8Array))).length > 0)
})

test.run()
