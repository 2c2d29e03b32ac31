/** Views, sides, search and settings. */

import { Choice, button, element } from './dom';
import type { ShownSide, State, View } from './state';
import type { ThemeChoice } from './theme';

export interface ToolbarEvents {
  changed(change: Partial<State>): void;
  reset(): void;
  help(): void;
}

export class Toolbar {
  readonly root = element('div', { class: 'toolbar', role: 'toolbar', 'aria-label': 'View' });
  /** Whether the search was no regular expression. */
  plain = false;
  private readonly views: Choice<View>;
  private readonly sides: Choice<ShownSide>;
  private readonly directions: Choice<'icicle' | 'flame'>;
  private readonly field = element('input', {
    type: 'search', placeholder: 'Search (regular expression)', 'aria-label': 'Search by regular expression',
    spellcheck: 'false', autocomplete: 'off',
  });
  private readonly matched = element('output', { class: 'matched' });
  private readonly resetButton: HTMLButtonElement;
  private readonly theme = element('select', { 'aria-label': 'Theme' }, [
    ...(['system', 'light', 'dark'] as const).map((value) => element('option', { value }, [`${value} theme`])),
  ]);

  constructor(events: ToolbarEvents) {
    this.views = new Choice<View>('View', [
      ['flame', 'Flamegraph'], ['inverted', 'Inverted'], ['sandwich', 'Sandwich'], ['functions', 'Functions'],
    ], (view) => events.changed({ view }));
    this.sides = new Choice<ShownSide>('Side', [
      ['difference', 'Difference'], ['after', 'After'], ['before', 'Before'],
    ], (side) => events.changed({ side }));
    this.directions = new Choice('Direction', [['icicle', 'Icicle'], ['flame', 'Flame']], (value) =>
      events.changed({ rootsBelow: value === 'flame' }));
    this.resetButton = button('Reset zoom', () => events.changed({ zoom: 0, path: [] }), { class: 'reset' });
    this.field.addEventListener('input', () => events.changed({ search: this.field.value }));
    this.theme.addEventListener('change', () => events.changed({ theme: this.theme.value as ThemeChoice }));
    this.root.append(
      this.views.root, this.sides.root, this.directions.root, this.resetButton,
      element('div', { class: 'search' }, [this.field, this.matched]),
      this.theme, button('?', () => events.help(), { 'aria-label': 'Help', class: 'help' }),
    );
  }

  show(state: State, compares: boolean): void {
    this.sides.root.hidden = !compares;
    this.views.set(state.view);
    this.sides.set(state.side);
    this.directions.set(state.rootsBelow ? 'flame' : 'icicle');
    this.directions.root.hidden = state.view === 'sandwich' || state.view === 'functions';
    const zoomed = (state.view === 'flame' && state.zoom !== 0) || (state.view === 'inverted' && state.path.length > 0);
    this.resetButton.hidden = !zoomed;
    if (this.field.value !== state.search) this.field.value = state.search;
    this.theme.value = state.theme;
  }

  say(text: string): void {
    this.matched.textContent = this.plain && text !== '' ? `${text} (as plain text)` : text;
  }

  focusSearch(): void {
    this.field.focus();
    this.field.select();
  }
}
