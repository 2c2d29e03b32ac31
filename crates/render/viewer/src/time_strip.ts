/** What part of the recording is shown: time, and filters by host, control group, process, thread and CPU. */

import { percent, threeDigits } from './amount';
import { button, element } from './dom';
import { Heatmap } from './heatmap';
import type { State } from './state';
import type { Colours } from './theme';
import {
  PARTS, type Part, type Range, type Times, cellAt, cellWeights, clockAt, keptGroups, observedSeconds, secondsAt, valuesOf,
} from './times';

const TITLES: Record<Part, string> = {
  host: 'Host', cgroup: 'Control group', process: 'Process', thread: 'Thread', cpu: 'CPU',
};
/** Values offered of one part, the heaviest. */
const MOST_VALUES = 300;

export class TimeStrip {
  readonly root = element('details', { class: 'time', open: '' });
  private readonly heatmap: Heatmap;
  private readonly selects = new Map<Part, HTMLSelectElement>();
  private readonly fields = ['From', 'To', 'Against, from', 'Against, to'].map((label) => element('input', {
    type: 'number', min: '0', step: 'any', 'aria-label': `${label} (seconds)`, class: 'seconds',
  }));
  private readonly words = element('p', { class: 'muted', role: 'status' });
  private readonly against: HTMLElement;

  constructor(private readonly times: Times, colours: Colours, private readonly changed: (change: Partial<State>) => void) {
    this.heatmap = new Heatmap(times, colours, (range, other) =>
      this.changed(other ? { otherTime: [...range] } : { time: [...range] }));
    const width = times.captures[0]!.cell_ms;
    const column = threeDigits((width * 50) / 1000);
    const help = `Each column is ${column} s, each cell in it ${threeDigits(width)} ms; stronger is more. Drag to choose a time, `
      + 'with Shift one to compare it with.';
    const [from, to, otherFrom, otherTo] = this.fields as [HTMLInputElement, HTMLInputElement, HTMLInputElement, HTMLInputElement];
    this.against = element('span', {}, [' against ', otherFrom, ' to ', otherTo, ' s']);
    const controls = element('div', { class: 'controls' }, [
      element('span', {}, ['Time ', from, ' to ', to, ' s']), this.against,
      button('All of the time', () => this.changed({ time: null, otherTime: null })),
    ]);
    controls.append(...this.filters());
    this.fields.forEach((field, number) => field.addEventListener('change', () => this.typed(number < 2)));
    this.root.append(
      element('summary', {}, ['Time and filters']),
      element('div', { class: 'strip' }, [
        this.heatmap.root,
        element('div', { class: 'choices' }, [controls, this.words, element('p', { class: 'muted' }, [help])]),
      ]),
    );
  }

  private filters(): HTMLElement[] {
    const whole = this.times.weight.reduce((sum, weight) => sum + weight, 0);
    const labels = [];
    for (const part of PARTS) {
      const values = valuesOf(this.times, part);
      if (values.length < 2) continue;
      const select = element('select', {}, [element('option', { value: '' }, ['all'])]);
      for (const { value, weight } of values.slice(0, MOST_VALUES)) {
        const name = this.times.texts[value] || '[not recorded]';
        select.append(element('option', { value: String(value) }, [`${name}: ${percent(weight, whole)}`]));
      }
      if (values.length > MOST_VALUES) {
        const more = `${values.length - MOST_VALUES} more, with less`;
        select.append(element('option', { disabled: '' }, [more]));
      }
      select.addEventListener('change', () => this.filtered());
      this.selects.set(part, select);
      labels.push(element('label', {}, [`${TITLES[part]} `, select]));
    }
    return labels;
  }

  show(state: State): void {
    const kept = keptGroups(this.times, state.filters);
    this.heatmap.show(cellWeights(this.times, kept), [state.time, state.otherTime]);
    for (const [part, select] of this.selects) select.value = String(state.filters.get(part) ?? '');
    const seconds = (range: Range | null, end: 0 | 1) => (range ? secondsAt(this.times, range[end]).toFixed(2) : '');
    [seconds(state.time, 0), seconds(state.time, 1), seconds(state.otherTime, 0), seconds(state.otherTime, 1)]
      .forEach((text, number) => { this.fields[number]!.value = text; });
    this.against.hidden = !state.time;
    this.words.textContent = this.describe(state);
  }

  private describe({ time, otherTime }: State): string {
    if (!time) return '';
    const span = (range: Range) =>
      `${clockAt(this.times, range[0])} to ${clockAt(this.times, range[1])} (${threeDigits(observedSeconds(this.times, range))} s observed)`;
    if (!otherTime) return `Shown: ${span(time)}.`;
    return `Shown: ${span(time)} against ${span(otherTime)}, each by the second. Coloured is what differs by more than counting `
      + 'error explains; not tested against noise.';
  }

  repaint(colours: Colours): void {
    this.heatmap.repaint(colours);
  }

  /** Seconds as typed; half a range waits for its other half. */
  private typed(first: boolean): void {
    const [from, to] = (first ? this.fields.slice(0, 2) : this.fields.slice(2)).map((field) => field.value);
    if (from === '' && to === '') {
      this.changed(first ? { time: null, otherTime: null } : { otherTime: null });
    } else if (from !== '' && to !== '' && Number(from) < Number(to)) {
      const last = this.times.cellMs.length;
      const begin = Math.min(last - 1, cellAt(this.times, Number(from)));
      const range: [number, number] = [begin, Math.min(last, Math.max(begin + 1, cellAt(this.times, Number(to))))];
      this.changed(first ? { time: range } : { otherTime: range });
    }
  }

  private filtered(): void {
    const filters = new Map<string, number>();
    for (const [part, select] of this.selects) if (select.value !== '') filters.set(part, Number(select.value));
    this.changed({ filters });
  }
}
