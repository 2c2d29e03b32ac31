/** The viewer: one state, kept in the address, and what shows it. */

import { counted, percent } from './amount';
import { Details, copy, oneLine } from './details';
import { element, oncePerFrame } from './dom';
import { Flame } from './flame';
import { FunctionTable } from './function_table';
import { help } from './help';
import { Model } from './model';
import type { Data } from './payload';
import { type Picture, Painter, nameOf, picture } from './picture';
import { compile, matchedUnder, matches } from './search';
import { type State, fromHash, initial, toHash } from './state';
import { choose, colours } from './theme';
import { Legend } from './legend';
import { TimeStrip } from './time_strip';
import { Toolbar } from './toolbar';
import { type Tree, NO_FRAME, path } from './tree';

/** Regrouped trees show what is at least this part of the frame zoomed into. */
const LEAST = 1 / 4000;

export class App {
  private state: State = initial();
  private readonly model: Model;
  private readonly painter: Painter;
  private readonly toolbar: Toolbar;
  private readonly flame: Flame;
  private readonly above: Flame;
  private readonly below: Flame;
  private readonly table: FunctionTable;
  private readonly details: Details;
  private readonly tip = element('div', { class: 'tip', hidden: '' });
  private readonly sandwichName = element('h2', { class: 'name' });
  private readonly sandwich: HTMLElement;
  private readonly stage = element('div', { class: 'stage' });
  private readonly legend: Legend;
  private readonly time: TimeStrip | null;
  private readonly help = help();
  private found: Uint8Array | null = null;
  /** What each flamegraph shows. */
  private readonly pictures = new Map<Flame, Picture>();
  private readonly remember = oncePerFrame(() => this.writeAddress(false));

  constructor(private readonly data: Data, private readonly host: HTMLElement) {
    this.model = new Model(data);
    this.painter = new Painter(data.frames, data.head.paints);
    this.flame = this.chart('Flamegraph');
    this.above = this.chart('Callers');
    this.below = this.chart('Callees');
    this.legend = new Legend(data);
    this.time = data.times && new TimeStrip(data.times, colours(data.head.paints), (change) => this.change(change));
    this.table = new FunctionTable(data, {
      chosen: (row) => this.choseFunction(row.frame),
      opened: (row) => this.openSandwich(row.frame),
    });
    this.details = new Details(data, {
      zoom: (node) => this.zoom(this.current(), node),
      sandwich: (frame) => this.openSandwich(frame),
      search: (name) => this.searchFor(`^${name.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')}$`),
    });
    this.toolbar = new Toolbar({
      changed: (change) => this.change(change),
      reset: () => this.reset(),
      help: () => this.help.showModal(),
    });
    this.sandwich = element('div', { class: 'sandwich' }, [
      element('p', { class: 'muted' }, ['Callers, the nearest at the bottom']), this.above.root, this.sandwichName,
      element('p', { class: 'muted' }, ['Callees']), this.below.root,
    ]);
  }

  start(): void {
    this.stage.append(this.flame.root, this.table.root, this.sandwich);
    const body = element('div', { class: 'body' }, [this.stage, this.details.root]);
    if (this.time) this.host.append(this.time.root);
    this.host.append(this.toolbar.root, this.legend.root, body, this.tip, this.help);
    document.addEventListener('keydown', (event) => this.pressed(event));
    window.addEventListener('popstate', () => this.readAddress());
    window.addEventListener('hashchange', () => this.readAddress());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.recolour());
    this.wireVerdicts();
    this.readAddress();
  }

  private chart(label: string): Flame {
    const chart: Flame = new Flame(label, this.data, this.painter, colours(this.data.head.paints), {
      selected: (node) => this.selected(chart, node),
      zoomed: (node) => this.zoom(chart, node),
      hovered: (node, x, y) => this.hovered(chart, node, x, y),
    });
    return chart;
  }

  // ---- state and address

  private readAddress(): void {
    const state = fromHash(location.hash);
    if (state.function >= this.data.frames.functionCount) state.function = -1;
    state.zoom = Math.min(state.zoom, this.data.shape.size - 1);
    state.path = state.path.filter((frame) => frame < this.data.frames.names.length);
    const cells = this.data.times?.cellMs.length ?? 0;
    if (state.time && state.time[1] > cells) state.time = null;
    if (!state.time || (state.otherTime && state.otherTime[1] > cells)) state.otherTime = null;
    this.state = state;
    this.find();
    this.render();
  }

  private writeAddress(step: boolean): void {
    const hash = `#${toHash(this.state)}`;
    if (hash === (location.hash || '#')) return;
    if (step) history.pushState(null, '', hash);
    else history.replaceState(null, '', hash);
  }

  private change(change: Partial<State>): void {
    const searched = change.search !== undefined && change.search !== this.state.search;
    Object.assign(this.state, change);
    if (searched) {
      this.find();
      this.showFound();
      this.remember();
      return;
    }
    this.render();
    this.writeAddress(true);
  }

  /** Step by step: first the search, then the zoom, then the time. */
  private reset(): void {
    if (this.state.search !== '') this.change({ search: '' });
    else if (this.state.zoom !== 0 || this.state.path.length > 0) this.change({ zoom: 0, path: [] });
    else if (this.state.time) this.change({ time: null, otherTime: null });
    else this.render();
    this.toolbar.show(this.state, this.model.tree(this.state).sides.length === 2);
  }

  // ---- what is shown

  private current(): Flame {
    return this.state.view === 'sandwich' ? this.below : this.flame;
  }

  private render(): void {
    const { state } = this;
    choose(state.theme);
    const regrouped = state.view === 'inverted' || state.view === 'sandwich';
    this.legend.show(
      state.view === 'functions' ? 'nothing' : this.model.shownSide(state), this.model.judgedBy(state),
      !regrouped || this.data.verdicts === null,
    );
    this.recolour();
    this.time?.show(state);
    this.toolbar.show(state, this.model.tree(state).sides.length === 2);
    for (const [part, shown] of [
      [this.flame.root, state.view === 'flame' || state.view === 'inverted'],
      [this.table.root, state.view === 'functions'], [this.sandwich, state.view === 'sandwich'],
    ] as const) part.hidden = !shown;
    const tree = this.model.tree(state);
    if (state.view === 'flame') {
      this.draw(this.flame, tree, state.zoom, state.rootsBelow);
    } else if (state.view === 'inverted') {
      const inverted = this.model.callers(state, null, state.path, LEAST);
      this.draw(this.flame, inverted, nodeOf(inverted, state.path), state.rootsBelow);
    } else if (state.view === 'sandwich') {
      this.drawSandwich();
    }
    const sides = tree.sides.map((side) => side.total[0]!);
    if (state.view === 'functions') this.table.show(this.model.functions(state), sides, this.model.unit(state));
    this.details.nothing();
    this.tip.hidden = true;
    this.showFound();
  }

  private drawSandwich(): void {
    const { state } = this;
    if (state.function < 0) state.function = this.model.heaviest(state);
    const [callers, callees] = this.model.sandwich(state, LEAST);
    this.sandwichName.textContent = this.model.functionName(state.function);
    this.draw(this.above, callers, 0, true);
    this.draw(this.below, callees, 0, false);
  }

  private draw(chart: Flame, tree: Tree, zoomed: number, rootsBelow: boolean): void {
    const shown = this.picture(tree, this.state.view === 'sandwich' ? 'all its stacks' : 'all');
    this.pictures.set(chart, shown);
    chart.show(shown, zoomed, rootsBelow);
  }

  private picture(tree: Tree, rootName: string): Picture {
    const wholes = this.model.tree(this.state).sides.map((side) => side.total[0]!);
    return picture(tree, this.model.shownSide(this.state), rootName, this.model.unit(this.state), wholes);
  }

  private recolour(): void {
    const now = colours(this.data.head.paints);
    for (const chart of [this.flame, this.above, this.below]) chart.repaint(now);
    this.legend.repaint(now);
    this.time?.repaint(now);
  }

  // ---- zoom and selection

  private zoom(chart: Flame, node: number): void {
    const shown = this.pictures.get(chart);
    if (!shown) return;
    if (chart === this.flame && this.state.view === 'flame') {
      this.state.zoom = node;
      chart.zoomTo(node);
    } else if (chart === this.flame) {
      this.state.path = path(shown.tree.shape, node).map((at) => shown.tree.shape.frame[at]!);
      this.render();
    } else {
      chart.zoomTo(node);
    }
    if (chart === this.flame) {
      this.writeAddress(true);
      this.toolbar.show(this.state, this.model.tree(this.state).sides.length === 2);
      const at = this.state.view === 'inverted' ? chart.zoomed : node;
      chart.select(at);
      this.selected(chart, at);
    }
    this.showFound();
  }

  private selected(chart: Flame, node: number): void {
    const shown = this.pictures.get(chart);
    if (!shown || node < 0) return;
    const judgedBy = this.model.judgedBy(this.state);
    this.details.show(judgedBy, shown, node, chart.zoomed);
    chart.say(oneLine(this.data, judgedBy, shown, node));
  }

  private hovered(chart: Flame, node: number, x: number, y: number): void {
    const shown = this.pictures.get(chart);
    this.tip.hidden = node === -1 || !shown;
    if (node === -1 || !shown) return;
    this.tip.textContent = node === -2 ? 'Frames too small to draw: zoom in to see them'
      : oneLine(this.data, this.model.judgedBy(this.state), shown, node);
    const box = this.tip.getBoundingClientRect();
    this.tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    this.tip.style.top = `${y + 22 + box.height > innerHeight ? y - box.height - 10 : y + 18}px`;
  }

  private choseFunction(frame: number): void {
    const at = this.model.heaviestNode(this.state, this.data.frames.function[frame]!);
    const shown = this.picture(this.model.tree(this.state), 'all');
    this.details.show(this.model.judgedBy(this.state), shown, at, 0);
  }

  private openSandwich(frame: number): void {
    this.change({ view: 'sandwich', function: this.data.frames.function[frame]! });
    this.toolbar.show(this.state, this.model.tree(this.state).sides.length === 2);
  }

  /** Shows where a function weighs (or changed) most. */
  private goTo(number: number): void {
    Object.assign(this.state, { view: 'flame', search: '' });
    this.find();
    this.render();
    const node = this.model.heaviestNode(this.state, number);
    this.zoom(this.flame, node);
    this.host.scrollIntoView({ block: 'nearest' });
    this.flame.root.focus();
  }

  private wireVerdicts(): void {
    for (const code of document.querySelectorAll<HTMLElement>('[data-verdict]')) {
      const number = this.data.verdicts?.function[Number(code.dataset['verdict'])];
      if (number === undefined) continue;
      const made = element('button', { type: 'button', class: 'link' }, [...code.childNodes]);
      made.addEventListener('click', () => this.goTo(number));
      code.append(made);
    }
  }

  // ---- search

  private find(): void {
    const compiled = compile(this.state.search);
    this.found = compiled ? matches(this.data.frames.names, compiled.pattern) : null;
    this.toolbar.plain = compiled?.plain ?? false;
  }

  private showFound(): void {
    const { found, state } = this;
    for (const chart of [this.flame, this.above, this.below]) chart.setFound(found);
    if (state.view === 'functions') this.table.setFound(found);
    if (!found) {
      this.toolbar.say(state.view === 'functions' ? this.table.describe() : '');
      return;
    }
    const tree = this.model.tree(state);
    const top = state.view === 'flame' ? state.zoom : 0;
    const sums = matchedUnder(tree, found, top);
    const part = (side: number) => percent(sums[side]!, tree.sides[side]!.total[top]!);
    const share = tree.sides.length === 2 ? `${part(0)} before, ${part(1)} after` : part(0);
    const functions = new Set(this.data.frames.function.filter((_, frame) => found[frame] === 1)).size;
    const where = top === 0 ? '' : ' of the zoomed frame';
    this.toolbar.say(`matched: ${share}${where}, ${counted(functions, 'function')}`);
  }

  private searchFor(text: string): void {
    this.change({ search: text });
    this.toolbar.show(this.state, this.model.tree(this.state).sides.length === 2);
  }

  // ---- keyboard

  private pressed(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const typing = target.matches('input, select, textarea') || this.help.open;
    if ((event.key === 'f' && (event.ctrlKey || event.metaKey)) || (event.key === '/' && !typing)) {
      this.toolbar.focusSearch();
    } else if (event.key === 'Escape' && !this.help.open) {
      this.reset();
      if (typing) this.current().root.focus();
    } else if (typing || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    } else if (event.key === '?') {
      this.help.showModal();
    } else if (event.key === 'Backspace') {
      const shown = this.pictures.get(this.flame);
      if (shown && this.state.view !== 'functions') this.zoom(this.flame, shown.tree.shape.parent[this.flame.zoomed]!);
    } else if (event.key === 'c') {
      this.copySelected();
    } else {
      const view = ({ 1: 'flame', 2: 'inverted', 3: 'sandwich', 4: 'functions' } as const)[event.key];
      if (!view) return;
      this.change({ view });
    }
    event.preventDefault();
  }

  private copySelected(): void {
    const chart = this.current();
    const shown = this.pictures.get(chart);
    if (!shown || chart.selected < 0) return;
    const name = nameOf(this.data, shown, chart.selected);
    copy(name).then((done) => chart.say(done ? `copied ${name}` : 'copying is not allowed here'));
  }
}

/** The node that a path of frames leads to, as far as it goes. */
function nodeOf(tree: Tree, frames: readonly number[]): number {
  const { end, frame } = tree.shape;
  let at = 0;
  for (const wanted of frames) {
    let child = at + 1;
    while (child < end[at]! && frame[child] !== wanted) child = end[child]!;
    if (child >= end[at]! || wanted === NO_FRAME) break;
    at = child;
  }
  return at;
}
