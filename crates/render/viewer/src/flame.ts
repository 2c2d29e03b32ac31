/** A flamegraph on a canvas that is as large as what is seen of it. */

import { fit } from '../../src/svg/shorten.js';
import { Surface, element, oncePerFrame } from './dom';
import { type Layout, type Span, barAt, layOut } from './layout';
import { type Picture, type Painter, glyph, nameOf } from './picture';
import type { Data } from './payload';
import type { Colours } from './theme';
import { NO_FRAME } from './tree';

export const ROW_PX = 18;
const BAR_PX = 17;
const FONT = "11px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace";
const LABEL_PAD = 4;
/** Rows of callers that stay in view above a frame zoomed into. */
const CALLERS_SHOWN = 4;

export interface FlameEvents {
  /** A node was chosen, or (-1) none. */
  selected(node: number): void;
  /** What is shown was changed by hand: the node zoomed into. */
  zoomed(node: number): void;
  /** The pointer is over a node, or (-1) over none. */
  hovered(node: number, x: number, y: number): void;
}

export class Flame {
  readonly root: HTMLElement;
  private readonly surface: Surface;
  private readonly status: HTMLElement;
  private picture: Picture | null = null;
  private layout: Layout | null = null;
  private span: Span = { from: 0, to: 0 };
  private rootsBelow = false;
  private scroll = 0;
  private zoomedNode = 0;
  private selectedNode = -1;
  private found: Uint8Array | null = null;
  private cell = 6.63;
  private readonly draw = oncePerFrame(() => this.paint());

  constructor(
    label: string, private readonly data: Data, private readonly painter: Painter,
    private colours: Colours, private readonly events: FlameEvents,
  ) {
    this.status = element('p', { class: 'unseen', role: 'status' });
    this.root = element('div', { class: 'flame', role: 'application', tabindex: '0', 'aria-label': label });
    this.root.append(this.status);
    this.surface = new Surface(this.root, () => this.place());
    this.root.addEventListener('click', (event) => this.clicked(event));
    this.root.addEventListener('mousemove', (event) => this.moved(event));
    this.root.addEventListener('mouseleave', () => this.events.hovered(-1, 0, 0));
    this.root.addEventListener('wheel', (event) => this.wheeled(event), { passive: false });
    this.root.addEventListener('keydown', (event) => this.pressed(event));
  }

  /** Shows another tree, all of it or what is below a node. */
  show(picture: Picture, zoomed: number, rootsBelow: boolean): void {
    this.picture = picture;
    this.rootsBelow = rootsBelow;
    this.selectedNode = -1;
    this.zoomTo(zoomed);
  }

  repaint(colours: Colours): void {
    this.colours = colours;
    this.draw();
  }

  setFound(found: Uint8Array | null): void {
    this.found = found;
    this.draw();
  }

  get zoomed(): number {
    return this.zoomedNode;
  }

  get selected(): number {
    return this.selectedNode;
  }

  zoomTo(node: number): void {
    if (!this.picture) return;
    const { start, width, tree } = this.picture;
    this.zoomedNode = node;
    this.span = { from: start[node]!, to: start[node]! + width[node]! };
    this.scroll = Math.max(0, (tree.shape.depth[node]! - CALLERS_SHOWN) * ROW_PX);
    this.place();
  }

  select(node: number): void {
    this.selectedNode = node;
    if (node >= 0) this.bringIntoView(node);
    this.draw();
  }

  /** Says what has the focus to those who do not see it. */
  say(text: string): void {
    this.status.textContent = text;
  }

  private place(): void {
    if (!this.picture) return;
    this.surface.fit();
    const { tree, width, start } = this.picture;
    this.layout = layOut(tree.shape, width, start, this.span, this.surface.width);
    this.scrollBy(0);
  }

  private scrollBy(px: number): void {
    const rows = this.layout ? this.layout.rows.length - 1 : 0;
    const most = Math.max(0, rows * ROW_PX - this.surface.height + 2);
    this.scroll = Math.min(most, Math.max(0, this.scroll + px));
    this.draw();
  }

  private bringIntoView(node: number): void {
    if (!this.picture) return;
    const y = this.picture.tree.shape.depth[node]! * ROW_PX;
    if (y < this.scroll) this.scroll = y;
    if (y + ROW_PX > this.scroll + this.surface.height) this.scroll = y + ROW_PX - this.surface.height;
  }

  /** Upper edge of a row. */
  private top(depth: number): number {
    const y = depth * ROW_PX - this.scroll;
    return this.rootsBelow ? this.surface.height - y - ROW_PX : y;
  }

  private barAtPoint(event: MouseEvent): number {
    if (!this.layout) return -1;
    const box = this.surface.canvas.getBoundingClientRect();
    const y = event.clientY - box.top;
    const fromRoot = this.rootsBelow ? this.surface.height - y : y;
    return barAt(this.layout, Math.floor((fromRoot + this.scroll) / ROW_PX), event.clientX - box.left);
  }

  private clicked(event: MouseEvent): void {
    const bar = this.barAtPoint(event);
    if (bar < 0 || !this.layout) return;
    const node = this.layout.node[bar]!;
    this.select(node);
    this.events.selected(node);
    this.events.zoomed(node);
  }

  private moved(event: MouseEvent): void {
    const bar = this.barAtPoint(event);
    const merged = bar >= 0 && this.layout!.merged[bar] === 1;
    const node = bar < 0 ? -1 : this.layout!.node[bar]!;
    this.root.classList.toggle('pointing', node >= 0);
    this.events.hovered(merged ? -2 : node, event.clientX, event.clientY);
  }

  /** The wheel scrolls; with Ctrl it zooms around the pointer. */
  private wheeled(event: WheelEvent): void {
    if (!this.picture) return;
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? ROW_PX : 1;
    if (!event.ctrlKey && !event.metaKey) {
      const [scroll, { from }] = [this.scroll, this.span];
      this.scrollBy(event.deltaY * lines * (this.rootsBelow ? -1 : 1));
      if (event.deltaX !== 0) this.pan(event.deltaX * lines);
      // At its end the page scrolls instead.
      if (this.scroll !== scroll || this.span.from !== from) event.preventDefault();
      return;
    }
    event.preventDefault();
    const box = this.surface.canvas.getBoundingClientRect();
    const part = (event.clientX - box.left) / Math.max(1, this.surface.width);
    this.zoomAround(part, Math.exp(event.deltaY * lines * 0.002));
  }

  private zoomAround(part: number, factor: number): void {
    const all = this.picture!.width[0]!;
    const { from, to } = this.span;
    const centre = from + part * (to - from);
    const size = Math.min(all, Math.max(all * 1e-9, (to - from) * factor));
    const left = Math.min(all - size, Math.max(0, centre - part * size));
    this.span = { from: left, to: left + size };
    this.place();
  }

  private pan(px: number): void {
    const all = this.picture!.width[0]!;
    const size = this.span.to - this.span.from;
    const left = Math.min(all - size, Math.max(0, this.span.from + (px / Math.max(1, this.surface.width)) * size));
    this.span = { from: left, to: left + size };
    this.place();
  }

  private pressed(event: KeyboardEvent): void {
    if (!this.picture || event.ctrlKey || event.metaKey || event.altKey) return;
    const [deeper, outer] = this.rootsBelow ? ['ArrowUp', 'ArrowDown'] : ['ArrowDown', 'ArrowUp'];
    const at = Math.max(0, this.selectedNode);
    const { parent } = this.picture.tree.shape;
    let next = -1;
    if (event.key === deeper) next = this.selectedNode < 0 ? this.zoomedNode : this.heaviestChild(at);
    else if (event.key === outer) next = parent[at]!;
    else if (event.key === 'ArrowRight') next = this.sibling(at, 1);
    else if (event.key === 'ArrowLeft') next = this.sibling(at, -1);
    else if (event.key === 'Home') next = this.zoomedNode;
    else if (event.key === 'PageDown' || event.key === 'PageUp') {
      const down = (event.key === 'PageDown') !== this.rootsBelow;
      this.scrollBy((down ? 0.9 : -0.9) * this.surface.height);
    } else if (event.key === '+') this.zoomAround(0.5, 0.7);
    else if (event.key === '-') this.zoomAround(0.5, 1 / 0.7);
    else if ((event.key === 'Enter' || event.key === ' ') && this.selectedNode >= 0) this.events.zoomed(this.selectedNode);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (next >= 0) {
      this.select(next);
      this.events.selected(next);
    }
  }

  private children(node: number): number[] {
    const { tree, width } = this.picture!;
    const children = [];
    for (let child = node + 1; child < tree.shape.end[node]!; child = tree.shape.end[child]!) {
      if (width[child]! > 0 && tree.shape.frame[child] !== NO_FRAME) children.push(child);
    }
    return children;
  }

  private heaviestChild(node: number): number {
    const { width } = this.picture!;
    return this.children(node).reduce((best, child) => (best < 0 || width[child]! > width[best]! ? child : best), -1);
  }

  private sibling(node: number, step: number): number {
    if (node === 0) return -1;
    const siblings = this.children(this.picture!.tree.shape.parent[node]!);
    return siblings[siblings.indexOf(node) + step] ?? -1;
  }

  private paint(): void {
    const { picture, layout, surface, colours } = this;
    if (!picture || !layout) return;
    const { context, width, height } = surface;
    context.fillStyle = colours.page;
    context.fillRect(0, 0, width, height);
    context.font = FONT;
    context.textBaseline = 'middle';
    this.cell = context.measureText('MMMMMMMMMM').width / 10;
    const first = Math.max(0, Math.floor(this.scroll / ROW_PX));
    const last = Math.min(layout.rows.length - 2, Math.ceil((this.scroll + height) / ROW_PX));
    for (let depth = first; depth <= last; depth++) {
      const y = this.top(depth);
      for (let bar = layout.rows[depth]!; bar < layout.rows[depth + 1]!; bar++) this.paintBar(picture, layout, bar, y);
    }
    context.globalAlpha = 1;
  }

  private paintBar(picture: Picture, layout: Layout, bar: number, y: number): void {
    const { context } = this.surface;
    const { colours } = this;
    const node = layout.node[bar]!;
    const left = layout.left[bar]!;
    const size = layout.right[bar]! - left;
    const merged = layout.merged[bar] === 1;
    const [paint, shade] = merged ? [this.painter.merged, 0] : this.painter.of(picture, node);
    const frame = picture.tree.shape.frame[node]!;
    const found = !merged && frame !== NO_FRAME && this.found !== null && this.found[frame] === 1;
    const gap = size > 3 ? 1 : size > 1 ? 0.3 : 0;
    context.globalAlpha = this.found !== null && !found ? 0.45 : 1;
    context.fillStyle = colours.fills[paint]![shade]!;
    context.fillRect(left, y, size - gap, BAR_PX);
    if (found && size >= 2) {
      context.strokeStyle = colours.found;
      context.lineWidth = 1.5;
      context.strokeRect(left + 0.75, y + 0.75, Math.max(0.5, size - gap - 1.5), BAR_PX - 1.5);
    } else if (found) {
      context.fillStyle = colours.found;
      context.fillRect(left, y, Math.max(1, size - gap), BAR_PX);
    }
    if (node === this.selectedNode && !merged) {
      context.globalAlpha = 1;
      context.strokeStyle = colours.ink;
      context.lineWidth = 2;
      context.strokeRect(left + 1, y + 1, Math.max(1, size - gap - 2), BAR_PX - 2);
    }
    const cells = Math.floor((size - gap - 2 * LABEL_PAD) / this.cell);
    if (cells < 1 || merged) return;
    const mark = glyph(picture, node);
    const name = fit(nameOf(this.data, picture, node), mark ? cells - 2 : cells);
    if (!name && !mark) return;
    context.fillStyle = colours.ink;
    context.fillText(mark && name ? `${mark} ${name}` : mark || name, left + LABEL_PAD, y + BAR_PX / 2 + 1);
  }
}
