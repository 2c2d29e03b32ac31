import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Times, cellAt, cellWeights, clockAt, columnStarts, keptGroups, observedSeconds, ownIn, placed, secondsAt, valuesOf,
} from '../src/times';

/** Two captures: three cells of 20 ms, two of 40 ms. Groups: thread a on CPU 0 and 1, thread b on CPU 0. */
const times: Times = {
  captures: [
    { cells: 3, cell_ms: 20, start_unix_ms: Date.UTC(2026, 10, 21, 4, 24, 45) },
    { cells: 2, cell_ms: 40, start_unix_ms: null },
  ],
  cellMs: Float64Array.of(20, 20, 10, 40, 40),
  groups: {
    host: Uint32Array.of(0, 0, 0), cgroup: Uint32Array.of(1, 1, 1), process: Uint32Array.of(2, 2, 2),
    thread: Uint32Array.of(3, 3, 4), cpu: Uint32Array.of(5, 6, 5),
  },
  texts: ['web-1', '/', 'p (1)', 'a (1)', 'b (2)', 'CPU 0', 'CPU 1'],
  ...placed(Uint32Array.of(1, 0, 1, 0, 0), Uint32Array.of(0, 4, 1, 0, 2)),
  group: Uint32Array.of(0, 1, 0, 2, 2),
  weight: Float64Array.of(1, 2, 4, 8, 16),
};

test('rows stand where their steps lead', () => {
  assert.deepEqual(Array.from(times.node), [1, 1, 2, 2, 2]);
  assert.deepEqual(Array.from(times.cell), [0, 4, 1, 1, 3]);
});

test('a range and filters choose rows', () => {
  const own = (filters: [string, number][], range: [number, number] | null) =>
    Array.from(ownIn(times, 3, keptGroups(times, new Map(filters)), range));
  assert.deepEqual(own([], null), [0, 3, 28]);
  assert.deepEqual(own([], [1, 4]), [0, 0, 28]);
  assert.deepEqual(own([['thread', 4]], null), [0, 0, 24]);
  assert.deepEqual(own([['thread', 3], ['cpu', 6]], null), [0, 2, 0]);
  assert.deepEqual(own([['thread', 99]], null), [0, 0, 0]);
  assert.deepEqual(Array.from(cellWeights(times, keptGroups(times, new Map([['cpu', 5]])))), [1, 12, 0, 16, 0]);
});

test('values come with the heaviest first', () => {
  assert.deepEqual(valuesOf(times, 'thread'), [{ value: 4, weight: 24 }, { value: 3, weight: 7 }]);
});

test('cells become times and times cells', () => {
  assert.deepEqual([0, 2, 3, 5].map((cell) => secondsAt(times, cell)), [0, 0.04, 0.06, 0.14]);
  assert.deepEqual([0, 0.019, 0.02, 0.06, 0.1, 9].map((seconds) => cellAt(times, seconds)), [0, 0, 1, 3, 4, 5]);
  for (let cell = 0; cell < 5; cell++) assert.equal(cellAt(times, secondsAt(times, cell)), cell);
  assert.equal(observedSeconds(times, [1, 4]), 0.07);
  assert.equal(clockAt(times, 2), '2026-11-21 04:24:45.04 UTC');
  assert.equal(clockAt(times, 5), '0.08 s');
  assert.deepEqual(columnStarts(times), [0, 3, 5]);
});
