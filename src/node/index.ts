/** `quantrace/node`: files that survive a kill, for programs that run in Node. */
export { ensureFolder, ensureWritable, readFileBytes, writeFileWhole, writeFolder, type FileSystem } from './files.js'
export { externalData } from './external.js'
export { inflate } from './inflate.js'
