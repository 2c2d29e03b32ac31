// What folded stacks say, worked out apart from the viewer.

export function percent(part, whole) {
  const p = (part / whole) * 100;
  if (!(part > 0)) return '0 %';
  return p >= 0.995 ? `${p.toFixed(1)} %` : p >= 0.005 ? `${p.toFixed(2)} %` : '<0.01 %';
}

/** Without what folded stacks append to names: whether a frame is inlined, made at run time, of the kernel. */
export const bare = (name) => name.replace(/_\[[ijk]\]$/, '');

/** A tree from folded stacks. */
export function treeOf(folded) {
  const root = { name: 'all', weight: 0, children: new Map() };
  const stacks = folded.trim().split('\n').map((line) => {
    const at = line.lastIndexOf(' ');
    return [line.slice(0, at).split(';'), Number(line.slice(at + 1))];
  });
  for (const [names, weight] of stacks) {
    let node = root;
    node.weight += weight;
    for (const name of names) {
      if (!node.children.has(name)) node.children.set(name, { name, weight: 0, children: new Map() });
      node = node.children.get(name);
      node.weight += weight;
    }
  }
  return { root, stacks };
}

export const heaviest = (node) => [...node.children.values()].reduce((best, child) => (best && best.weight >= child.weight ? best : child), null);
