/** Weight over time: a column for each second (or longer), its fractions from top to bottom. */

import { Surface, element, oncePerFrame } from './dom';
import type { Colours } from './theme';
import { CELLS_PER_COLUMN, type Range, type Times, columnStarts, secondsAt } from './times';

const CELL_PX = 2;
const WIDEST_COLUMN_PX = 22;
/** Room for the seconds below, and between two of them. */
const AXIS_PX = 15;
const LEAST_TICK_PX = 60;

export class Heatmap {
  readonly root = element('div', { class: 'heatmap', 'aria-hidden': 'true' });
  private readonly surface: Surface;
  private readonly starts: number[];
  private weights: Float64Array = new Float64Array(0);
  private chosen: (Range | null)[] = [];
  private dragged: { from: number; to: number; other: boolean } | null = null;
  private readonly draw = oncePerFrame(() => this.paint());

  constructor(private readonly times: Times, private colours: Colours, private readonly picked: (range: Range, other: boolean) => void) {
    this.starts = columnStarts(times);
    this.root.style.height = `${CELLS_PER_COLUMN * CELL_PX + AXIS_PX}px`;
    this.root.style.width = `${Math.max(LEAST_TICK_PX, (this.starts.length - 1) * WIDEST_COLUMN_PX)}px`;
    this.surface = new Surface(this.root, () => this.draw());
    this.root.addEventListener('pointerdown', (event) => {
      const cell = this.cellOf(event);
      this.dragged = { from: cell, to: cell, other: event.shiftKey };
      this.root.setPointerCapture(event.pointerId);
      this.draw();
    });
    this.root.addEventListener('pointermove', (event) => {
      if (!this.dragged) return;
      this.dragged.to = this.cellOf(event);
      this.draw();
    });
    this.root.addEventListener('pointerup', () => {
      const drag = this.dragged;
      this.dragged = null;
      if (drag) this.picked(rangeOf(drag), drag.other);
    });
    this.root.addEventListener('pointercancel', () => {
      this.dragged = null;
      this.draw();
    });
  }

  show(weights: Float64Array, chosen: (Range | null)[]): void {
    this.weights = weights;
    this.chosen = chosen;
    this.draw();
  }

  repaint(colours: Colours): void {
    this.colours = colours;
    this.draw();
  }

  private get columnPx(): number {
    return Math.min(WIDEST_COLUMN_PX, this.surface.width / (this.starts.length - 1));
  }

  private cellOf(event: PointerEvent): number {
    const box = this.root.getBoundingClientRect();
    const columns = this.starts.length - 1;
    const column = Math.min(columns - 1, Math.max(0, Math.floor((event.clientX - box.left) / this.columnPx)));
    const row = Math.min(CELLS_PER_COLUMN - 1, Math.max(0, Math.floor((event.clientY - box.top) / CELL_PX)));
    return Math.min(this.starts[column + 1]! - 1, this.starts[column]! + row);
  }

  private paint(): void {
    const { context, width, height } = this.surface;
    context.globalAlpha = 1;
    context.fillStyle = this.colours.page;
    context.fillRect(0, 0, width, height);
    // Where columns are narrower than pixels, several share one: their sums are shown.
    const columns = this.starts.length - 1;
    const shared = Math.max(1, Math.ceil(columns / Math.max(1, width)));
    const sums = new Float64Array(Math.ceil(columns / shared) * CELLS_PER_COLUMN);
    for (let column = 0; column < columns; column++) {
      const place = Math.floor(column / shared) * CELLS_PER_COLUMN;
      const first = this.starts[column]!;
      for (let cell = first; cell < this.starts[column + 1]!; cell++) sums[place + cell - first]! += this.weights[cell]!;
    }
    const most = sums.reduce((top, weight) => Math.max(top, weight), 0);
    const px = this.columnPx * shared;
    context.fillStyle = this.colours.ink;
    for (let i = 0; i < sums.length; i++) {
      context.globalAlpha = most > 0 ? 0.05 + 0.85 * (sums[i]! / most) : 0.05;
      const x = Math.floor(i / CELLS_PER_COLUMN) * px;
      context.fillRect(x, (i % CELLS_PER_COLUMN) * CELL_PX, px - (px > 4 ? 1 : 0), CELL_PX);
    }
    this.axis();
    this.chosen.forEach((range, number) => {
      if (range) this.mark(range, number === 1);
    });
    if (this.dragged) this.mark(rangeOf(this.dragged), this.dragged.other);
    context.globalAlpha = 1;
  }

  private axis(): void {
    const { context } = this.surface;
    const px = this.columnPx;
    const every = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((step) => step * px >= LEAST_TICK_PX) ?? 7200;
    context.globalAlpha = 1;
    context.fillStyle = this.colours.muted;
    context.font = '10px system-ui, sans-serif';
    context.textBaseline = 'bottom';
    for (let column = 0; column + 1 < this.starts.length; column += every) {
      const seconds = secondsAt(this.times, this.starts[column]!);
      context.fillRect(column * px, CELLS_PER_COLUMN * CELL_PX, 1, 4);
      context.fillText(`${Number(seconds.toFixed(2))} s`, column * px + 3, CELLS_PER_COLUMN * CELL_PX + AXIS_PX);
    }
  }

  /** The part of each column that a range covers. */
  private mark([from, to]: Range, other: boolean): void {
    const { context } = this.surface;
    const px = this.columnPx;
    for (let column = 0; column + 1 < this.starts.length; column++) {
      const first = Math.max(from, this.starts[column]!);
      const last = Math.min(to, this.starts[column + 1]!);
      if (first >= last) continue;
      const y = (first - this.starts[column]!) * CELL_PX;
      context.globalAlpha = other ? 0.25 : 0.45;
      context.fillStyle = this.colours.found;
      context.fillRect(column * px, y, px, (last - first) * CELL_PX);
      if (other) {
        context.globalAlpha = 1;
        context.strokeStyle = this.colours.found;
        context.setLineDash([3, 3]);
        context.strokeRect(column * px + 0.5, y + 0.5, px - 1, (last - first) * CELL_PX - 1);
        context.setLineDash([]);
      }
    }
  }
}

function rangeOf({ from, to }: { from: number; to: number }): Range {
  return [Math.min(from, to), Math.max(from, to) + 1];
}
