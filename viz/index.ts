/** quantrace/viz: programs as pages and pictures. Public names only. */
export { toHtml } from './toHtml.js'
export { toSvg, type DrawingOptions } from './toSvg.js'
export { toMermaid } from './toMermaid.js'
export { toFrontHtml, toFrontSvg, type FrontOptions } from './front/toFront.js'
export { toGexf } from './exports/toGexf.js'
export { toGraphml } from './exports/toGraphml.js'
export {
  modelExplorerCollection,
  toModelExplorer,
  type ModelExplorerCollection,
  type ModelExplorerGraph,
  type ModelExplorerNode,
} from './exports/toModelExplorer.js'
export { pairOf, type PairOptions } from './pair/scene.js'
export type { Compared, PairScene, Side, SideId, Twin } from './pair/sides.js'
export {
  addEvent,
  emptyLog,
  scaleProbe,
  statisticsIn,
  type LogEvent,
  type LogOptions,
  type LogRecord,
  type QuantizerRecord,
  type Scales,
  type TrainLog,
} from './log.js'
export { watch, type Watch } from './watch.js'
export { knownValues, type Stored } from './known.js'
export { sceneOf, type SceneOptions } from './scene/fromProgram.js'
export type {
  Advice,
  Carry,
  Meta,
  Phrase,
  Scene,
  SceneBox,
  SceneExport,
  SceneEdge,
  SceneLoss,
  SceneNode,
  SceneNumbers,
  ScenePlan,
  SceneProfile,
  SceneStep,
  SceneSteps,
  SceneValue,
  SceneCurve,
  SceneLog,
  SceneTrack,
  SceneWaste,
} from './scene/scene.js'
export { summaryOf } from './live/summary.js'
export type { LiveFrame, LivePoint, LiveQuantizer } from './live/frame.js'
export { mountLive, type Live, type LiveOptions } from './live/live.js'
export { livePage, livePageStyle, type LivePageOptions } from './live/page.js'
