/** What is known of the chosen frame. */

import { percent, signed, thousands, threeDigits } from './amount';
import { button, element } from './dom';
import type { Data } from './payload';
import { type Picture, nameOf } from './picture';
import { NOT_JUDGED, NO_FRAME, path } from './tree';

export interface DetailEvents {
  zoom(node: number): void;
  sandwich(frame: number): void;
  search(name: string): void;
}

/** A weight in its unit. */
function amount(data: Data, picture: Picture, weight: number): string {
  const value = weight / data.head.weight_per_unit;
  const counts = data.head.weight_per_unit === 1 && data.head.kind === 'profile' && Number.isInteger(value);
  return `${counts ? thousands(value) : threeDigits(value)} ${picture.unit}`.trim();
}

const JUDGED: Record<string, string[]> = {
  noise: ['no change that can be told from noise', 'grew, more than noise explains', 'shrank, more than noise explains'],
  counting: ['within counting error', 'grew, not tested against noise', 'shrank, not tested against noise'],
  nothing: ['no verdict', 'no verdict', 'no verdict'],
};

/** "grew, more than noise explains; only after". */
export function judgement(judgedBy: string, picture: Picture, node: number): string {
  const { tree } = picture;
  const [before, after] = [tree.sides[0]!.total[node]!, tree.sides[1]!.total[node]!];
  const grade = tree.grade?.[node] ?? NOT_JUDGED;
  const words = JUDGED[judgedBy]![grade] ?? 'paths of this view are not judged one by one';
  if (before <= 0 && after > 0) return `${words}; only after`;
  if (after <= 0 && before > 0) return `${words}; only before`;
  return words;
}

/** One line for the pointer, for those who listen, and for lists. */
export function oneLine(data: Data, judgedBy: string, picture: Picture, node: number): string {
  const { tree, side } = picture;
  const name = nameOf(data, picture, node);
  if (side === 'difference') {
    const [before, after] = [tree.sides[0]!.total[node]!, tree.sides[1]!.total[node]!];
    const unit = data.head.weight_per_unit;
    const change = `${threeDigits(before / unit)} → ${amount(data, picture, after)} (${signed((after - before) / unit)})`;
    return `${name}: ${change}, ${judgement(judgedBy, picture, node)}`;
  }
  const weights = tree.sides[side === 'after' ? 1 : 0]!;
  const total = weights.total[node]!;
  const self = weights.own[node]!;
  const whole = picture.wholes[side === 'after' ? 1 : 0]!;
  const own = self > 0 && node !== 0 ? `, self ${percent(self, whole)}` : '';
  return `${name}: ${percent(total, whole)}, ${amount(data, picture, total)}${own}`;
}

export class Details {
  readonly root = element('aside', { class: 'details', 'aria-label': 'Details' });

  constructor(private readonly data: Data, private readonly events: DetailEvents) {}

  nothing(): void {
    this.root.replaceChildren(
      element('h2', {}, ['Details']),
      element('p', { class: 'muted' }, ['Click a frame, or walk with the arrow keys.']),
    );
  }

  show(judgedBy: string, picture: Picture, node: number, zoomed: number): void {
    const { data } = this;
    const frame = picture.tree.shape.frame[node]!;
    const name = nameOf(data, picture, node);
    const parts: Node[] = [element('h2', { class: 'name' }, [name])];
    if (frame !== NO_FRAME) parts.push(this.facts(frame, this.gaps(picture, node)));
    parts.push(...this.weights(picture, node, zoomed));
    if (picture.side === 'difference') {
      parts.push(element('p', { class: 'judgement' }, [judgement(judgedBy, picture, node)]));
    }
    const actions = element('div', { class: 'actions' }, [button('Zoom', () => this.events.zoom(node))]);
    if (frame !== NO_FRAME) {
      actions.append(
        button('Callers and callees', () => this.events.sandwich(frame)),
        button('Find all', () => this.events.search(name)),
        copyButton(name),
      );
    }
    parts.push(actions);
    this.root.replaceChildren(...parts);
  }

  /** What the path to a node lacks: the frames in it that are no code. */
  private gaps(picture: Picture, node: number): string {
    const { frames, head } = this.data;
    const { shape } = picture.tree;
    const isGap = (at: number) => {
      const frame = shape.frame[at]!;
      return frame !== NO_FRAME && head.paints[frames.paint[frame]!]!.letter === 'x';
    };
    const gaps = path(shape, node).filter(isGap).map((at) => frames.names[shape.frame[at]!]!);
    return gaps.length > 0 ? `not complete: ${[...new Set(gaps)].slice(0, 3).join(', ')}` : '';
  }

  private facts(frame: number, gaps: string): Node {
    const { frames, head } = this.data;
    const list = element('dl');
    const add = (label: string, text: string) => {
      if (text !== '') list.append(element('div', {}, [element('dt', {}, [label]), element('dd', {}, [text])]));
    };
    const module = frames.modules[frames.module[frame]!] ?? '';
    add('Module', module);
    add('Kind', head.paints[frames.paint[frame]!]!.words);
    add('Source file', frames.files[frames.file[frame]!] ?? '');
    add('Name from', frames.sources[frames.source[frame]!] ?? '');
    add('Stack', gaps);
    const ids = head.build_ids.filter(([name]) => name === module && module !== '').map(([, id]) => id);
    add('Build-id', ids.slice(0, 3).join(', '));
    return list;
  }

  private weights(picture: Picture, node: number, zoomed: number): Node[] {
    const { tree, side } = picture;
    const parent = tree.shape.parent[node]!;
    const sides = side === 'difference' ? [0, 1] : side === 'after' ? [1] : [0];
    const names = side === 'only' ? [''] : sides.map((number) => (number === 0 ? 'Before' : 'After'));
    const head = element('tr', {}, [element('td')]);
    const table = element('table', {}, [element('thead', {}, [head])]);
    const body = element('tbody');
    table.append(body);
    sides.forEach((_, column) => head.append(element('th', { scope: 'col', class: 'number' }, [names[column] || picture.unit || 'weight'])));
    const row = (label: string, value: (side: number) => string) => {
      const cells = sides.map((number) => element('td', { class: 'number' }, [value(number)]));
      body.append(element('tr', {}, [element('th', { scope: 'row' }, [label]), ...cells]));
    };
    const total = (number: number, at: number) => tree.sides[number]!.total[at]!;
    row('Total', (number) => threeDigits(total(number, node) / this.data.head.weight_per_unit));
    row('Self', (number) => threeDigits(tree.sides[number]!.own[node]! / this.data.head.weight_per_unit));
    row('Of all', (number) => percent(total(number, node), picture.wholes[number]!));
    if (zoomed !== 0) row('Of the zoomed frame', (number) => percent(total(number, node), total(number, zoomed)));
    if (node !== 0 && parent !== 0) row('Of its caller', (number) => percent(total(number, node), total(number, parent)));
    if (side === 'difference') {
      const delta = total(1, node) - total(0, node);
      body.append(element('tr', {}, [
        element('th', { scope: 'row' }, ['Change']),
        element('td', { class: 'number', colspan: '2' }, [`${signed(delta / this.data.head.weight_per_unit)} ${picture.unit}`]),
      ]));
    }
    return [table];
  }
}

function copyButton(name: string): HTMLButtonElement {
  const made = button('Copy name', () => {
    copy(name).then((done) => { made.textContent = done ? 'Copied' : 'Copying is not allowed here'; });
  });
  return made;
}

/** Copies text; pages opened from a disk may lack the clipboard's new interface. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = element('textarea', { class: 'unseen', 'aria-hidden': 'true' });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    return done;
  }
}
