/** Call trees as columns in pre-order: what is below a node follows it, up to its `end`. */

/** The frame of the root, and of what stands for frames too small to show. */
export const NO_FRAME = 0xffffffff;

/** The grade of paths that were not judged. */
export const NOT_JUDGED = 3;

/** Who calls whom. */
export interface Shape {
  size: number;
  depth: Uint32Array;
  parent: Uint32Array;
  /** The node behind the last one below. */
  end: Uint32Array;
  frame: Uint32Array;
}

/** Weights of one side. */
export interface Weights {
  own: Float64Array;
  total: Float64Array;
}

/** Who calls whom, and what it costs: one side, or before and after. */
export interface Tree {
  shape: Shape;
  sides: Weights[];
  /** Of a comparison, what may be said of each node: 0 nothing, 1 it grew, 2 it shrank; or nobody asked. */
  grade: Uint8Array | null;
}

/** From "up by so many steps, then one down" for each node but the root. */
export function shapeOf(up: Uint32Array, frames: Uint32Array): Shape {
  const size = up.length + 1;
  const depth = new Uint32Array(size);
  const frame = new Uint32Array(size);
  frame[0] = NO_FRAME;
  for (let i = 1; i < size; i++) {
    depth[i] = depth[i - 1]! + 1 - up[i - 1]!;
    frame[i] = frames[i - 1]!;
  }
  return fromDepths(depth, frame);
}

export function fromDepths(depth: Uint32Array, frame: Uint32Array): Shape {
  const size = depth.length;
  const parent = new Uint32Array(size);
  const end = new Uint32Array(size).fill(size);
  let deepest = 0;
  for (let i = 0; i < size; i++) if (depth[i]! > deepest) deepest = depth[i]!;
  const path = new Uint32Array(deepest + 1);
  let last = 0;
  for (let i = 1; i < size; i++) {
    const d = depth[i]!;
    for (let above = last; above >= d; above--) end[path[above]!] = i;
    parent[i] = path[d - 1]!;
    path[d] = i;
    last = d;
  }
  return { size, depth, parent, end, frame };
}

/** Adds up from the leaves. */
export function totals(shape: Shape, own: Float64Array): Float64Array {
  const total = own.slice();
  const { parent } = shape;
  for (let i = shape.size - 1; i > 0; i--) total[parent[i]!]! += total[i]!;
  return total;
}

export function weigh(shape: Shape, own: Float64Array[], grade: Uint8Array | null): Tree {
  return { shape, sides: own.map((list) => ({ own: list, total: totals(shape, list) })), grade };
}

/** Nodes from the root's child down to `node`. */
export function path(shape: Shape, node: number): number[] {
  const nodes = [];
  for (let at = node; at > 0; at = shape.parent[at]!) nodes.push(at);
  return nodes.reverse();
}

/** Width of each node: its weight, or of two sides the larger, and no less than its children together. */
export function widths(tree: Tree, side: number | 'both'): Float64Array {
  if (side !== 'both') return tree.sides[side]!.total;
  const [before, after] = [tree.sides[0]!.total, tree.sides[1]!.total];
  const { size, parent } = tree.shape;
  const width = new Float64Array(size);
  // What the children take is added up in place, before their parent is looked at.
  for (let i = size - 1; i >= 0; i--) {
    width[i] = Math.max(before[i]!, after[i]!, width[i]!);
    if (i > 0) width[parent[i]!]! += width[i]!;
  }
  return width;
}

/** Weights of one function, for each side. */
export interface FunctionRow {
  function: number;
  /** A frame of it. */
  frame: number;
  own: number[];
  total: number[];
}

/** Self and total of every function; a function that recurs counts once for each stack. */
export function functions(tree: Tree, functionOf: Uint32Array, count: number): FunctionRow[] {
  const { size, frame, end } = tree.shape;
  const rows: (FunctionRow | undefined)[] = new Array(count);
  const zeros = tree.sides.map(() => 0);
  // Where the subtree ends in which a function is already on the path.
  const covered = new Uint32Array(count);
  for (let i = 1; i < size; i++) {
    if (frame[i] === NO_FRAME) continue;
    const number = functionOf[frame[i]!]!;
    const row = (rows[number] ??= { function: number, frame: frame[i]!, own: zeros.slice(), total: zeros.slice() });
    const topmost = i >= covered[number]!;
    if (topmost) covered[number] = end[i]!;
    for (let side = 0; side < tree.sides.length; side++) {
      row.own[side]! += tree.sides[side]!.own[i]!;
      if (topmost) row.total[side]! += tree.sides[side]!.total[i]!;
    }
  }
  return rows.filter((row) => row !== undefined && row.total.some((weight) => weight > 0)) as FunctionRow[];
}

/** The outermost nodes of a function. */
export function topmost(shape: Shape, is: (frame: number) => boolean): number[] {
  const found = [];
  for (let i = 1; i < shape.size;) {
    const frame = shape.frame[i]!;
    if (frame !== NO_FRAME && is(frame)) {
      found.push(i);
      i = shape.end[i]!;
    } else {
      i++;
    }
  }
  return found;
}
