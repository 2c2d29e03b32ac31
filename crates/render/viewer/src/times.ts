/** When and where weight was measured: rows of (node, cell of time, group, weight). */

/** Cells of one capture. */
export interface Capture {
  cells: number;
  cell_ms: number;
  start_unix_ms: number | null;
}

export const PARTS = ['host', 'cgroup', 'process', 'thread', 'cpu'] as const;
export type Part = (typeof PARTS)[number];

export interface Times {
  captures: Capture[];
  /** How much of each cell was observed. */
  cellMs: Float64Array;
  /** For each group, rows of `texts`. */
  groups: Record<Part, Uint32Array>;
  texts: string[];
  node: Uint32Array;
  cell: Uint32Array;
  group: Uint32Array;
  weight: Float64Array;
}

/** First cell, and the one behind the last. */
export type Range = readonly [from: number, to: number];

/** Turns steps from row to row into places, as `html/over_time.rs` makes them. */
export function placed(nodeSteps: Uint32Array, cellSteps: Uint32Array): { node: Uint32Array; cell: Uint32Array } {
  const node = new Uint32Array(nodeSteps.length);
  const cell = new Uint32Array(nodeSteps.length);
  for (let i = 0, at = 0; i < node.length; i++) {
    at += nodeSteps[i]!;
    node[i] = at;
    cell[i] = cellSteps[i]! + (i > 0 && nodeSteps[i] === 0 ? cell[i - 1]! : 0);
  }
  return { node, cell };
}

/** Which groups pass the filters; null: all. */
export function keptGroups(times: Times, filters: ReadonlyMap<string, number>): Uint8Array | null {
  const asked = PARTS.filter((part) => filters.has(part));
  if (asked.length === 0) return null;
  const count = times.groups.host.length;
  const kept = new Uint8Array(count);
  for (let group = 0; group < count; group++) {
    kept[group] = asked.every((part) => times.groups[part][group] === filters.get(part)) ? 1 : 0;
  }
  return kept;
}

/** Weight of each node itself in a range of cells, of the groups that are kept. */
export function ownIn(times: Times, size: number, kept: Uint8Array | null, range: Range | null): Float64Array {
  const own = new Float64Array(size);
  const [from, to] = range ?? [0, times.cellMs.length];
  for (let i = 0; i < times.node.length; i++) {
    const cell = times.cell[i]!;
    if (cell >= from && cell < to && (kept === null || kept[times.group[i]!] === 1)) {
      own[times.node[i]!]! += times.weight[i]!;
    }
  }
  return own;
}

/** Weight of each cell, of the groups that are kept. */
export function cellWeights(times: Times, kept: Uint8Array | null): Float64Array {
  const weights = new Float64Array(times.cellMs.length);
  for (let i = 0; i < times.node.length; i++) {
    if (kept === null || kept[times.group[i]!] === 1) weights[times.cell[i]!]! += times.weight[i]!;
  }
  return weights;
}

export function observedSeconds(times: Times, [from, to]: Range): number {
  return times.cellMs.subarray(from, to).reduce((sum, ms) => sum + ms, 0) / 1000;
}

/** Different values of a part, the heaviest first. */
export function valuesOf(times: Times, part: Part): { value: number; weight: number }[] {
  const sums = new Map<number, number>();
  const values = times.groups[part];
  for (let i = 0; i < times.node.length; i++) {
    const value = values[times.group[i]!]!;
    sums.set(value, (sums.get(value) ?? 0) + times.weight[i]!);
  }
  const list = [...sums].map(([value, weight]) => ({ value, weight }));
  return list.sort((a, b) => b.weight - a.weight || a.value - b.value);
}

/** Seconds from the start of the first capture to the start of a cell; captures stand one behind the other. */
export function secondsAt(times: Times, cell: number): number {
  let ms = 0;
  let left = cell;
  for (const capture of times.captures) {
    const cells = Math.min(left, capture.cells);
    ms += cells * capture.cell_ms;
    left -= cells;
  }
  return ms / 1000;
}

/** The cell that holds a time. */
export function cellAt(times: Times, seconds: number): number {
  let ms = Math.max(0, seconds * 1000);
  let first = 0;
  for (const capture of times.captures) {
    const cell = Math.floor(ms / capture.cell_ms + 1e-6);
    if (cell < capture.cells) return first + cell;
    ms -= capture.cells * capture.cell_ms;
    first += capture.cells;
  }
  return first;
}

/** "2026-11-21 04:24:45.20 UTC", or how long after the start where nobody knows. */
export function clockAt(times: Times, cell: number): string {
  let left = cell;
  for (const [number, capture] of times.captures.entries()) {
    const last = number + 1 === times.captures.length;
    if (left < capture.cells || (last && left === capture.cells)) {
      const after = left * capture.cell_ms;
      if (capture.start_unix_ms === null) return `${(after / 1000).toFixed(2)} s`;
      return `${new Date(capture.start_unix_ms + after).toISOString().replace('T', ' ').slice(0, -2)} UTC`;
    }
    left -= capture.cells;
  }
  return '';
}

/** Columns of the heatmap: each holds so many cells of one capture, one below the other. */
export const CELLS_PER_COLUMN = 50;

/** For each column its first cell; one more for the end. */
export function columnStarts(times: Times): number[] {
  const starts = [];
  let first = 0;
  for (const { cells } of times.captures) {
    for (let cell = 0; cell < cells; cell += CELLS_PER_COLUMN) starts.push(first + cell);
    first += cells;
  }
  return [...starts, first];
}
