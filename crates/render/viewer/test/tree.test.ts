import assert from 'node:assert/strict';
import { test } from 'node:test';
import { barAt, layOut, starts } from '../src/layout';
import { compile, matchedUnder, matches } from '../src/search';
import { callees, callers } from '../src/regroup';
import { NO_FRAME, fromDepths, functions, path, shapeOf, topmost, weigh, widths } from '../src/tree';

/** Frames are numbers here. */
function tree(nodes: [depth: number, frame: number, ...own: number[]][], grade: number[] | null = null) {
  const shape = fromDepths(Uint32Array.from([0, ...nodes.map(([d]) => d)]), Uint32Array.from([NO_FRAME, ...nodes.map(([, f]) => f)]));
  const sides = nodes[0]!.length - 2;
  const own = Array.from({ length: sides }, (_, side) => Float64Array.from([0, ...nodes.map((node) => node[side + 2]!)]));
  return weigh(shape, own, grade && Uint8Array.from(grade));
}

// main(0) calls work(1) calls copy(2); main calls copy; copy calls work calls copy.
const story = tree([[1, 0, 1], [2, 1, 0], [3, 2, 5], [2, 2, 2], [3, 1, 0], [4, 2, 4]]);

const named = (t: ReturnType<typeof tree>) =>
  Array.from(t.shape.frame, (frame, i) => [t.shape.depth[i], frame, t.sides[0]!.total[i], t.sides[0]!.own[i]]).slice(1);

const options = { least: 0, focus: [], compare: (a: number, b: number) => a - b };

test('a shape comes back from its steps', () => {
  const shape = shapeOf(Uint32Array.from([0, 0, 0, 2, 0, 0]), Uint32Array.from([0, 1, 2, 2, 1, 2]));
  assert.deepEqual(Array.from(shape.depth), [0, 1, 2, 3, 2, 3, 4]);
  assert.deepEqual(Array.from(shape.parent), [0, 0, 1, 2, 1, 4, 5]);
  assert.deepEqual(Array.from(shape.end), [7, 7, 4, 4, 7, 7, 7]);
  assert.deepEqual(path(shape, 6), [1, 4, 5, 6]);
});

test('a function that recurs counts once for each stack', () => {
  const rows = functions(story, Uint32Array.from([0, 1, 2]), 3);
  assert.deepEqual(rows.map((row) => [row.function, row.own[0], row.total[0]]), [[0, 1, 12], [1, 0, 9], [2, 11, 11]]);
});

test('inverted, what costs comes first and everything adds up', () => {
  const inverted = callers(story, null, options);
  assert.deepEqual(named(inverted), [
    [1, 0, 1, 1],
    [1, 2, 11, 0], [2, 0, 2, 2], [2, 1, 9, 0], [3, 0, 5, 5], [3, 2, 4, 0], [4, 0, 4, 4],
  ]);
  assert.equal(inverted.sides[0]!.total[0], 12);
});

test('callers and callees of a function hold each of its stacks once', () => {
  const seeds = topmost(story.shape, (frame) => frame === 2);
  assert.deepEqual(seeds, [3, 4]);
  assert.deepEqual(named(callers(story, seeds, options)), [[1, 2, 11, 0], [2, 0, 6, 6], [2, 1, 5, 0], [3, 0, 5, 5]]);
  assert.deepEqual(named(callees(story, seeds, options)), [[1, 2, 11, 7], [2, 1, 4, 0], [3, 2, 4, 4]]);
});

test('what is too small stays in one piece, and is taken apart in the focus', () => {
  const least = { ...options, least: 0.5 };
  const inverted = callers(story, null, least);
  assert.deepEqual(named(inverted), [[1, NO_FRAME, 1, 1], [1, 2, 11, 0], [2, NO_FRAME, 2, 2], [2, 1, 9, 0], [3, NO_FRAME, 9, 9]]);
  const focused = callers(story, null, { ...least, focus: [2, 1] });
  assert.deepEqual(named(focused).slice(-2), [[3, NO_FRAME, 4, 4], [3, 0, 5, 5]]);
});

test('a width is the larger side, and no less than the children together', () => {
  const both = tree([[1, 0, 0, 0], [2, 1, 4, 0], [2, 2, 0, 3]]);
  assert.deepEqual(Array.from(widths(both, 'both')), [7, 7, 4, 3]);
});

test('only what can be seen becomes a bar, and the rest one that is merged', () => {
  const wide = tree([[1, 0, 0], [2, 1, 900], [2, 2, 1], [2, 3, 1], [2, 4, 98], [3, 5, 1]]);
  const width = widths(wide, 0);
  const start = starts(wide.shape, width);
  const layout = layOut(wide.shape, width, start, { from: 0, to: 1001 }, 300);
  const bars = Array.from(layout.node, (node, i) => [node, layout.merged[i]]);
  assert.deepEqual(bars, [[0, 0], [1, 0], [2, 0], [1, 1], [5, 0]]);
  assert.deepEqual(Array.from(layout.rows), [0, 1, 2, 5]);
  assert.equal(layout.node[barAt(layout, 2, 1)], 2);
  assert.equal(barAt(layout, 2, 299.99) >= 0, true);
  assert.equal(barAt(layout, 9, 1), -1);
  const zoomed = layOut(wide.shape, width, start, { from: 900, to: 902 }, 300);
  assert.deepEqual(Array.from(zoomed.node), [0, 1, 3, 4]);
});

test('ten thousand frames deep is no trouble', () => {
  const deep = tree(Array.from({ length: 10_000 }, (_, i) => [i + 1, i, i === 9_999 ? 5 : 0]));
  const width = widths(deep, 0);
  const layout = layOut(deep.shape, width, starts(deep.shape, width), { from: 0, to: 5 }, 1000);
  assert.equal(layout.node.length, 10_001);
  assert.equal(callers(deep, null, options).shape.size, 10_001);
});

test('a match below a match counts once', () => {
  const found = matches(['main', 'work', 'copy'], compile('work|copy')!.pattern);
  assert.deepEqual(matchedUnder(story, found, 0), [11]);
  assert.deepEqual(matchedUnder(story, found, 2), [5]);
});

test('capitals count only where the pattern has some, and what is no pattern is text', () => {
  assert.equal(compile('main')!.pattern.test('MAIN'), true);
  assert.equal(compile('Main')!.pattern.test('MAIN'), false);
  assert.equal(compile('a(')!.pattern.test('x a( y'), true);
  assert.equal(compile('a(')!.plain, true);
  assert.equal(compile(''), null);
});
