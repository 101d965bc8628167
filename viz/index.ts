/** quantrace/viz: programs as pages and pictures. Public names only. */
export { toHtml } from './toHtml.js'
export { toSvg, type DrawingOptions } from './toSvg.js'
export { toMermaid } from './toMermaid.js'
export { toGexf } from './exports/toGexf.js'
export { toGraphml } from './exports/toGraphml.js'
export { modelExplorerCollection, toModelExplorer, type ModelExplorerCollection, type ModelExplorerGraph, type ModelExplorerNode } from './exports/toModelExplorer.js'
export { sceneOf, type SceneOptions } from './scene/fromProgram.js'
export type { Advice, Carry, Meta, Phrase, Scene, SceneBox, SceneEdge, SceneLoss, SceneNode, SceneNumbers, SceneValue } from './scene/scene.js'
