// Opens reports full of hostile names: nothing runs, nothing is asked for, no policy is violated, and the page has
// the elements that it has with harmless names.
//
//     npm ci && node hostile.mjs DIR        (DIR: what `cargo run -p render --example hostile_reports DIR` wrote)

import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { check, opened, run, watchPolicy } from './checks.mjs';

const directory = resolve(process.argv[2] ?? '.');

/** Names of elements and of their attributes, in order. */
const shape = (page) => page.evaluate(() => [...document.querySelectorAll('*')].map((element) =>
  [element.localName, ...[...element.attributes].map((attribute) => attribute.name)].join(' ')));

const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** Whether two pages have the same elements; or the first place where they do not. */
function same(what, seen, expected) {
  const at = expected.findIndex((element, i) => element !== seen[i]);
  check(what, at < 0 && seen.length === expected.length, [at, seen.slice(at, at + 3), expected.slice(at, at + 3)]);
}

/** Goes through every view, over every row. */
async function useAll(page) {
  const shapes = [];
  for (const key of ['1', '2', '3', '4']) {
    await page.keyboard.press(key);
    if (key === '4') {
      await page.locator('.functions').focus();
      for (let row = 0; row < 30; row += 1) await page.keyboard.press('PageDown');
    } else {
      const box = await page.locator('.flame:visible canvas').first().boundingBox();
      for (let x = 1; x < box.width; x += 23) await page.mouse.move(box.x + x, box.y + 27);
      await page.locator('.flame:visible').first().focus();
      for (let step = 0; step < 60; step += 1) await page.keyboard.press(step % 3 ? 'ArrowRight' : 'ArrowDown');
    }
    shapes.push(await shape(page));
  }
  return shapes;
}

/** Opens a file in a window that may have shown others before. */
async function visit({ page, complaints, requests }, file, use) {
  complaints.length = 0;
  requests.length = 0;
  await page.goto(pathToFileURL(join(directory, file)).href);
  await page.waitForSelector('.toolbar');
  const shapes = [await shape(page), ...(use ? await useAll(page) : [])];
  const text = await page.evaluate(() => document.documentElement.textContent + document.title);
  check(`${file}: nothing runs, no policy is violated`, complaints.length === 0, complaints);
  check(`${file}: nothing is asked for`, requests.length === 1, requests);
  check(`${file}: no control or bidirectional character`, !CONTROLS.test(text), CONTROLS.exec(text)?.[0].codePointAt(0));
  return shapes;
}

await run(async (browser) => {
  const window = await opened(browser);
  await watchPolicy(window.page, window.complaints);
  for (const kind of ['html', 'diff.html']) {
    const plain = await visit(window, `plain.${kind}`, true);
    const hostile = await visit(window, `all.${kind}`, true);
    same(`${kind}: the page opens with the elements that it has with harmless names`, hostile[0], plain[0]);
    const known = new Set(plain.flat());
    const foreign = [...new Set(hostile.flat())].filter((element) => !known.has(element));
    check(`${kind}: no view has other elements`, foreign.length === 0, foreign);
  }
  const titles = readdirSync(directory).filter((name) => name.startsWith('title-'));
  check('there are titles', titles.length === 200, titles.length);
  const first = new Map();
  for (const name of titles) {
    const [elements] = await visit(window, name, false);
    const kind = Number(/\d+/.exec(name)[0]) % 2;
    if (!first.has(kind)) first.set(kind, elements);
    same(`${name}: as with any other title`, elements, first.get(kind));
  }
});
