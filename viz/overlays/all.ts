/** Every overlay: adding one is one file and one line here. */
export { drift } from './drift.js'
export { error } from './error.js'
export { exported } from './export.js'
export { time } from './time.js'
