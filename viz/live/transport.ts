/** Pause, one step, restart, speed; and in words how training stands. */
import { byId } from '../page/dom.js'
import type { LiveFrame } from './frame.js'

/** How training stands. */
export type LiveStatus = 'loading' | 'running' | 'paused' | 'finished' | 'stopped' | 'failed'
/** What the buttons do. */
export type TransportActions = {
  readonly onGo: () => void
  readonly onPause: () => void
  readonly onStep: () => void
  readonly onRestart: () => void
  readonly onPace: (ms: number) => void
}

const PACES: readonly (readonly [ms: number, name: string])[] = [
  [0, 'full speed'],
  [100, '10 steps a second'],
  [500, '2 steps a second'],
]

/** The markup of the bar. */
export const transportMarkup = `<section id="transport" aria-label="Training">
<button type="button" id="go">Pause</button><button type="button" id="step">Step</button><button type="button" id="restart">Restart</button>
<label>Speed <select id="pace">${PACES.map(([ms, name]) => `<option value="${ms}">${name}</option>`).join('')}</select></label>
<progress id="progress" max="1" value="0" aria-label="Share of all epochs done"></progress>
<output id="standing">Loading the digits …</output>
<span id="status" role="status" class="soft"></span>
<span id="backend" class="soft"></span>
</section>
`

/** The bar, brought up to date. */
export type Transport = {
  readonly status: (status: LiveStatus, words?: string) => void
  readonly standing: (f: LiveFrame, epochs: number) => void
  readonly backend: (words: string) => void
}

const WORDS: { readonly [s in LiveStatus]: string } = {
  loading: 'loading',
  running: 'training',
  paused: 'paused',
  finished: 'finished: restart, or change bits and see what the same weights are worth',
  stopped: 'stopped',
  failed: 'failed',
}

const buttonById = (id: string): HTMLButtonElement => {
  const e = byId(id)
  if (!(e instanceof HTMLButtonElement)) throw new Error(`#${id} is no button`)
  return e
}

/** Wires the bar. */
export const wireTransport = (a: TransportActions): Transport => {
  let now: LiveStatus = 'loading'
  const [go, step, pace, progress] = [buttonById('go'), buttonById('step'), byId('pace'), byId('progress')]
  go.addEventListener('click', () => (now === 'running' ? a.onPause() : a.onGo()))
  step.addEventListener('click', a.onStep)
  byId('restart').addEventListener('click', a.onRestart)
  pace.addEventListener('change', () => {
    if (pace instanceof HTMLSelectElement) a.onPace(Number(pace.value))
  })
  return {
    status: (next, words) => {
      now = next
      document.body.setAttribute('data-status', next)
      go.textContent = next === 'running' || next === 'loading' ? 'Pause' : 'Go on'
      for (const b of [go, step])
        b.disabled = next === 'loading' || next === 'finished' || next === 'stopped' || next === 'failed'
      byId('status').textContent = words ?? WORDS[next]
    },
    standing: (f, epochs) => {
      if (progress instanceof HTMLProgressElement) progress.value = f.batches === 0 ? 0 : f.step / (epochs * f.batches)
      const rate = f.imagesPerSecond >= 1 ? ` · ${Math.round(f.imagesPerSecond)} images a second` : ''
      byId('standing').textContent = `step ${f.step} · epoch ${Math.min(f.epoch + 1, epochs)} of ${epochs}${rate}`
    },
    backend: (words) => {
      byId('backend').textContent = words
    },
  }
}
