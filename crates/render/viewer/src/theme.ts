/** Colours: of the page as its style has them, of frames as the report states them. */

import type { Paint } from './payload';

export interface Colours {
  dark: boolean;
  page: string;
  ink: string;
  muted: string;
  line: string;
  found: string;
  /** By paint and shade. */
  fills: string[][];
}

const choices = ['system', 'light', 'dark'] as const;
export type ThemeChoice = (typeof choices)[number];

export function isThemeChoice(text: string | null): text is ThemeChoice {
  return (choices as readonly (string | null)[]).includes(text);
}

export function choose(choice: ThemeChoice): void {
  if (choice === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = choice;
}

export function colours(paints: readonly Paint[]): Colours {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string) => style.getPropertyValue(name).trim();
  const dark = style.colorScheme === 'dark';
  return {
    dark,
    page: value('--page'),
    ink: value('--ink'),
    muted: value('--muted'),
    line: value('--line'),
    found: value('--found'),
    fills: paints.map((paint) => (dark ? paint.dark : paint.light)),
  };
}
