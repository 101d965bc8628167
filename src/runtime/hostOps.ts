/**
 * The records of those ops that an eval program may apply to data and for which the WebAssembly backend has no kernel, or has none for bounds that
 * float32 can't hold: steps of theirs are run here by the op's own reference. A test holds this list to the registry.
 */
import { checkClassesOp, checkRowsOp } from '../evaluator/plan/internalOps.js'
import type { Op } from '../graph/op.js'
import { addBias } from '../ops/addBias.js'
import { allClose, checkClose, checkValid, checkValidFloat, checkZero } from '../ops/checks.js'
import { clamp } from '../ops/clamp.js'
import { floatAbs, floatNeg } from '../ops/floatSigns.js'
import { fromSteps, snapToGrid } from '../ops/fromSteps.js'
import { gatherRows } from '../ops/gatherRows.js'
import { joinGroups, trimGroups } from '../ops/groups.js'
import { onLearnedGrid } from '../ops/onLearnedGrid.js'
import { pow } from '../ops/pow.js'
import { quantAbs, quantNeg } from '../ops/quantSigns.js'
import { quantizeFloat } from '../ops/quantizeFloat.js'
import { hardtanh } from '../ops/relu.js'

/** Ops that every reader of precompiled programs knows. */
export const hostOps: readonly Op[] = [
  addBias,
  allClose,
  checkClassesOp,
  checkClose,
  checkRowsOp,
  checkValid,
  checkValidFloat,
  checkZero,
  clamp,
  floatAbs,
  floatNeg,
  fromSteps,
  gatherRows,
  hardtanh,
  joinGroups,
  onLearnedGrid,
  pow,
  quantAbs,
  quantNeg,
  quantizeFloat,
  snapToGrid,
  trimGroups,
]
