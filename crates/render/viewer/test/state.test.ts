import assert from 'node:assert/strict';
import { test } from 'node:test';
import { percent, signed, thousands, threeDigits } from '../src/amount';
import { fromHash, initial, toHash } from '../src/state';

test('an address shows what it was made from', () => {
  const state = {
    ...initial(), view: 'sandwich' as const, side: 'before' as const, rootsBelow: true, zoom: 12, path: [3, 1, 4],
    function: 7, search: 'a&b=#c', time: [3, 9] as [number, number], filters: new Map([['cpu', 2]]), theme: 'dark' as const,
  };
  assert.deepEqual(fromHash(`#${toHash(state)}`), state);
  assert.equal(toHash(initial()), '');
});

test('a foreign address does no harm', () => {
  const read = fromHash('#view=evil&zoom=-1&path=1.x.2&time=9-3&only-cpu=x&theme=<b>&function=1e9&search=%ff');
  assert.deepEqual(read, { ...initial(), path: [1, 2], search: '\ufffd' });
});

test('numbers are worded as in every other output', () => {
  assert.deepEqual([0, 0.00001, 0.01234, 1.2345, 12_345.6].map(threeDigits), ['0', '0.00001', '0.0123', '1.23', '12,346']);
  assert.deepEqual([0.25, -0.25, 0].map(signed), ['+0.250', '−0.250', '0']);
  assert.deepEqual([percent(1, 3), percent(1, 1000), percent(1, 1e9), percent(0, 1)], ['33.3 %', '0.10 %', '<0.01 %', '0 %']);
  assert.equal(thousands(1234567), '1,234,567');
});
