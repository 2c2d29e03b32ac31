// Measures how long Chromium takes to show large pictures and to answer in them. Medians; nothing passes or fails.
//
//     npm ci && node bench.mjs DIR         (DIR: what `cargo run --release -p render --example million DIR` wrote)

import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const directory = resolve(process.argv[2] ?? '.');
const ROUNDS = 5;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
});

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Milliseconds from an action to the frame that shows what came of it; runs in the page. */
const MEASURE = `window.took = async (action) => {
  const start = performance.now();
  action();
  await new Promise((done) => requestAnimationFrame(() => { const { port1, port2 } = new MessageChannel();
    port1.onmessage = done; port2.postMessage(0); }));
  return performance.now() - start;
};`;

async function page(file) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  const made = await context.newPage();
  await made.goto(pathToFileURL(join(directory, file)).href, { waitUntil: 'commit' });
  return made;
}

/** From the start of loading to the first frame in which the viewer's bars are painted. */
async function report(file) {
  const results = {};
  const add = (what, ms) => (results[what] ??= []).push(ms);
  for (let round = 0; round < ROUNDS; round += 1) {
    const at = await page(file);
    add('first paint of the tree', await at.evaluate(() => new Promise((done) => {
      const look = () => {
        const canvas = document.querySelector('.flame canvas');
        const pixel = canvas?.width > 20 ? canvas.getContext('2d').getImageData(20, 5, 1, 1).data : null;
        // The root's bar is there, and it is not the page's white.
        if (pixel && pixel[3] === 255 && pixel[0] < 250) done(performance.now());
        else requestAnimationFrame(look);
      };
      look();
    })));
    await at.evaluate(MEASURE);
    const click = (x, y) => at.evaluate(([left, top]) => {
      const canvas = document.querySelector('.flame canvas');
      const box = canvas.getBoundingClientRect();
      const event = new MouseEvent('click', { bubbles: true, clientX: box.left + left, clientY: box.top + top });
      return window.took(() => canvas.dispatchEvent(event));
    }, [x, y]);
    add('zoom in', await click(500, 27));
    add('zoom further in', await click(500, 45));
    add('zoom out', await click(500, 9));
    const search = (text) => at.evaluate((value) => {
      const field = document.querySelector('input[type=search]');
      return window.took(() => {
        field.value = value;
        field.dispatchEvent(new Event('input'));
      });
    }, text);
    add('search, few', await search('f4242$'));
    add('search, many', await search('1'));
    add('search, none', await search(''));
    const press = async (name) => {
      await at.evaluate(() => document.activeElement.blur());
      return at.evaluate((value) => window.took(() =>
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key: value, bubbles: true }))), name);
    };
    add('functions', await press('4'));
    add('sandwich', await press('3'));
    add('inverted', await press('2'));
    add('flamegraph again', await press('1'));
    if (await at.locator('.seconds').count()) {
      add('a second of time', await at.evaluate(() => {
        const [from, to] = document.querySelectorAll('.seconds');
        return window.took(() => {
          [from.value, to.value] = ['10', '11'];
          to.dispatchEvent(new Event('change'));
        });
      }));
    }
    await at.context().close();
  }
  return results;
}

/** A picture with flamegraph.pl's interface (inferno's) or ours. */
async function picture(file, act) {
  const results = {};
  const add = (what, ms) => (results[what] ??= []).push(ms);
  for (let round = 0; round < ROUNDS; round += 1) {
    const at = await page(file);
    await at.waitForLoadState('load');
    add('first paint', await at.evaluate(() => new Promise((done) =>
      requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))));
    await at.evaluate(MEASURE);
    await act(at, add);
    await at.context().close();
  }
  return results;
}

async function inferno(at, add) {
  add('zoom in', await at.evaluate(() => {
    const frame = [...document.querySelectorAll('#frames > g')].sort((a, b) =>
      b.getBoundingClientRect().width - a.getBoundingClientRect().width)[1];
    return window.took(() => zoom(frame));
  }));
  add('zoom out', await at.evaluate(() => window.took(() => unzoom())));
  add('search, many', await at.evaluate(() => window.took(() => search('1'))));
}

async function ours(at, add) {
  add('zoom in', await at.evaluate(() => {
    const bar = document.querySelectorAll('.bars > g')[1];
    return window.took(() => bar.dispatchEvent(new MouseEvent('click', { bubbles: true })));
  }));
}

for (const [file, measure] of [
  ['million.html', () => report('million.html')],
  ['million-over-time.html', () => report('million-over-time.html')],
  ['million.svg', () => picture('million.svg', ours)],
  ['million.inferno.svg', () => picture('million.inferno.svg', inferno)],
]) {
  const path = join(directory, file);
  if (!existsSync(path)) throw new Error(`${path} is missing`);
  const results = await measure();
  const figures = Object.entries(results).map(([what, values]) => `${what} ${Math.round(median(values))} ms`);
  console.log(`${file}, ${(statSync(path).size / 1e6).toFixed(2)} MB: ${figures.join(', ')}`);
}
await browser.close();
