/** Two small networks that tell words apart: an LSTM, and one block of self-attention. `bits` are those of weights and of what goes from layer to layer. */
import {
  add,
  mean,
  model,
  permute,
  QuantIdentity,
  QuantLinear,
  QuantLSTM,
  QuantMultiheadAttention,
  QuantReLU,
  type Value,
} from '../../src/index.js'
import { BANDS, WORDS } from './words.js'

const HIDDEN = 24
const COLLECT = 8
const classes = WORDS.length

/** The mean of the states over all frames decides. Sums keep 8 bits: they are added up over all steps. */
export const lstm = (bits: number) =>
  model(
    {
      lstm: QuantLSTM({
        inputSize: BANDS,
        hiddenSize: HIDDEN,
        weightBitWidth: bits,
        ioBitWidth: bits,
        sigmoidBitWidth: bits,
        tanhBitWidth: bits,
      }),
      head: QuantLinear({ inFeatures: HIDDEN, outFeatures: classes, weightBitWidth: bits }),
    },
    (layers, params, state, x: Value) => {
      const [out, next] = layers.lstm(params.lstm, state.lstm, { x: permute(x, [1, 0, 2]) })
      const [y, head] = layers.head(params.head, state.head, mean(out.y, 0))
      return [y, { lstm: next, head }]
    },
  )

/** Frames look at each other, four heads; their mean decides. */
export const attention = (bits: number) => {
  const act = { bitWidth: bits, returnQuantTensor: true, collectStatsSteps: COLLECT }
  return model(
    {
      input: QuantIdentity({ bitWidth: 8, returnQuantTensor: true, collectStatsSteps: COLLECT }),
      embed: QuantLinear({ inFeatures: BANDS, outFeatures: HIDDEN, weightBitWidth: bits }),
      act: QuantReLU(act),
      attend: QuantMultiheadAttention({
        embedDim: HIDDEN,
        numHeads: 4,
        batchFirst: true,
        needWeights: false,
        inProjWeightBitWidth: bits,
        outProjWeightBitWidth: bits,
        inProjInputCollectStatsSteps: COLLECT,
        outProjInputCollectStatsSteps: COLLECT,
        qScaledCollectStatsSteps: COLLECT,
        kTransposedCollectStatsSteps: COLLECT,
        attnOutputWeightsCollectStatsSteps: COLLECT,
        vCollectStatsSteps: COLLECT,
      }),
      mixed: QuantReLU(act),
      head: QuantLinear({ inFeatures: HIDDEN, outFeatures: classes, weightBitWidth: bits }),
    },
    (layers, params, state, x: Value) => {
      const [given, input] = layers.input(params.input, state.input, x)
      const [wide, embed] = layers.embed(params.embed, state.embed, given)
      const [a, act] = layers.act(params.act, state.act, wide)
      const [looked, attend] = layers.attend(params.attend, state.attend, { query: a })
      const [m, mixed] = layers.mixed(params.mixed, state.mixed, add(looked.y, wide))
      const [y, head] = layers.head(params.head, state.head, mean(m, 1))
      return [y, { input, embed, act, attend, mixed, head }]
    },
  )
}
