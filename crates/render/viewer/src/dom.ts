/** Elements with text in them; markup is never parsed. */

type Child = Node | string;

export function element<K extends keyof HTMLElementTagNameMap>(
  name: K, attributes: Record<string, string> = {}, children: Child[] = [],
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function button(text: string, action: () => void, attributes: Record<string, string> = {}): HTMLButtonElement {
  const made = element('button', { type: 'button', ...attributes }, [text]);
  made.addEventListener('click', action);
  return made;
}

/** Buttons of which one is chosen. */
export class Choice<T extends string> {
  readonly root: HTMLElement;
  private readonly buttons = new Map<T, HTMLButtonElement>();

  constructor(label: string, options: readonly (readonly [T, string])[], private readonly chosen: (value: T) => void) {
    this.root = element('div', { class: 'choice', role: 'group', 'aria-label': label });
    for (const [value, text] of options) {
      const made = button(text, () => this.chosen(value), { 'aria-pressed': 'false' });
      this.buttons.set(value, made);
      this.root.append(made);
    }
  }

  set(value: T): void {
    for (const [key, made] of this.buttons) made.setAttribute('aria-pressed', String(key === value));
  }
}

/** A canvas as large as its place, in device pixels; drawing is in CSS pixels. */
export class Surface {
  readonly canvas: HTMLCanvasElement;
  readonly context: CanvasRenderingContext2D;
  width = 0;
  height = 0;

  constructor(private readonly host: HTMLElement, resized: () => void) {
    this.canvas = element('canvas', { 'aria-hidden': 'true' });
    this.context = this.canvas.getContext('2d', { alpha: false })!;
    host.append(this.canvas);
    new ResizeObserver(() => {
      if (this.fit()) resized();
    }).observe(host);
    this.fit();
  }

  /** Whether the size changed. */
  fit(): boolean {
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    const ratio = devicePixelRatio || 1;
    const pixels = [Math.round(width * ratio), Math.round(height * ratio)] as const;
    if (this.canvas.width === pixels[0] && this.canvas.height === pixels[1]) return false;
    [this.canvas.width, this.canvas.height] = pixels;
    [this.width, this.height] = [width, height];
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return true;
  }
}

/** Runs once in the next frame, however often it is asked for. */
export function oncePerFrame(action: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      action();
    });
  };
}
