/** A tree as it is to be drawn: which side, how wide each bar is, and in what colour. */

import type { Data, Frames, Paint } from './payload';
import { starts } from './layout';
import { type Tree, NO_FRAME, widths } from './tree';

/** What is shown of a comparison. */
export type Side = 'only' | 'before' | 'after' | 'difference';

export interface Picture {
  tree: Tree;
  /** What the root stands for. */
  rootName: string;
  /** Unit of its weights, once divided by the report's weight of one unit. */
  unit: string;
  /** Weight of everything, for each side, also where the tree is of one function only. */
  wholes: number[];
  side: Side;
  width: Float64Array;
  start: Float64Array;
}

export function picture(tree: Tree, side: Side, rootName: string, unit: string, wholes: number[]): Picture {
  const width = widths(tree, side === 'difference' ? 'both' : side === 'after' ? 1 : 0);
  return { tree, rootName, unit, wholes, side, width, start: starts(tree.shape, width) };
}

/** Rows of the paints that stand for something else than a kind of frame. */
export class Painter {
  private readonly grew: number;
  private readonly shrank: number;
  private readonly noise: number;
  readonly merged: number;
  private readonly process: number;

  constructor(private readonly frames: Frames, paints: readonly Paint[]) {
    const row = (letter: string) => paints.findIndex((paint) => paint.letter === letter);
    this.grew = row('g');
    this.shrank = row('s');
    this.noise = row('o');
    this.merged = row('m');
    this.process = row('p');
  }

  /** Paint and shade of a node. */
  of(picture: Picture, node: number): [paint: number, shade: number] {
    const { tree, side } = picture;
    if (side === 'difference') {
      const grade = tree.grade?.[node] ?? 0;
      if (grade !== 1 && grade !== 2) return [this.noise, 0];
      const [before, after] = [tree.sides[0]!.total[node]!, tree.sides[1]!.total[node]!];
      return [grade === 1 ? this.grew : this.shrank, degree(before, after)];
    }
    const frame = tree.shape.frame[node]!;
    if (node === 0) return [this.process, 0];
    if (frame === NO_FRAME) return [this.merged, 0];
    return [this.frames.paint[frame]!, this.frames.shade[frame]!];
  }
}

/** How much of the larger side changed: a tenth, a quarter, half, nearly all. */
export function degree(before: number, after: number): number {
  const larger = Math.max(before, after);
  const part = larger > 0 ? Math.abs(after - before) / larger : 0;
  return [0.1, 0.25, 0.5, 0.9].filter((limit) => part >= limit).length;
}

/** "▲", "▼" or nothing. */
export function glyph(picture: Picture, node: number): string {
  const grade = picture.side === 'difference' ? picture.tree.grade?.[node] : 0;
  return grade === 1 ? '▲' : grade === 2 ? '▼' : '';
}

/** What a node is called. */
export function nameOf(data: Data, picture: Picture, node: number): string {
  const frame = picture.tree.shape.frame[node]!;
  if (node === 0) return picture.rootName;
  return frame === NO_FRAME ? 'frames too small to show' : data.frames.names[frame]!;
}
