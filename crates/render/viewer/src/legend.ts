/** What the colours mean. */

import { element } from './dom';
import type { Data } from './payload';
import type { Side } from './picture';
import type { Colours } from './theme';

const GREY: Record<string, string> = {
  noise: 'not told from noise', counting: 'within counting error', nothing: 'no verdict',
};
const NOTES: Record<string, string> = {
  noise: 'Coloured is what changed more than noise explains.',
  counting: 'Not tested against noise.',
  nothing: 'No verdict: the two sides do not compare.',
};

export class Legend {
  readonly root = element('div', { class: 'legend', role: 'group', 'aria-label': 'Colours' });
  private swatches: [HTMLElement, number, number][] = [];
  private readonly used: number[];

  constructor(private readonly data: Data) {
    this.used = [...new Set(data.frames.paint)].sort((a, b) => a - b);
  }

  show(side: Side | 'nothing', judgedBy: string, pathsJudged: boolean): void {
    this.swatches = [];
    this.root.hidden = side === 'nothing';
    const parts: Node[] = [];
    const entry = (letterOrRow: string | number, shades: number[], words?: string) => {
      const { paints } = this.data.head;
      const row = typeof letterOrRow === 'number' ? letterOrRow : paints.findIndex((p) => p.letter === letterOrRow);
      const boxes = shades.map((shade) => {
        const box = element('i');
        this.swatches.push([box, row, shade]);
        return box;
      });
      parts.push(element('span', {}, [...boxes, words ?? paints[row]!.words]));
    };
    if (side === 'difference') {
      entry('g', [0, 1, 2, 3, 4], '\u25b2 grew');
      entry('s', [0, 1, 2, 3, 4], '\u25bc shrank');
      entry('o', [0], pathsJudged ? GREY[judgedBy] : `${GREY[judgedBy]}, or a path that was not judged by itself`);
      const width = 'Stronger: more of the frame changed. Width: the larger of before and after.';
      parts.push(element('span', { class: 'muted' }, [`${NOTES[judgedBy]} ${width}`]));
    } else {
      for (const row of this.used) entry(row, [1, 3]);
    }
    this.root.replaceChildren(...parts);
  }

  repaint(colours: Colours): void {
    for (const [box, paint, shade] of this.swatches) box.style.background = colours.fills[paint]![shade]!;
  }
}
