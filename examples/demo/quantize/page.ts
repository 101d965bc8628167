/** The script of the page: an ONNX file in, a picture of it, a quantized one out. All of it in this page and its worker. */
import type { Order, Report } from './protocol.js'

const byId = <T extends HTMLElement>(id: string, kind: { new (): T }): T => {
  const found = document.getElementById(id)
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`)
  return found
}

const partsOfPage = () => ({
  status: byId('status', HTMLOutputElement),
  bar: byId('progress', HTMLProgressElement),
  go: byId('go', HTMLButtonElement),
  shapes: byId('shapes', HTMLInputElement),
  scheme: byId('scheme', HTMLSelectElement),
  save: byId('save', HTMLAnchorElement),
  drawing: byId('drawing', HTMLIFrameElement),
  report: byId('report', HTMLPreElement),
  samplesName: byId('samples-name', HTMLOutputElement),
  inputs: ['file', 'samples'].map((id) => byId(id, HTMLInputElement)),
})
type Parts = ReturnType<typeof partsOfPage>

type Status = 'empty' | 'reading' | 'opened' | 'working' | 'quantized' | 'failed'

/** Says how it stands, in words and to the style. */
const stand = ({ status, go, bar }: Parts, state: Status, words: string): void => {
  document.body.dataset.status = state
  status.textContent = words
  go.disabled = state !== 'opened' && state !== 'quantized'
  bar.hidden = state !== 'reading' && state !== 'working'
}

/** An address of bytes in this page, in the place of an older one. */
const addressOf = (content: string | Uint8Array<ArrayBuffer>, type: string, old: string): string => {
  URL.revokeObjectURL(old)
  return URL.createObjectURL(new Blob([content], { type }))
}

const draw = ({ drawing }: Parts, html: string): void => {
  drawing.src = addressOf(html, 'text/html', drawing.src)
  drawing.hidden = false
}

/** Shows what the worker reports. */
const receive = (parts: Parts, data: Report): void => {
  const { shapes, bar, status, save, report } = parts
  switch (data.tag) {
    case 'opened':
      draw(parts, data.page)
      shapes.placeholder = data.inputs.map((i) => `${i.name}=${i.shape.join()}`).join('; ')
      return stand(parts, 'opened', data.words)
    case 'progress':
      bar.max = data.total
      bar.value = data.done
      status.textContent = `${data.words} ${data.done}/${data.total}`
      return
    case 'quantized':
      draw(parts, data.page)
      save.href = addressOf(data.bytes.slice(), 'application/octet-stream', save.href)
      save.download = data.name
      save.textContent = `Download ${data.name}`
      save.hidden = false
      report.textContent = data.report
      return stand(parts, 'quantized', data.words)
    case 'failed':
      return stand(parts, 'failed', data.message)
  }
}

/** Files of any order: arrays are samples, others a model. */
const takerOf = (parts: Parts, tell: (order: Order) => void) => {
  let model: { readonly name: string; readonly bytes: Uint8Array } | null = null
  let samples: Uint8Array | null = null
  const read = (): void => {
    if (model === null) return
    parts.save.hidden = true
    parts.report.textContent = ''
    parts.bar.removeAttribute('value')
    stand(parts, 'reading', `reading ${model.name} …`)
    tell({ tag: 'open', ...model, shapes: parts.shapes.value })
  }
  const take = async (files: Iterable<File>): Promise<void> => {
    for (const file of files) {
      const bytes = new Uint8Array(await file.arrayBuffer())
      if (file.name.endsWith('.npz')) {
        samples = bytes
        parts.samplesName.textContent = file.name
      } else {
        model = { name: file.name, bytes }
        read()
      }
    }
  }
  const quantize = (): void => {
    parts.save.hidden = true
    stand(parts, 'working', 'finding layers …')
    tell({ tag: 'quantize', scheme: parts.scheme.value, samples })
  }
  return { read, take, quantize }
}

const main = (): void => {
  const parts = partsOfPage()
  const worker = new Worker(new URL('quantize-worker.js', document.baseURI), { type: 'module' })
  const { read, take, quantize } = takerOf(parts, (order) => worker.postMessage(order, []))
  for (const input of parts.inputs) input.addEventListener('change', () => void take(input.files ?? []))
  parts.shapes.addEventListener('change', read)
  parts.go.addEventListener('click', quantize)
  addEventListener('dragover', (e) => e.preventDefault())
  addEventListener('drop', (e) => {
    e.preventDefault()
    void take(e.dataTransfer?.files ?? [])
  })
  worker.addEventListener('message', ({ data }: MessageEvent<Report>) => receive(parts, data))
  worker.addEventListener('error', (e) => stand(parts, 'failed', e.message || 'the worker could not be started'))
  stand(parts, 'empty', 'Drop an ONNX file here, and samples (.npz) beside it if you have some.')
}

main()
