/**
 * The machine's numbers, in one place: what the engine and a core are like, what work costs on one of them, and from which
 * size on a way of computing wins. Kernels build their costs from these; nobody else writes such a number. Threads and units only
 * share work out, which no result depends on. Numbers that choose an order of float sums (Winograd or not, how a sum is cut) are
 * the same on every machine, so that all of them get the same bits; to change one changes last bits.
 *
 * Times are nanoseconds on one core of the machine in README's benchmark notes: they need
 * to be right within a factor of two, since they decide whether work is worth a barrier and how it is cut. Behind each number
 * stands the benchmark that shows what it is worth: change it, run that before and after, alternately. `K` is
 * `npx tsx test/bench/kernels.ts` (products), `O` is `npx tsx test/bench/kernels-other.ts` (the rest), `W1` … `W12` are
 * workloads of `npm run bench -- --only W1`.
 */

/* What a core has. */

/** Bytes of a line of cache: buffers start at a multiple, so that threads never share one (`plan/place.ts` has the same). */
export const LINE_BYTES = 64
/** Bytes of a page of WebAssembly memory; the standard's number. */
export const PAGE_BYTES = 65536
/** Elements that one unit of a loop does: 32 KiB of floats, a first-level cache. W1, W2. */
export const LOOP_ELEMENTS = 8192
/** Bytes that a unit of Winograd's transform keeps at hand: what stays in a second-level cache. K 'W4 64-64 fwd'. */
export const WINOGRAD_HAND = 400_000
/** The same of its weight gradient, which shares the cache with sums. K 'W4 64-64 dw'. */
export const WINOGRAD_WEIGHT_HAND = 300_000
/** Bytes of partial sums that all units of that gradient keep together. K 'W4 64-64 dw'. */
export const WINOGRAD_WEIGHT_SUMS = 2_500_000
/** Bytes that all units of the transform keep together: a third-level cache. W5, W6 (b128). */
export const WINOGRAD_ROOM = 24_000_000
/** Columns of doubles whose results are made together along an axis: 16 KiB, half a first-level cache. W10. */
export const STRETCH_ELEMENTS = 2048

/* What V8's registers hold (16 of 128 bits on x86-64, some of which it keeps to itself). */

/** Heights of tiles of a product by their vectors of columns, the tallest first: accumulators, operands and the spread number fit. K. */
export const TILE_HEIGHTS: readonly (readonly number[])[] = [[], [6, 2, 1], [4, 2, 1], [2, 1], [2, 1], [1], [1], [1]]
/** Columns of the widest panel for a single row. K 'b1 linear', K 'depthwise'. */
export const WIDEST_PANEL = 28
/** Up to this many expressions a turn of a loop does two vectors. W1, W3. */
export const MOST_UNROLLED = 48
/** Members of one loop at most: more spill. W5 (step). */
export const MOST_MEMBERS = 96
/** What tiles take of the registers and lanes they are given: a single row, an odd one besides pairs, and by vectors of a narrow panel. K. */
export const TILE_SPENT = { single: 1.4, odd: 0.3, vectors: [0, 1.25, 2.1, 3, 4] }
/** A convolution goes along its rows if that uses so much of what the other orientation would: it packs no weight. K. */
export const ALONG_FROM = 0.97
/** Rows of a dot product for few rows at a time. K 'b1 linear'. */
export const DOT_ROWS = 2

/* What things cost. */

/** Products and sums per nanosecond, floats and integers alike where a tile is not told apart. K. */
export const PRODUCTS_PER_NS = 25
/** The same of integers, in pairs of 16 bits. K 'fwd int'. */
const INTEGER_PRODUCTS_PER_NS = 20
/** Products per nanosecond of a multiply-add of one type. */
export const productsPerNs = (float: boolean): number => (float ? PRODUCTS_PER_NS : INTEGER_PRODUCTS_PER_NS)
/** Products per nanosecond where each weight is read once: memory is the limit. K 'b1 linear'. */
export const DOTS_PER_NS = 12
/** What Winograd's transforms add to the products. K 'W4 64-64 fwd'. */
export const WINOGRAD_OVERHEAD = 1.3
/** Transforming one 3×3 filter. K 'W4 64-64 fwd'. */
export const FILTER_NS = 12
/** A product and sum of doubles, one after the other (the fallback for infinities). K, with infinities put in. */
export const EXACT_PRODUCT_NS = 2
/** Bytes copied or cleared per nanosecond. O 'reshape', O 'pad'. */
export const COPIED_PER_NS = 20
/** Numbers that are only looked at, or added in order, per nanosecond. O 'maxAll', O 'sum'. */
export const SEEN_PER_NS = 8
/** Numbers that become bytes or words per nanosecond, of an input and of a weight with scales. K 'linear … fwd int'. */
export const NARROWED_PER_NS = 16
export const QUANTIZED_PER_NS = 4
/** Numbers packed into panels per nanosecond. K, stages 'pack'. */
export const PACKED_PER_NS = 2
/** A row of a plane: where it goes is read from a table. K 'W5 … conv', stages 'place'. */
export const PLANE_ROW_NS = 2

/** Vector operations on four lanes: a division, a function computed in double, any other. W1 (division), W11 (functions). */
export const DIVISION_NS = 1.2
export const CALL_NS = 30
export const OPERATION_NS = 0.15
/** A number of a softmax: its power, its part of a sum and of a quotient. O 'softmax'. */
export const SHARE_NS = 6
/** Up to this a second computation beats writing four lanes to memory and reading them again. W1 (fwd-bwd). */
export const RECOMPUTED_NS = 5 * OPERATION_NS
/** Starting a loop: addresses and constants. W1/50. */
export const LOOP_START_NS = 10

/** An element of a row whose largest is wanted, and starting a row. O 'maxLast'. */
export const LARGEST_NS = 0.1
export const ROW_NS = 20
/** An element that is summed in doubles. O 'sum', O 'mean'. */
export const SUMMED_NS = 0.15
/** An element copied by an index of its own; and in runs. O 'permute', O 'broadcastTo'. */
export const MOVED_NS = 1
export const RUN_NS = 0.2
/** A partial result that is joined with others. O 'sum', O 'maxAll'. */
export const JOINED_NS = 2
/** An element of a window, or of a table of places. O 'maxPool', O 'avgPool'. */
export const TABLED_NS = 2
/** An element of windows of 2×2, which need no table. O 'maxPool', W5. */
export const POOLED_NS = 0.5
/** An element of a window that is averaged from bytes, and a window. O 'avgPool bytes'. */
export const AVERAGED_NS = { element: 0.25, window: 0.8 }
/** An element that is picked, or added, at a place which is read. W3 (collecting). */
export const PICKED_NS = 5
/** Elements that are copied before one of each row is added to, per nanosecond. W3 (collecting). */
export const ADDED_TO_PER_NS = 10
/** Starting a row along an axis that is not the last; and of a gradient that goes to one element. W10, O 'scatterToFirst'. */
export const AXIS_ROW_NS = 30
export const SPREAD_NS = 0.05
/** The k-th value: of a row that is sorted whole (once, and per element), of a sampled one (per element, sample, candidate). O 'kthValue'. */
export const SELECTION_NS = { start: 200, sorted: 8, filtered: 0.2, scanned: 0.1, sample: 8, drawn: 5, candidate: 10 }
/** The search for the scale of the least squared error: a number's error for four candidates, a candidate's scale. `test/evaluator/kernels-mse.test.ts` has the shapes. */
export const MSE_NS = { error: 3, candidate: 10, choice: 2 }

/* From which size on. */

/** Winograd's products must outweigh its transforms: channels (or words) in and out at least, and their product. K 'W5 … conv 16-32'. */
export const WINOGRAD_LEAST = { channels: 8, pairs: 256 }
/** Of its weight gradient also: pairs at most (each unit has sums for all of them), and positions at least. K '… dw'. */
export const WINOGRAD_WEIGHT = { mostPairs: 2 ** 16, leastPositions: 512, leastUnits: 4, mostUnits: 16 }
/** Columns that a block of tiles has at least, where there are so many: fewer would leave panels empty. K 'W5 b1 conv 16-32'. */
export const WINOGRAD_COLUMNS = 32
/** Units of the transform at most: each has room of its own; and at least, where whole images are a unit. W5, W6. */
export const WINOGRAD_UNITS = { least: 8, always: 4, most: 28 }
/** Positions of a chunk of a weight gradient's sum: its packed panel stays in cache; 28 × 28 is one image of W5. K '… dw'. */
export const GRADIENT_POSITIONS = 784
/** Linear layers of so few rows, and so many terms, read the weight as it lies. K 'b1 linear'. */
export const FEW_DOTS = { rows: 3, terms: 8 }
/** Terms that are packed at a time. K, stages 'pack'. */
export const PACKED_SPAN = 256
/** Bytes that are copied as one unit, and numbers that are added as one. K '… dw', stages 'sum'. */
export const COPY_BLOCK = 16384
export const SUM_BLOCK = 1024
/** Taps of a kernel that are paired along a row at most, and how far apart they may lie. K 'depthwise', K '1-16'. */
export const PAIRED_TAPS = { most: 64, farthest: 12 }
/**
 * Depthwise convolutions: taps at most, of sums of floats (whose taps stay in registers) and of words of integers or the weight's gradient; units,
 * and bytes of the rooms of all together; of the weight's gradient units at least (channels times parts of the images), and taps that are summed in
 * one pass. K 'depthwise'.
 */
export const DEPTHWISE = { floats: 9, taps: 25, units: 32, rooms: 4_000_000, parts: 16, sums: 9 }
/**
 * Float sums of products are added up in blocks of at most so many terms, for their rounding error.
 * `test/evaluator/products.test.ts` holds the error, K 'linear 1568' the time.
 */
export const FLOAT_SUM_BLOCK = 512

/** The engine's own copy beats a loop from so many elements on. O 'permute', O 'concat'. */
export const NATIVE_COPY_ELEMENTS = 512
/** The same for a loop's carried values, in bytes; and words up to which they are copied one by one. W11, W12. */
export const NATIVE_COPY_BYTES = 2048
export const SINGLE_WORDS = 4
/** Elements of a row up to which the k-th value is found by sorting all of it. O 'kthValue 1000'. */
export const SORTED_ROW = 1024
/** Elements of a row that is held in registers while its largest is looked for. O 'maxLast'. */
export const SHORT_ROW = 128
/** Windows of 2×2 in a row whose code is written out. W6. */
export const UNROLLED_WINDOWS = 256
/** Columns of a window whose sum is written out. O 'avgPool bytes'. */
export const UNROLLED_TAPS = 8
/** Numbers of one scale of at most 8 bits that doubles add up without rounding: multiples, below 2^32, of the scale's last place. */
export const EXACT_DOUBLES = 2 ** 21
/** Samples that are kept in a sorted list while they are drawn. O 'kthValue'. */
export const LISTED_SAMPLES = 48
/** Rows of at least so many elements are cut into chunks, where there are fewer than so many rows. O 'kthValue', O 'maxAll'. */
const LONG_ROW = 65536
const FEW_ROWS = 16
/** Is a row worth cutting, so that threads have something to share? */
export const cutsRows = (rows: number, n: number): boolean => n >= LONG_ROW && rows < FEW_ROWS
/** Chunks of such a row at most, and elements of one at least: where its largest is wanted, where its k-th is. O 'maxAll', O 'kthValue'. */
export const ROW_CHUNKS = 64
export const LARGEST_CHUNK = 32768
export const SELECTION_CHUNK = 65536
/** A sum with fewer results than this is cut into parts, of so many elements at least and so many parts at most. O 'sum', O 'mean'. */
export const SUM_PARTS = { enough: 16, elements: 32768, most: 64 }
/** A copy with fewer pieces than this is cut, into so many elements. O 'permute', O 'concat'. */
export const COPY_PARTS = { enough: 64, elements: 8192 }
/** Entries of a table at most (16 MiB); larger ones are left to the reference. O 'maxPool'. */
export const MOST_ENTRIES = 1 << 22
/** Elements of a loop that runs inside another kernel: enough to be worth its start, few enough for a first-level cache. W5, W6. */
export const EPILOGUE_ELEMENTS = { least: 512, most: 8192 }

/* Threads. */

/** Work that one thread does in fewer nanoseconds is not split: about what a barrier costs when a thread must be woken. W5 b1, two threads. */
export const SPLIT_ABOVE_NS = 25_000
/** A segment is worth waking threads for if what they can share takes so many times that. W5 b1, two threads. */
export const WORTH_WAKING = 30
/** Work of a unit of a product in nanoseconds: not much less (a unit costs some itself), not much more (threads should end together). W5, two threads. */
export const UNIT_NS = { least: 4_000, most: 60_000, parts: 32 }
/** The same of a dot product for few rows. K 'b1 linear'. */
export const DOT_UNIT_NS = 8000
/** Units of a sweep at most, and of one whose units are small, or have scratch of their own: enough for `MOST_THREADS` to end together. W1, W5. */
export const UNITS = { most: 256, small: 64, withScratch: 32 }
/**
 * Waiting at a barrier. Turns awake, about half a millisecond: longer than most work that one thread does alone while the others
 * wait. Then sleeps of so many milliseconds, which the last arrival ends; a thread that may not sleep counts turns instead.
 * W5 b1, two threads.
 */
export const BARRIER = { spins: 250_000, napMs: 20, awakeNaps: 80 }
/**
 * Naps after which a thread is given up: at first (about five seconds: code may still be in the making), at least (0.6 seconds),
 * and times what the whole segment took at most, for a machine with other work. `test/evaluator/commits.test.ts`.
 */
export const PATIENCE = { atFirst: 250, least: 30, times: 20 }
/** Turns that a worker waits awake for the next segment, about a millisecond: that of a training loop comes sooner, and waking up takes longer than most of them. W5 b1. */
export const WORKER_SPINS = 150_000
/** Milliseconds in which workers must have started (later they join when they come), and that a plan's first use waits for them to read it: asleep, or in a page's main thread, which must not be held up. */
export const CREW_MS = { startup: 5000, reading: 200, readingAwake: 20 }
/** Shared memories that are kept for the next plan; older ones go to the collector. W7. */
export const IDLE_MEMORIES = 8
/**
 * One thread or many: the first runs are not timed (code is being optimised); each change of kind has one untimed run, then so
 * many timed ones; the other kind is tried again after few runs at first, while code still gets faster, then more and more.
 * `test/evaluator/balance.test.ts`, W5 on a busy machine.
 */
export const BALANCE = { warmUp: 20, probes: 4, firstHold: 6, longestHold: 200, freshness: 0.3 }
/** Threads by default at most: beyond them memory is the limit. W1, W5 at 1, 2, 4, 8. */
export const MOST_THREADS_BY_DEFAULT = 8

/* Code. */

/** Equal steps from which on they share their code, and nanoseconds of a kernel up to which that matters: to look addresses up takes a few. W7. */
export const SHARED_STEPS = 4
export const SHARED_NS = 20_000
/** 8-bit dot products must be so many times as fast as 16-bit ones: those have Winograd, which saves 2.25 times the multiplications. `npm run bench:int8`. */
export const WORTH_BYTES = 1.5
