/** Where bars stand: only those that can be seen. */

import { type Shape, NO_FRAME } from './tree';

/** Narrower than this, in pixels, and a bar is not drawn by itself. */
const LEAST_PX = 0.5;

/** Bars sorted by depth, and from left to right. */
export interface Layout {
  /** The node; of bars that stand for what is too small, its caller's. */
  node: Uint32Array;
  merged: Uint8Array;
  left: Float32Array;
  right: Float32Array;
  /** By depth: its first bar; one more for the end. */
  rows: Uint32Array;
}

/** Part of the whole that is shown, in weight. */
export interface Span {
  from: number;
  to: number;
}

/** Where each node begins, in weight. */
export function starts(shape: Shape, width: Float64Array): Float64Array {
  const start = new Float64Array(shape.size);
  const filled = new Float64Array(shape.size);
  const { parent } = shape;
  for (let i = 1; i < shape.size; i++) {
    const above = parent[i]!;
    start[i] = start[above]! + filled[above]!;
    filled[above]! += width[i]!;
  }
  return start;
}

/** Grows as needed. */
class List {
  node: number[] = [];
  merged: number[] = [];
  left: number[] = [];
  right: number[] = [];
  depth: number[] = [];

  push(node: number, merged: number, depth: number, left: number, right: number): void {
    this.node.push(node);
    this.merged.push(merged);
    this.depth.push(depth);
    this.left.push(left);
    this.right.push(right);
  }
}

export function layOut(shape: Shape, width: Float64Array, start: Float64Array, span: Span, px: number): Layout {
  const list = new List();
  const { end, depth, frame } = shape;
  const scale = span.to > span.from ? px / (span.to - span.from) : 0;
  const least = scale > 0 ? LEAST_PX / scale : Infinity;
  const x = (weight: number) => Math.min(px, Math.max(0, (weight - span.from) * scale));
  list.push(0, 0, 0, 0, px);
  // In pre-order, without what lies outside or is too small: jumping to its end leaves all below it out.
  let runFrom = 0;
  let runTo = 0;
  let runParent = -1;
  const endRun = () => {
    if (runParent >= 0 && x(runTo) - x(runFrom) >= LEAST_PX) {
      list.push(runParent, 1, depth[runParent]! + 1, x(runFrom), x(runTo));
    }
    runParent = -1;
  };
  for (let i = 1; i < shape.size;) {
    const from = start[i]!;
    const to = from + width[i]!;
    if (to <= span.from || from >= span.to || !(width[i]! > 0)) {
      i = end[i]!;
    } else if (width[i]! < least || frame[i] === NO_FRAME) {
      const parent = shape.parent[i]!;
      if (runParent !== parent || runTo < from - least) {
        endRun();
        runParent = parent;
        runFrom = from;
      }
      runTo = to;
      i = end[i]!;
    } else {
      if (runParent >= 0) endRun();
      list.push(i, 0, depth[i]!, x(from), x(to));
      i++;
    }
  }
  endRun();
  return sorted(list);
}

/** By depth; within one the order stays, which is from left to right. */
function sorted(list: List): Layout {
  const deepest = list.depth.reduce((most, depth) => Math.max(most, depth), 0);
  const rows = new Uint32Array(deepest + 2);
  for (const depth of list.depth) rows[depth + 1]!++;
  for (let depth = 0; depth <= deepest; depth++) rows[depth + 1]! += rows[depth]!;
  const next = rows.slice();
  const count = list.node.length;
  const layout = {
    node: new Uint32Array(count), merged: new Uint8Array(count),
    left: new Float32Array(count), right: new Float32Array(count), rows,
  };
  for (let i = 0; i < count; i++) {
    const place = next[list.depth[i]!]!++;
    layout.node[place] = list.node[i]!;
    layout.merged[place] = list.merged[i]!;
    layout.left[place] = list.left[i]!;
    layout.right[place] = list.right[i]!;
  }
  return layout;
}

/** The bar at a place; -1 where there is none. */
export function barAt(layout: Layout, depth: number, x: number): number {
  if (depth < 0 || depth + 1 >= layout.rows.length) return -1;
  let low = layout.rows[depth]!;
  let high = layout.rows[depth + 1]!;
  const last = high;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (layout.right[middle]! <= x) low = middle + 1;
    else high = middle;
  }
  return low < last && layout.left[low]! <= x ? low : -1;
}
