/** A report of an export as the page needs it: each entry with the nodes that it is about, by name. */
import type { ExportReport, ReportEntry } from '../../src/interop/onnx/report.js'
import { boxOf } from './names.js'
import type { SceneBox, SceneExport, SceneNode } from './scene.js'

/** What an entry is about: its node; else the nodes of its layer that are made by its op; else its layer. */
const aboutOf = (
  e: ReportEntry,
  nodes: readonly SceneNode[],
  boxes: readonly SceneBox[],
): SceneExport['entries'][number]['about'] => {
  if (e.node !== null) return [String(e.node)]
  const box = boxOf(e.path)
  const made = nodes.filter((n) => n.box === box && n.op === e.op && n.side === undefined)
  if (made.length > 0) return made.map((n) => n.id)
  return boxes.some((b) => b.id === box) ? [box] : []
}

/** The report of a scene's program. */
export const exportOf = (
  { target, entries }: ExportReport,
  nodes: readonly SceneNode[],
  boxes: readonly SceneBox[],
): SceneExport => ({
  target,
  entries: entries.map((e) => ({
    severity: e.severity,
    about: aboutOf(e, nodes, boxes),
    what: e.what,
    instead: e.instead,
    fix: e.fix,
  })),
})
