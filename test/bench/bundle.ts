/** The children as users' programs are: compiled JavaScript. A loader that compiles while it runs (tsx) would be measured along. */
import { mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { cacheFolder, root } from '../support/process.js'

/** A new folder below `node_modules`, so that what runs there finds the packages. */
export const bundleFolder = (): string => {
  mkdirSync(cacheFolder, { recursive: true })
  return mkdtempSync(join(cacheFolder, 'bench-'))
}

/** Compiles `child.ts` into a folder; gives the path of its script. Packages stay outside. */
export const bundleChild = async (folder: string): Promise<string> => {
  await build({
    entryPoints: [join(root, 'test', 'bench', 'child.ts')],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
  })
  return join(folder, 'child.mjs')
}
