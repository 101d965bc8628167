/** quantrace/viz: programs as pages and pictures. Public names only. */
export { toHtml } from './toHtml.js'
export { toSvg, type DrawingOptions } from './toSvg.js'
export { toMermaid } from './toMermaid.js'
export { sceneOf, type SceneOptions } from './scene/fromProgram.js'
export type { Advice, Carry, Meta, Phrase, Scene, SceneBox, SceneEdge, SceneLoss, SceneNode, SceneNumbers, SceneValue } from './scene/scene.js'
