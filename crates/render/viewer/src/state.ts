/** What is shown, as the part of the address behind `#`: a link shows the same. */

import { type ThemeChoice, isThemeChoice } from './theme';

export const VIEWS = ['flame', 'inverted', 'sandwich', 'functions'] as const;
export type View = (typeof VIEWS)[number];

export const SIDES = ['difference', 'after', 'before'] as const;
export type ShownSide = (typeof SIDES)[number];

export interface State {
  view: View;
  side: ShownSide;
  rootsBelow: boolean;
  /** Node of the flamegraph zoomed into. */
  zoom: number;
  /** Frames from the inverted tree's root down to the one zoomed into. */
  path: number[];
  /** Function of the sandwich; -1: none. */
  function: number;
  search: string;
  /** Time chosen, and time to compare it with: numbers of the first cell and of the one behind the last. */
  time: [number, number] | null;
  otherTime: [number, number] | null;
  /** Chosen values of the filters, by their names. */
  filters: Map<string, number>;
  theme: ThemeChoice;
}

export function initial(): State {
  return {
    view: 'flame', side: 'difference', rootsBelow: false, zoom: 0, path: [], function: -1, search: '',
    time: null, otherTime: null, filters: new Map(), theme: 'system',
  };
}

/** Longer paths are not kept in the address. */
const LONGEST_PATH = 300;

export function toHash(state: State): string {
  const parts = new URLSearchParams();
  const set = (key: string, value: string, usual: string) => {
    if (value !== usual) parts.set(key, value);
  };
  set('view', state.view, 'flame');
  set('side', state.side, 'difference');
  set('flame', state.rootsBelow ? '1' : '0', '0');
  set('zoom', String(state.zoom), '0');
  if (state.path.length <= LONGEST_PATH) set('path', state.path.join('.'), '');
  set('function', String(state.function), '-1');
  set('search', state.search, '');
  set('time', state.time?.join('-') ?? '', '');
  set('against', state.otherTime?.join('-') ?? '', '');
  for (const [name, value] of state.filters) parts.set(`only-${name}`, String(value));
  set('theme', state.theme, 'system');
  return parts.toString();
}

function number(text: string | null, usual: number): number {
  return text !== null && /^\d{1,10}$/.test(text) ? Number(text) : usual;
}

function range(text: string | null): [number, number] | null {
  const [, from, to] = /^(\d{1,9})-(\d{1,9})$/.exec(text ?? '') ?? [];
  return from !== undefined && to !== undefined && Number(from) < Number(to) ? [Number(from), Number(to)] : null;
}

/** Reads an address; what it does not know is left as usual. */
export function fromHash(hash: string): State {
  const parts = new URLSearchParams(hash.replace(/^#/, ''));
  const state = initial();
  const view = VIEWS.find((name) => name === parts.get('view'));
  if (view) state.view = view;
  const side = SIDES.find((name) => name === parts.get('side'));
  if (side) state.side = side;
  state.rootsBelow = parts.get('flame') === '1';
  state.zoom = number(parts.get('zoom'), 0);
  const path = (parts.get('path') ?? '').split('.').filter((part) => /^\d{1,10}$/.test(part)).map(Number);
  state.path = path.slice(0, LONGEST_PATH);
  state.function = number(parts.get('function'), -1);
  state.search = parts.get('search') ?? '';
  state.time = range(parts.get('time'));
  state.otherTime = range(parts.get('against'));
  for (const [key, value] of parts) {
    if (key.startsWith('only-') && /^\d{1,9}$/.test(value)) state.filters.set(key.slice(5), Number(value));
  }
  const theme = parts.get('theme');
  if (isThemeChoice(theme)) state.theme = theme;
  return state;
}
