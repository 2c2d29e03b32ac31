/** All functions, sortable; only the rows in view are in the page. */

import { percent, signed, thousands, threeDigits } from './amount';
import { element } from './dom';
import type { Data } from './payload';
import type { FunctionRow } from './tree';

const ROW_PX = 24;

interface Column {
  key: string;
  title: string;
  value: (row: FunctionRow) => number | string;
  text: (row: FunctionRow) => string;
}

export interface TableEvents {
  chosen(row: FunctionRow): void;
  opened(row: FunctionRow): void;
}

export class FunctionTable {
  readonly root = element('div', { class: 'functions', tabindex: '0', role: 'region', 'aria-label': 'Functions' });
  private readonly head = element('tr');
  private readonly body = element('tbody');
  private readonly above = element('tr', { class: 'space', 'aria-hidden': 'true' });
  private readonly below = element('tr', { class: 'space', 'aria-hidden': 'true' });
  private readonly table: HTMLTableElement;
  private columns: Column[] = [];
  private all: FunctionRow[] = [];
  private rows: FunctionRow[] = [];
  private found: Uint8Array | null = null;
  private sortedBy = '';
  private descending = true;
  private chosen = -1;
  private unit = '';
  private readonly grades: Record<'own' | 'total', Uint8Array> | null;

  constructor(private readonly data: Data, private readonly events: TableEvents) {
    const { verdicts } = data;
    const byFunction = (grades: Uint8Array) => {
      const list = new Uint8Array(data.frames.functionCount);
      verdicts!.function.forEach((number, row) => { list[number] = grades[row]!; });
      return list;
    };
    this.grades = verdicts && { own: byFunction(verdicts.own), total: byFunction(verdicts.total) };
    this.table = element('table', {}, [element('thead', {}, [this.head]), this.body]);
    this.root.append(this.table);
    this.root.addEventListener('scroll', () => this.fill());
    new ResizeObserver(() => this.fill()).observe(this.root);
    this.root.addEventListener('keydown', (event) => this.pressed(event));
  }

  show(rows: FunctionRow[], wholes: number[], unit: string): void {
    this.all = rows;
    this.unit = unit;
    const columns = wholes.length === 2 ? this.ofComparison(wholes) : this.ofProfile(wholes[0]!);
    const same = columns.length === this.columns.length;
    this.columns = columns;
    if (!same || this.sortedBy === '') {
      this.sortedBy = wholes.length === 2 ? 'own-change' : 'own';
      this.descending = true;
    }
    this.sort();
  }

  setFound(found: Uint8Array | null): void {
    this.found = found;
    this.sort();
  }

  private name(row: FunctionRow): string {
    return this.data.frames.names[row.frame]!;
  }

  private named(): Column[] {
    const module = (row: FunctionRow) => this.data.frames.modules[this.data.frames.module[row.frame]!]!;
    return [
      { key: 'name', title: 'Function', value: (row) => this.name(row), text: (row) => this.name(row) },
      { key: 'module', title: 'Module', value: module, text: module },
    ];
  }

  private figure(weight: number): string {
    return threeDigits(weight / this.data.head.weight_per_unit);
  }

  /** What the comparison says of a function. */
  private mark(part: 'own' | 'total', row: FunctionRow): string {
    const grade = this.grades?.[part][row.function] ?? 0;
    return grade === 1 ? '\u25b2 ' : grade === 2 ? '\u25bc ' : '';
  }

  private ofProfile(whole: number): Column[] {
    const part = (key: 'own' | 'total', title: string): Column[] => [
      { key, title, value: (row) => row[key][0]!, text: (row) => this.figure(row[key][0]!) },
      { key: `${key}-share`, title: '%', value: (row) => row[key][0]!, text: (row) => percent(row[key][0]!, whole) },
    ];
    return [...part('own', 'Self'), ...part('total', 'Total'), ...this.named()];
  }

  private ofComparison(_wholes: number[]): Column[] {
    const part = (key: 'own' | 'total', title: string): Column[] => [
      { key: `${key}-change`, title: `${title} change`, value: (row) => Math.abs(row[key][1]! - row[key][0]!), text: (row) => this.mark(key, row) + signed((row[key][1]! - row[key][0]!) / this.data.head.weight_per_unit) },
      { key: `${key}-before`, title: 'Before', value: (row) => row[key][0]!, text: (row) => this.figure(row[key][0]!) },
      { key: `${key}-after`, title: 'After', value: (row) => row[key][1]!, text: (row) => this.figure(row[key][1]!) },
    ];
    return [...part('own', 'Self'), ...part('total', 'Total'), ...this.named()];
  }

  private sort(): void {
    const column = this.columns.find((c) => c.key === this.sortedBy) ?? this.columns[0];
    if (!column) return;
    const { found } = this;
    const rows = found ? this.all.filter((row) => found[row.frame] === 1) : this.all;
    const order = this.descending ? -1 : 1;
    const keyed = rows.map((row) => ({ row, key: column.value(row) }));
    keyed.sort((a, b) => (a.key < b.key ? -order : a.key > b.key ? order : a.row.function - b.row.function));
    this.rows = keyed.map(({ row }) => row);
    this.head.replaceChildren(...this.columns.map((c) => this.heading(c)));
    this.root.scrollTop = 0;
    this.fill();
  }

  private heading(column: Column): HTMLElement {
    const sorted = column.key === this.sortedBy;
    const order = sorted ? (this.descending ? 'descending' : 'ascending') : 'none';
    const cell = element('th', { scope: 'col', 'aria-sort': order, class: kind(column) });
    const made = element('button', { type: 'button' }, [column.title + (sorted ? (this.descending ? ' ↓' : ' ↑') : '')]);
    made.addEventListener('click', () => {
      this.descending = sorted ? !this.descending : !isName(column);
      this.sortedBy = column.key;
      this.sort();
      this.head.children[this.columns.indexOf(column)]?.querySelector('button')?.focus();
    });
    cell.append(made);
    return cell;
  }

  private fill(): void {
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW_PX) - 5);
    const count = Math.ceil(this.root.clientHeight / ROW_PX) + 10;
    const shown = this.rows.slice(first, first + count);
    this.above.style.height = `${first * ROW_PX}px`;
    this.below.style.height = `${Math.max(0, this.rows.length - first - shown.length) * ROW_PX}px`;
    this.table.setAttribute('aria-rowcount', String(this.rows.length + 1));
    this.body.replaceChildren(this.above, ...shown.map((row, i) => this.row(row, first + i)), this.below);
  }

  private row(row: FunctionRow, index: number): HTMLElement {
    const cells = this.columns.map((column) =>
      element('td', { class: kind(column) }, [column.text(row)]));
    const made = element('tr', { 'aria-rowindex': String(index + 2) }, cells);
    made.classList.toggle('chosen', row.function === this.chosen);
    made.addEventListener('click', () => this.choose(row));
    made.addEventListener('dblclick', () => this.events.opened(row));
    return made;
  }

  private choose(row: FunctionRow): void {
    this.chosen = row.function;
    this.fill();
    this.events.chosen(row);
  }

  private pressed(event: KeyboardEvent): void {
    if (event.target !== this.root) return;
    const at = this.rows.findIndex((row) => row.function === this.chosen);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[event.key];
    if (step !== undefined) {
      const next = Math.min(this.rows.length - 1, Math.max(0, at < 0 ? 0 : at + step));
      const row = this.rows[next];
      if (!row) return;
      const y = next * ROW_PX;
      if (y < this.root.scrollTop) this.root.scrollTop = y;
      else if (y + 3 * ROW_PX > this.root.scrollTop + this.root.clientHeight) {
        this.root.scrollTop = y + 3 * ROW_PX - this.root.clientHeight;
      }
      this.choose(row);
    } else if (event.key === 'Enter' && this.rows[at]) this.events.opened(this.rows[at]);
    else return;
    event.preventDefault();
  }

  describe(): string {
    return `${thousands(this.rows.length)} of ${thousands(this.all.length)} functions, in ${this.unit || 'samples'}`;
  }
}

/** What a column holds, for its width. */
function kind(column: Column): string {
  return isName(column) ? 'text' : /-(share|before|after)$/.test(column.key) ? 'number narrow' : 'number';
}

function isName(column: Column): boolean {
  return column.key === 'name' || column.key === 'module';
}
