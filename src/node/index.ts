/** `quantrace/node`: files that survive a kill, for programs that run in Node. */
export { ensureFolder, readFileBytes, writeFileWhole, type FileSystem } from './files.js'
