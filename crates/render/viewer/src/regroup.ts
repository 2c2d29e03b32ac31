/**
 * Other trees of the same stacks: callers first (inverted), callers and callees of one function.
 *
 * A node of such a tree is a group of nodes of the original. Only groups that are wide enough to be seen are
 * taken apart; of what is below the limit one node is left that stands for all of it. Zooming builds the tree
 * again along the path zoomed into.
 */

import { type Shape, type Tree, NO_FRAME, fromDepths } from './tree';

/** How a tree is built. */
export interface Options {
  /** Groups narrower than this part of the focus are not taken apart. */
  least: number;
  /** Frames from the root's child down to the focus; only they are taken apart above it. */
  focus: readonly number[];
  /** Orders siblings: the frames' names. */
  compare: (a: number, b: number) => number;
}

/** Nodes of the original that are one node here. */
interface Group {
  frame: number;
  /** Where each of them stands now. */
  at: number[];
  /** The node of the original whose weight it carries; in callees `at` itself. */
  from: number[];
}

/** What is below a group. */
type Expand = (group: Group) => { groups: Group[]; ended: number[] };

/** Leaves first: who calls what costs. Callers of `seeds`, whose whole subtrees count; of all code by default. */
export function callers(tree: Tree, seeds: number[] | null, options: Options): Tree {
  const { parent, frame } = tree.shape;
  const carried = seeds ? 'total' : 'own';
  const weight = (side: number, from: number) => tree.sides[side]![carried][from]!;
  const expand: Expand = (group) => {
    const groups = new Map<number, Group>();
    const ended: number[] = [];
    for (let i = 0; i < group.at.length; i++) {
      const above = parent[group.at[i]!]!;
      if (above === 0) ended.push(group.from[i]!);
      else add(groups, frame[above]!, above, group.from[i]!);
    }
    return { groups: [...groups.values()], ended };
  };
  const first = new Map<number, Group>();
  if (seeds) {
    for (const seed of seeds) add(first, frame[seed]!, seed, seed);
  } else {
    const owns = (i: number) => tree.sides.some((side) => side.own[i]! > 0);
    for (let i = 1; i < tree.shape.size; i++) if (owns(i)) add(first, frame[i]!, i, i);
  }
  return build(tree, [...first.values()], expand, weight, options);
}

/** What `roots` call, merged. */
export function callees(tree: Tree, roots: number[], options: Options): Tree {
  const { end, frame } = tree.shape;
  const weight = (side: number, from: number) => tree.sides[side]!.total[from]!;
  const expand: Expand = (group) => {
    const groups = new Map<number, Group>();
    for (const node of group.at) {
      for (let child = node + 1; child < end[node]!; child = end[child]!) {
        if (tree.sides.some((side) => side.total[child]! > 0)) add(groups, frame[child]!, child, child);
      }
    }
    return { groups: [...groups.values()], ended: group.at };
  };
  const first = new Map<number, Group>();
  for (const root of roots) add(first, frame[root]!, root, root);
  const own = (side: number, from: number) => tree.sides[side]!.own[from]!;
  return build(tree, [...first.values()], expand, weight, options, own);
}

function add(groups: Map<number, Group>, frame: number, at: number, from: number): void {
  let group = groups.get(frame);
  if (!group) groups.set(frame, (group = { frame, at: [], from: [] }));
  group.at.push(at);
  group.from.push(from);
}

function build(
  tree: Tree, first: Group[], expand: Expand,
  weight: (side: number, from: number) => number, options: Options,
  own: (side: number, from: number) => number = weight,
): Tree {
  const sides = tree.sides.map((_, side) => side);
  const sum = (list: number[], of: typeof weight) =>
    sides.map((side) => list.reduce((total, from) => total + of(side, from), 0));
  const depth: number[] = [0];
  const frames: number[] = [NO_FRAME];
  const totals: number[][] = sides.map(() => [0]);
  const owns: number[][] = sides.map(() => [0]);
  const push = (d: number, frame: number, total: number[], self: number[]) => {
    depth.push(d);
    frames.push(frame);
    for (const side of sides) {
      totals[side]!.push(total[side]!);
      owns[side]!.push(self[side]!);
    }
  };
  let limits = sides.map(() => 0);
  interface Work { group: Group; depth: number; onPath: boolean; total: number[] }
  const prepare = (groups: Group[], d: number, onPath: boolean): Work[] => {
    const work = groups.map((group) => ({ group, depth: d, onPath, total: sum(group.from, weight) }));
    work.sort((a, b) => options.compare(a.group.frame, b.group.frame));
    return work;
  };
  const start = prepare(first, 1, true);
  for (const side of sides) totals[side]![0] = start.reduce((total, work) => total + work.total[side]!, 0);
  limits = sides.map((side) => totals[side]![0]! * options.least);
  const stack: Work[] = [];
  const enqueue = (works: Work[]) => {
    const wide = (work: Work) => sides.some((side) => work.total[side]! > 0 && work.total[side]! >= limits[side]!);
    const rest = works.filter((work) => !wide(work));
    if (rest.length > 0) {
      const total = sides.map((side) => rest.reduce((all, work) => all + work.total[side]!, 0));
      push(rest[0]!.depth, NO_FRAME, total, total);
    }
    stack.push(...works.filter(wide).reverse());
  };
  enqueue(start);
  while (stack.length > 0) {
    const { group, depth: d, onPath, total } = stack.pop()!;
    const isOnPath = onPath && d <= options.focus.length && options.focus[d - 1] === group.frame;
    const below = isOnPath && d === options.focus.length;
    if (below) limits = total.map((weight) => weight * options.least);
    const open = options.focus.length === 0 || isOnPath || d > options.focus.length;
    const place = depth.length;
    push(d, group.frame, total, sides.map(() => 0));
    if (!open) {
      for (const side of sides) owns[side]![place] = total[side]!;
      continue;
    }
    const { groups, ended } = expand(group);
    sum(ended, own).forEach((weight, side) => { owns[side]![place] = weight; });
    enqueue(prepare(groups, d + 1, isOnPath));
  }
  const shape: Shape = fromDepths(Uint32Array.from(depth), Uint32Array.from(frames));
  return {
    shape,
    sides: sides.map((side) => ({
      own: Float64Array.from(owns[side]!),
      total: Float64Array.from(totals[side]!),
    })),
    grade: null,
  };
}
