/** quantrace/testing: arbitraries and laws with which users test their own ops and quantizers. Needs fast-check. */
export * from './arbitraries.js'
export * from './gridLaws.js'
export * from './laws.js'
export * from './lanesLaw.js'
