// Opens pictures in Chromium and uses them as people do.
//
//     npm ci && node run.mjs PICTURE.svg…
//
// Needs Debian's chromium (another one: CHROMIUM=/path/to/it). Prints what failed and
// "N passed, N failed"; exits 1 when something failed. SCREENSHOTS=DIR keeps pictures of each state.

import { readFileSync, writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { check, opened, run, screenshotPath } from './checks.mjs';

const pictures = process.argv.slice(2).map((path) => resolve(path));
if (pictures.length === 0) {
  console.error('usage: node run.mjs PICTURE.svg…');
  process.exit(1);
}

/** Bars as the file states them, without any script. */
function barsOf(source) {
  const text = (s) => s.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');
  const bars = [];
  const path = [];
  for (const [, tag, title, rest] of source.matchAll(/<g ([^>]*data-d="[^>]*)>\s*<title>([^<]*)<\/title>([\s\S]*?)<\/g>/g)) {
    const number = (key) => Number(new RegExp(`${key}="(\\d+)"`).exec(tag)?.[1]);
    const bar = {
      index: bars.length, depth: number('data-d'), weight: number('data-w'),
      before: number('data-b'), after: number('data-a'),
      merged: /class="m0"/.test(tag), name: text(title).split('\n')[0],
      label: text(/<text[^>]*>([^<]*)<\/text>/.exec(rest)?.[1] ?? ''),
      width: Number(/ width="([\d.]+)"/.exec(rest)[1]),
    };
    path.length = bar.depth;
    bar.parent = path[bar.depth - 1];
    path.push(bar);
    bars.push(bar);
  }
  return bars;
}

/** What the picture in the page shows now. */
function state(page) {
  return page.evaluate(() => {
    const bars = [...document.querySelectorAll('.bars > g')].map((g) => ({
      shown: g.getAttribute('display') !== 'none',
      x: Number(g.querySelector('rect').getAttribute('x')),
      width: Number(g.querySelector('rect').getAttribute('width')),
      label: g.querySelector('text')?.textContent ?? '',
      found: g.classList.contains('found'),
    }));
    const shownText = (selector) => {
      const element = document.querySelector(selector);
      return element && element.getAttribute('display') !== 'none' ? element.textContent : null;
    };
    return { bars, matched: shownText('.matched'), tip: shownText('.tip'), reset: shownText('.button') };
  });
}

function percent(part, whole) {
  const p = (part / whole) * 100;
  if (!(part > 0)) return '0 %';
  return p >= 0.995 ? `${p.toFixed(1)} %` : p >= 0.005 ? `${p.toFixed(2)} %` : '<0.01 %';
}

/** Share under matching bars, a match below a match counted once; computed apart from the viewer. */
function expectedShare(bars, pattern) {
  const found = new Set(bars.filter((b) => b.depth > 0 && !b.merged && pattern.test(b.name)));
  const below = (bar) => bar.parent && (found.has(bar.parent) || below(bar.parent));
  const outermost = [...found].filter((bar) => !below(bar));
  const sum = (key) => outermost.reduce((total, bar) => total + bar[key], 0);
  return Number.isNaN(bars[0].before)
    ? percent(sum('weight'), bars[0].weight)
    : `${percent(sum('before'), bars[0].before)} before, ${percent(sum('after'), bars[0].after)} after`;
}

// Playwright's own screenshots wait for a body, which an SVG document does not have.
async function screenshot(page, name) {
  const path = screenshotPath(name);
  if (!path) return;
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'png' });
  writeFileSync(path, Buffer.from(data, 'base64'));
}

async function interactive(browser, picture, colorScheme) {
  const name = `${basename(picture, '.svg')} (${colorScheme})`;
  const { context, page, complaints, requests } = await opened(browser, { colorScheme });
  await page.goto(pathToFileURL(picture).href);
  const bars = barsOf(readFileSync(picture, 'utf8'));
  const g = (bar) => page.locator('.bars > g').nth(bar.index);
  const same = (a, b) => Math.abs(a - b) < 0.05;

  let now = await state(page);
  check(`${name}: as many bars as the file states`, now.bars.length === bars.length && bars.length > 1, [now.bars.length, bars.length]);
  check(`${name}: the script changes no label`, now.bars.every((b, i) => b.label === bars[i].label));
  check(`${name}: reset is not offered before a zoom`, now.reset === null);
  await screenshot(page, `${name} 1 opened`);

  // Tooltip beside the pointer: at once, with the whole name.
  const target = bars.filter((b) => b.depth >= 1 && !b.merged && b.width > 12)
    .sort((a, b) => b.depth - a.depth || b.weight - a.weight)[0];
  await g(target).hover();
  now = await state(page);
  check(`${name}: the tooltip has the whole name`, now.tip?.includes(target.name), now.tip);
  check(`${name}: the tooltip has a share`, /\d %/.test(now.tip ?? ''), now.tip);
  await screenshot(page, `${name} 2 tooltip`);
  const inside = await page.evaluate(() => {
    const box = document.querySelector('.tip').getBoundingClientRect();
    return box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
  });
  check(`${name}: the tooltip stays inside the window`, inside);

  // Click zooms; the bar and its callers fill the width; the rest goes.
  await g(target).click();
  now = await state(page);
  const full = now.bars[0].width;
  check(`${name}: a zoomed bar fills the width`, same(now.bars[target.index].width, full), now.bars[target.index]);
  check(`${name}: so does its caller`, same(now.bars[target.parent.index].width, full));
  const scale = bars[0].weight / target.weight;
  const kids = bars.filter((b) => b.parent === target);
  const wide = bars[0].width + 0.8;
  check(`${name}: what it calls grows alike`, kids.every((kid) => {
    const width = (kid.weight / target.weight) * wide;
    return Math.abs(now.bars[kid.index].width - width) <= 0.85;
  }), { scale, kids: kids.length });
  const other = bars.find((b) => b.depth === target.depth && b !== target);
  if (other) check(`${name}: its neighbours are hidden`, !now.bars[other.index].shown);
  check(`${name}: reset is offered`, now.reset === 'Reset zoom');
  await screenshot(page, `${name} 3 zoomed`);
  await page.locator('.button').click();
  now = await state(page);
  check(`${name}: reset shows everything, labels as in the file`,
    now.bars.every((b, i) => b.shown && b.label === bars[i].label && Math.abs(b.width - bars[i].width) <= 0.02));
  await g(target).click();
  await page.keyboard.press('Escape');
  check(`${name}: Escape resets`, (await state(page)).bars.every((b) => b.shown));
  await g(target).click();
  await g(bars[0]).click();
  check(`${name}: a click on the root resets`, (await state(page)).bars.every((b) => b.shown));

  await search(page, name, bars, target);
  await keyboard(page, name, bars);
  await link(page, name, target);
  check(`${name}: no complaint in the console`, complaints.length === 0, complaints);
  check(`${name}: no request but for the file`, requests.length === 1, requests);
  await context.close();
}

async function search(page, name, bars, target) {
  // What a keyboard can type, at most 30 characters of it, as a pattern that means just that.
  const typeable = /[\x20-\x7e]{1,30}/.exec(target.name)?.[0] ?? '';
  const escaped = typeable.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  await page.keyboard.press('/');
  await page.keyboard.type(escaped);
  let now = await state(page);
  const pattern = new RegExp(escaped, /[A-Z]/.test(escaped) ? '' : 'i');
  check(`${name}: the share matched counts nested matches once`,
    now.matched?.startsWith(`matched: ${expectedShare(bars, pattern)}`), [now.matched, expectedShare(bars, pattern)]);
  check(`${name}: what matches is highlighted, and nothing else`,
    now.bars.every((b, i) => b.found === (i > 0 && !bars[i].merged && pattern.test(bars[i].name))));
  await screenshot(page, `${name} 4 search`);
  await page.keyboard.press('Escape');
  now = await state(page);
  check(`${name}: Escape clears the search`, now.matched === '' && now.bars.every((b) => !b.found), now.matched);
  await page.evaluate((text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text', text);
    document.dispatchEvent(new ClipboardEvent('paste', { clipboardData }));
  }, `${escaped}\n`);
  now = await state(page);
  check(`${name}: a pasted pattern is searched, too`, now.matched?.startsWith(`matched: ${expectedShare(bars, pattern)}`), now.matched);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');

  await page.keyboard.press('Control+f');
  await page.keyboard.type('.');
  now = await state(page);
  check(`${name}: everything drawn matches "."`, now.matched?.startsWith(`matched: ${expectedShare(bars, /./)}`), now.matched);
  await page.keyboard.press('Backspace');
  await page.keyboard.type('zz(');
  now = await state(page);
  check(`${name}: what is no pattern is searched as text`, now.matched?.startsWith('matched: 0 %') && now.matched.endsWith('(as plain text)'), now.matched);
  await page.keyboard.press('Control+Backspace');
  check(`${name}: a word can be deleted`, (await state(page)).matched === '');
  await page.keyboard.press('Escape');
}

/** The address leads others to the same zoom and search, and the way back to the step before. */
async function link(page, name, target) {
  await page.keyboard.press('Escape');
  await page.locator('.bars > g').nth(target.index).click();
  await page.keyboard.press('/');
  await page.keyboard.type('[a-m]');
  const address = await page.evaluate(() => location.href);
  check(`${name}: the address has zoom and search`, address.endsWith(`#zoom=${target.index}&search=%5Ba-m%5D`), address);
  const here = await state(page);
  const other = await page.context().newPage();
  await other.goto(address);
  const there = await state(other);
  // Where hidden bars stood last, nobody sees.
  const seen = ({ bars: all, matched, reset }) => JSON.stringify([all.map((b) => b.shown && b), matched, reset]);
  check(`${name}: a link shows the same`, seen(there) === seen(here), [here.matched, there.matched]);
  await other.goto(address.replace(/#.*/, '#zoom=99999999&search=%E0%A4%A'));
  check(`${name}: a link that means nothing shows everything`, (await state(other)).bars.every((b) => b.shown && !b.found));
  await other.close();
  await page.keyboard.press('Escape');
  await page.evaluate(() => history.back());
  await page.waitForFunction(() => !location.hash.includes('zoom='));
  check(`${name}: the way back leads to the step before`, (await state(page)).bars.every((b) => b.shown));
}

async function keyboard(page, name, bars) {
  const focused = () => page.evaluate(() => [...document.querySelectorAll('.bars > g')].indexOf(document.activeElement));
  const icicle = await page.evaluate(() => {
    const y = (i) => Number(document.querySelectorAll('.bars > g')[i].querySelector('rect').getAttribute('y'));
    return y(1) > y(0);
  });
  const [down, up] = icicle ? ['ArrowDown', 'ArrowUp'] : ['ArrowUp', 'ArrowDown'];
  await page.evaluate(() => document.querySelector('.bars > g').focus());
  await page.keyboard.press(down);
  const heaviest = bars.filter((b) => b.depth === 1).reduce((best, b) => (b.weight > best.weight ? b : best));
  check(`${name}: an arrow goes to the heaviest callee`, (await focused()) === heaviest.index, await focused());
  check(`${name}: a focused bar shows its tooltip`, (await state(page)).tip?.includes(heaviest.name));
  await page.keyboard.press('Enter');
  const now = await state(page);
  check(`${name}: Enter zooms`, Math.abs(now.bars[heaviest.index].width - now.bars[0].width) < 0.05 && (heaviest.weight === bars[0].weight || now.reset !== null));
  await page.keyboard.press('Escape');
  await page.keyboard.press(up);
  check(`${name}: and an arrow back to the caller`, (await focused()) === 0, await focused());
  const row = bars.filter((b) => b.depth === 1);
  if (row.length > 1) {
    await page.evaluate((i) => document.querySelectorAll('.bars > g')[i].focus(), row[0].index);
    await page.keyboard.press('ArrowRight');
    check(`${name}: and one to the neighbour`, (await focused()) === row[1].index, await focused());
  }
}

/** With scripts off, and as an image in a page: still a whole picture. */
async function still(browser, picture) {
  const name = `${basename(picture, '.svg')} (scripts blocked)`;
  const bars = barsOf(readFileSync(picture, 'utf8'));
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(pathToFileURL(picture).href);
  const texts = await page.locator('text').allTextContents();
  check(`${name}: the title is readable`, texts[0]?.length > 0 && (await page.locator('text').first().isVisible()), texts[0]);
  check(`${name}: all bars are drawn`, (await page.locator('.bars > g > rect').count()) === bars.length);
  const labels = bars.filter((b) => b.label).map((b) => b.label);
  check(`${name}: bars have their names`, labels.length > 1 && labels.every((label) => texts.includes(label)));
  check(`${name}: names are in native tooltips`, (await page.locator('.bars > g > title').count()) === bars.length);
  check(`${name}: no controls that do nothing`, (await page.locator('.control').count()) === 0);
  await screenshot(page, name);

  const box = await page.locator('svg').first().boundingBox();
  const overflowing = [];
  for (const text of await page.locator('text').all()) {
    const b = await text.boundingBox();
    if (b && b.width > 0 && (b.x < 0 || b.x + b.width > box.width || b.y + b.height > box.y + box.height)) {
      overflowing.push(await text.textContent());
    }
  }
  check(`${name}: no text leaves the picture`, overflowing.length === 0, overflowing);
  await context.close();

  const embedding = await browser.newContext({ viewport: { width: 1200, height: 900 } });
  const host = await embedding.newPage();
  await host.goto('about:blank');
  const size = await host.evaluate(async (source) => {
    const image = new Image();
    image.src = `data:image/svg+xml;base64,${source}`;
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  }, readFileSync(picture).toString('base64'));
  check(`${name}: an <img> shows it`, size[0] >= 640 && size[1] > 100, size);
  await embedding.close();
}

await run(async (browser) => {
  for (const picture of pictures) {
    await still(browser, picture);
    if (!readFileSync(picture, 'utf8').includes('<script>')) continue; // made to stay still
    for (const colorScheme of ['light', 'dark']) await interactive(browser, picture, colorScheme);
  }
});
