/** Brevitas' presets as data (SEMANTICS 2, SEMANTICS-2 section 1): each is a composition of a few pieces. */
export * from './presets/dynamic.js'
export * from './presets/groups.js'
export * from './presets/integers.js'
export * from './presets/learnedScales.js'
export * from './presets/minifloats.js'
export * from './presets/truncation.js'
