/** The trees behind the views, made when they are first asked for. */

import type { Data } from './payload';
import type { Side } from './picture';
import { type Options, callees, callers } from './regroup';
import type { State } from './state';
import { type Range, keptGroups, observedSeconds, ownIn } from './times';
import { type FunctionRow, type Tree, NOT_JUDGED, NO_FRAME, functions, topmost, weigh } from './tree';

/** Standard deviations of counting error within which nothing is said. */
const SIGMAS = 2;

export class Model {
  private readonly all: Tree;
  /** What was made last, and of what. */
  private made: { key: string; tree: Tree; seconds: number[] | null; rows: FunctionRow[] | null };
  private ranks: Uint32Array | null = null;

  constructor(private readonly data: Data) {
    this.all = weigh(data.shape, data.own, data.grade);
    this.made = { key: '', tree: this.all, seconds: null, rows: null };
  }

  /** The tree of the chosen time, or of two by the second, and of what the filters leave. */
  tree(state: State): Tree {
    const { times, shape } = this.data;
    const filters = [...state.filters].flat().join();
    const key = times && (state.time || filters) ? [state.time, state.time && state.otherTime, filters].join('/') : '';
    if (this.made.key === key) return this.made.tree;
    this.made = { key, tree: this.all, seconds: null, rows: null };
    if (!times || key === '') return this.all;
    const kept = keptGroups(times, state.filters);
    const own = (range: Range | null) => ownIn(times, shape.size, kept, range);
    if (state.time && state.otherTime) {
      const ranges = [state.otherTime, state.time];
      this.made.seconds = ranges.map((range) => observedSeconds(times, range));
      const rates = ranges.map((range, side) => own(range).map((weight) => weight / (this.made.seconds![side]! || 1)));
      this.made.tree = this.judged(weigh(shape, rates, null));
    } else {
      this.made.tree = weigh(shape, [own(state.time)], null);
    }
    return this.made.tree;
  }

  /** Grades by counting error, as the comparison of two files does that lack times. */
  private judged(tree: Tree): Tree {
    const [before, after] = [tree.sides[0]!.total, tree.sides[1]!.total];
    const variance = this.made.seconds!.map((seconds) => this.data.head.sample_weight / (seconds || 1));
    const grade = new Uint8Array(tree.shape.size);
    for (let i = 0; i < grade.length; i++) {
      const allowed = SIGMAS * Math.sqrt(before[i]! * variance[0]! + after[i]! * variance[1]!);
      const change = after[i]! - before[i]!;
      grade[i] = change > allowed ? 1 : change < -allowed ? 2 : 0;
    }
    return { ...tree, grade };
  }

  /** Unit of what is shown. */
  unit(state: State): string {
    this.tree(state);
    const { unit } = this.data.head;
    if (!this.made.seconds) return unit;
    return unit === 'CPU-seconds' ? 'cores' : `${unit} per second`;
  }

  shownSide(state: State): Side {
    return this.tree(state).sides.length === 2 ? state.side : 'only';
  }

  judgedBy(state: State): string {
    this.tree(state);
    return this.made.seconds ? 'counting' : this.data.head.judged_by ?? 'nothing';
  }

  functions(state: State): FunctionRow[] {
    const tree = this.tree(state);
    this.made.rows ??= functions(tree, this.data.frames.function, this.data.frames.functionCount);
    return this.made.rows;
  }

  functionName(number: number): string {
    const frame = this.data.frames.function.indexOf(number);
    const module = this.data.frames.modules[this.data.frames.module[frame]!] ?? '';
    const name = this.data.frames.names[frame] ?? '';
    return module === '' ? name : `${name} (${module})`;
  }

  /** Place of each frame in order of the names. */
  private rank(): Uint32Array {
    if (this.ranks) return this.ranks;
    const { names } = this.data.frames;
    const order = names.map((_, frame) => frame);
    order.sort((a, b) => (names[a]! < names[b]! ? -1 : names[a]! > names[b]! ? 1 : a - b));
    const ranks = new Uint32Array(names.length);
    order.forEach((frame, rank) => { ranks[frame] = rank; });
    this.ranks = ranks;
    return ranks;
  }

  private options(focus: readonly number[], least: number): Options {
    const rank = this.rank();
    return { least, focus, compare: (a, b) => rank[a]! - rank[b]! };
  }

  /** Leaves first; of one function, or of everything. */
  callers(state: State, seeds: number[] | null, focus: readonly number[], least: number): Tree {
    const tree = callers(this.tree(state), seeds, this.options(focus, least));
    return this.graded(tree, 'own');
  }

  /** Callers and callees of the state's function. */
  sandwich(state: State, least: number): [callers: Tree, callees: Tree] {
    const tree = this.tree(state);
    const functionOf = this.data.frames.function;
    const seeds = topmost(tree.shape, (frame) => functionOf[frame] === state.function);
    const options = this.options([], least);
    return [
      this.graded(callers(tree, seeds, options), 'total'),
      this.graded(callees(tree, seeds, options), 'total'),
    ];
  }

  /** What the comparison says of functions holds for the outermost frames of a regrouped tree; no other was judged. */
  private graded(tree: Tree, part: 'own' | 'total'): Tree {
    const { verdicts, frames } = this.data;
    if (this.made.seconds) return this.judged(tree);
    if (!verdicts) return tree;
    const ofFunction = new Map(Array.from(verdicts.function, (number, row) => [number, verdicts[part][row]!]));
    const { size, depth, frame } = tree.shape;
    const grade = new Uint8Array(size).fill(NOT_JUDGED);
    if (part === 'own') grade[0] = this.all.grade![0]!;
    for (let i = 1; i < size; i++) {
      if (depth[i] !== 1 || frame[i] === NO_FRAME) continue;
      grade[i] = ofFunction.get(frames.function[frame[i]!]!) ?? 0;
    }
    return { ...tree, grade };
  }

  /** The function with most weight of its own. */
  heaviest(state: State): number {
    const weight = (row: FunctionRow) => Math.max(...row.own);
    const best = this.functions(state).reduce<FunctionRow | null>(
      (found, row) => (found === null || weight(row) > weight(found) ? row : found), null);
    return best?.function ?? -1;
  }

  /** Where a function changed or weighs most. */
  heaviestNode(state: State, number: number): number {
    const tree = this.tree(state);
    const [first, second] = tree.sides;
    const size = (node: number) =>
      second ? Math.abs(second.total[node]! - first!.total[node]!) : first!.total[node]!;
    const nodes = topmost(tree.shape, (frame) => this.data.frames.function[frame] === number);
    return nodes.reduce((best, node) => (best === 0 || size(node) > size(best) ? node : best), 0);
  }
}
