/** What the keys do. */

import { button, element } from './dom';

const KEYS: readonly (readonly [string, string])[] = [
  ['Arrow keys', 'walk the tree: to the heaviest callee, the caller, the neighbours'],
  ['Enter, click', 'zoom into the frame'],
  ['Backspace', 'zoom out to the caller'],
  ['Escape', 'clear the search, then reset the zoom, then the time'],
  ['/ or Ctrl+F', 'search by regular expression'],
  ['1, 2, 3, 4', 'flamegraph, inverted, sandwich, functions'],
  ['Wheel', 'scroll; with Ctrl zoom around the pointer'],
  ['+ and −', 'zoom in and out'],
  ['c', 'copy the name of the chosen frame'],
  ['?', 'this help'],
];

export function help(): HTMLDialogElement {
  const list = element('dl', {}, KEYS.map(([keys, what]) =>
    element('div', {}, [element('dt', {}, [element('kbd', {}, [keys])]), element('dd', {}, [what])])));
  const dialog = element('dialog', { class: 'keys', 'aria-label': 'Help' }, [element('h2', {}, ['Keys']), list]);
  dialog.append(button('Close', () => dialog.close()));
  return dialog;
}
