/** Numbers as people read them; the same words as in every other output. */

export function thousands(value: number): string {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Three digits that matter, never an exponent. */
export function threeDigits(value: number): string {
  if (!Number.isFinite(value) || value <= 0) return '0';
  if (value >= 99.95) return thousands(value);
  const decimals = value >= 9.995 ? 1 : value >= 0.9995 ? 2 : value >= 0.09995 ? 3 : value >= 0.009995 ? 4 : 5;
  const text = value.toFixed(decimals);
  return /^[0.]*$/.test(text) ? '<0.00001' : text;
}

export function signed(value: number): string {
  return value > 0 ? `+${threeDigits(value)}` : value < 0 ? `−${threeDigits(-value)}` : '0';
}

export function percent(part: number, whole: number): string {
  if (!(part > 0) || !(whole > 0)) return '0 %';
  const p = (part / whole) * 100;
  return p >= 0.995 ? `${p.toFixed(1)} %` : p >= 0.005 ? `${p.toFixed(2)} %` : '<0.01 %';
}

export function counted(count: number, one: string): string {
  return `${thousands(count)} ${one}${count === 1 ? '' : 's'}`;
}
