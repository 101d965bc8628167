/** What the page that quantizes and its worker say to each other: plain data. */

/** An input of a model: its name there, and its shape as it was read. */
export type Port = { readonly name: string; readonly shape: readonly number[] }

/** From the page. */
export type Order =
  /** Read a model; `shapes` says sizes that it leaves open, as `x=1,3,48,192; y=1,4`. */
  | { readonly tag: 'open'; readonly name: string; readonly bytes: Uint8Array; readonly shapes: string }
  /** Quantize the model that was read; without samples, numbers are drawn. */
  | { readonly tag: 'quantize'; readonly scheme: string; readonly samples: Uint8Array | null }

/** From the worker. */
export type Report =
  | { readonly tag: 'opened'; readonly inputs: readonly Port[]; readonly words: string; readonly page: string }
  | { readonly tag: 'progress'; readonly words: string; readonly done: number; readonly total: number }
  | {
      readonly tag: 'quantized'
      /** The file, and what to call it. */
      readonly bytes: Uint8Array
      readonly name: string
      readonly words: string
      /** What became of each layer. */
      readonly report: string
      /** Float and quantized, side by side. */
      readonly page: string
    }
  | { readonly tag: 'failed'; readonly message: string }
