/** Search by regular expression. */

import { type Tree, NO_FRAME } from './tree';

/** A pattern as typed. Capitals count only where it has some. */
export function compile(text: string): { pattern: RegExp; plain: boolean } | null {
  if (text === '') return null;
  const flags = /[A-Z]/.test(text) ? 'u' : 'iu';
  try {
    return { pattern: new RegExp(text, flags), plain: false };
  } catch {
    const escaped = text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    return { pattern: new RegExp(escaped, flags), plain: true };
  }
}

/** Which frames match, by row. */
export function matches(names: readonly string[], pattern: RegExp): Uint8Array {
  const found = new Uint8Array(names.length);
  for (let i = 0; i < names.length; i++) if (pattern.test(names[i]!)) found[i] = 1;
  return found;
}

/** Weight below `top` under frames that match, for each side; a match below a match counts once. */
export function matchedUnder(tree: Tree, found: Uint8Array, top: number): number[] {
  const { frame, end } = tree.shape;
  const sums = tree.sides.map(() => 0);
  for (let i = top; i < end[top]!;) {
    if (frame[i] !== NO_FRAME && found[frame[i]!]) {
      tree.sides.forEach((side, number) => { sums[number]! += side.total[i]!; });
      i = end[i]!;
    } else {
      i++;
    }
  }
  return sums;
}
