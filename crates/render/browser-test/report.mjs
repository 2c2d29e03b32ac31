// Opens HTML reports in Chromium and uses them as people do.
//
//     npm ci && node report.mjs PROFILE.html… DIFF.diff.html… deep.html
//
// Beside each PROFILE.html stand PROFILE.folded and PROFILE.json, and of its second second and of its CPUs
// PROFILE.second.json, PROFILE.cpu0.json and PROFILE.cpu1.json; beside DIFF.diff.html DIFF.diff.json: what
// `analyze` says of the same recordings in other formats is what the viewer must say. deep.html is of one stack.
// SCREENSHOTS=DIR keeps pictures of each state.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { check, opened, run, screenshotPath, watchPolicy } from './checks.mjs';
import { bare, heaviest, percent, treeOf } from './folded.mjs';

const reports = process.argv.slice(2).map((path) => resolve(path));
if (reports.length === 0) {
  console.error('usage: node report.mjs REPORT.html…');
  process.exit(1);
}
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function screenshot(page, name) {
  const path = screenshotPath(name);
  if (path) await page.screenshot({ path });
}

async function accessible(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document));
  const serious = found.violations.filter((v) => ['serious', 'critical'].includes(v.impact));
  check(`${name}: axe finds nothing serious`, serious.length === 0,
    serious.map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.target.join(' '))]));
}

const frames = (page) => page.evaluate(() => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(done));
}));

/** What is said of the chosen frame of the first flamegraph that is shown. */
const said = (page) => page.evaluate(() =>
  [...document.querySelectorAll('.flame')].find((flame) => flame.offsetParent)?.querySelector('[role=status]').textContent);

const detail = (page, label) => page.evaluate((wanted) => {
  const row = [...document.querySelectorAll('.details tr')].find((tr) => tr.firstElementChild.textContent === wanted);
  return row?.lastElementChild.textContent;
}, label);

async function profile(browser, path, colorScheme) {
  const name = `${basename(path)} (${colorScheme})`;
  const { context, page, complaints, requests } = await opened(browser, { colorScheme });
  await watchPolicy(page, complaints);
  const { root, stacks } = treeOf(readFileSync(path.replace(/html$/, 'folded'), 'utf8'));
  const json = JSON.parse(readFileSync(path.replace(/html$/, 'json'), 'utf8'));
  await page.goto(pathToFileURL(path).href);
  await page.waitForSelector('.toolbar');
  await frames(page);
  check(`${name}: the still parts are gone`, (await page.locator('#still').count()) === 0);
  check(`${name}: where it comes from is said`, (await page.locator('footer dt').count()) >= 8);
  await screenshot(page, `${name} 1 opened`);
  await accessible(page, name);

  // The keyboard walks down the heaviest path.
  await page.locator('.flame').first().focus();
  await page.keyboard.press('ArrowDown');
  let node = root;
  const gaps = new Set();
  for (let depth = 0; depth < 40; depth += 1) {
    const next = heaviest(node);
    if (!next || [...node.children.values()].filter((child) => child.weight === next.weight).length > 1) break;
    node = next;
    await page.keyboard.press('ArrowDown');
    const text = await said(page);
    check(`${name}: an arrow goes to the heaviest callee`, text.startsWith(`${bare(node.name)}: ${percent(node.weight, root.weight)}`), [text, node.name]);
    if (/^\[(caller may be missing|truncated)/.test(node.name)) gaps.add(node.name);
    check(`${name}: its share is in the details`, (await detail(page, 'Of all')) === percent(node.weight, root.weight));
  }
  const stack = await page.locator('.details dl div', { hasText: 'Stack' }).locator('dd').allTextContents();
  check(`${name}: what its stack lacks is said`, stack.join() === (gaps.size ? `not complete: ${[...gaps].join(', ')}` : ''), [stack, [...gaps]]);
  await page.keyboard.press('Enter');
  await frames(page);
  check(`${name}: Enter zooms, and the address says so`, /zoom=\d+/.test(page.url()), page.url());
  const zoomed = page.url();
  await screenshot(page, `${name} 2 zoomed`);
  await page.keyboard.press('Backspace');
  check(`${name}: Backspace zooms out by one`, page.url() !== zoomed);
  await page.goBack();
  await frames(page);
  check(`${name}: back is back`, page.url() === zoomed, page.url());
  await page.keyboard.press('Escape');
  check(`${name}: Escape shows everything`, !/zoom=/.test(page.url()), page.url());

  await pointer(page, name, root);
  await search(page, name, stacks, root);
  await views(page, name, json, root);
  await overTime(page, name, path, json);
  await theme(page, name, colorScheme);

  await page.goto('about:blank');
  await page.goto(zoomed);
  await page.waitForSelector('.toolbar');
  await frames(page);
  check(`${name}: a link shows what it was made of`, await page.getByRole('button', { name: 'Reset zoom' }).isVisible());
  await page.goto('about:blank');
  await page.goto(`${pathToFileURL(path).href}#view=%3Cb%3E&zoom=99999999&path=1.2.x&function=99999999&search=(&theme=x`);
  await page.waitForSelector('.toolbar');
  await frames(page);
  check(`${name}: an address that makes no sense does no harm`, await page.locator('.flame').first().isVisible());
  check(`${name}: no complaint`, complaints.length === 0, complaints);
  const foreign = requests.filter((url) => !url.startsWith(pathToFileURL(path).href) && url !== 'about:blank');
  check(`${name}: no request but for the file`, foreign.length === 0, foreign);
  await context.close();
}

async function pointer(page, name, root) {
  const box = await page.locator('.flame canvas').first().boundingBox();
  await page.mouse.move(box.x + 5, box.y + 27);
  await frames(page);
  const first = [...root.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1))[0];
  const tip = await page.locator('.tip').textContent();
  check(`${name}: the pointer is told what is under it`, tip.startsWith(`${bare(first.name)}: ${percent(first.weight, root.weight)}`), [tip, first.name]);
  await page.mouse.click(box.x + 5, box.y + 27);
  await frames(page);
  if (first.weight < root.weight) {
    await page.mouse.move(box.x + box.width - 5, box.y + 27);
    await frames(page);
    check(`${name}: a click zooms`, (await page.locator('.tip').textContent()).startsWith(`${bare(first.name)}:`));
  }
  await page.keyboard.press('Escape');
  await page.keyboard.down('Control');
  await page.mouse.wheel(0, -600);
  await page.keyboard.up('Control');
  await frames(page);
  await page.mouse.move(0, 0);
  check(`${name}: the tooltip goes with the pointer`, !(await page.locator('.tip').isVisible()));
  await page.keyboard.press('Escape');
}

async function search(page, name, stacks, root) {
  const text = 's.*e';
  await page.keyboard.press('/');
  await page.keyboard.type(text);
  await frames(page);
  const pattern = new RegExp(text, 'i');
  const sum = stacks.filter(([names]) => names.some((frame) => pattern.test(bare(frame)))).reduce((all, [, weight]) => all + weight, 0);
  const matched = await page.locator('.matched').textContent();
  check(`${name}: the share matched counts nested matches once`, matched.startsWith(`matched: ${percent(sum, root.weight)},`), [matched, percent(sum, root.weight)]);
  check(`${name}: the address keeps the search`, page.url().includes('search='), page.url());
  await screenshot(page, `${name} 3 search`);
  await page.keyboard.type('(');
  check(`${name}: what is no pattern is searched as text`, (await page.locator('.matched').textContent()).endsWith('(as plain text)'));
  await page.keyboard.press('Escape');
  check(`${name}: Escape clears the search`, (await page.locator('.matched').textContent()) === '');
}

async function views(page, name, json, root) {
  await page.keyboard.press('4');
  await frames(page);
  const [row] = await page.locator('.functions tbody tr:not(.space)').all();
  const cells = await row.locator('td').allTextContents();
  const best = json.functions[0];
  check(`${name}: the function with most of its own stands first`, cells[4] === best.name && cells[5] === best.module, [cells, best.name]);
  check(`${name}: with its share`, cells[1] === percent(best.self, root.weight) && cells[3] === percent(best.total, root.weight), cells);
  await page.locator('.functions th button').filter({ hasText: 'Total' }).click();
  await frames(page);
  const most = json.functions.reduce((top, one) => (one.total > top.total ? one : top));
  const top = await page.locator('.functions tbody tr:not(.space)').first().locator('td').allTextContents();
  check(`${name}: sorted by total`, top[3] === percent(most.total, root.weight), top);
  check(`${name}: all functions are there`, (await page.locator('.matched').textContent()).startsWith(`${json.functions.length.toLocaleString('en-GB')} of `), await page.locator('.matched').textContent());
  await screenshot(page, `${name} 4 functions`);
  await accessible(page, `${name}, functions`);

  await page.keyboard.press('2');
  await frames(page);
  await page.locator('.flame').first().focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  const inverted = await said(page);
  check(`${name}: inverted, what costs comes first`, inverted.includes(`: ${percent(best.self, root.weight)}`), [inverted, best.name]);
  await page.keyboard.press('Enter');
  await frames(page);
  check(`${name}: and can be zoomed into`, /path=\d+/.test(page.url()), page.url());
  await screenshot(page, `${name} 5 inverted`);

  await page.keyboard.press('3');
  await frames(page);
  check(`${name}: the sandwich is of the function with most of its own`, (await page.locator('.sandwich h2').textContent()).startsWith(best.name));
  await page.locator('.sandwich .flame').last().focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  const callee = await page.locator('.sandwich .flame [role=status]').last().textContent();
  check(`${name}: with all its stacks`, callee.startsWith(`${best.name}: ${percent(best.total, root.weight)}`), callee);
  await screenshot(page, `${name} 6 sandwich`);
  await accessible(page, `${name}, sandwich`);
  await page.keyboard.press('1');
  await page.keyboard.press('?');
  check(`${name}: ? helps`, await page.locator('dialog').isVisible());
  await accessible(page, `${name}, help`);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
}

/** A second of time and one CPU show what `analyze` shows of them. */
async function overTime(page, name, path, json) {
  const other = (kind) => JSON.parse(readFileSync(path.replace(/html$/, `${kind}.json`), 'utf8'));
  const total = async () => {
    await frames(page);
    await page.keyboard.press('1');
    await page.locator('.flame').first().focus();
    await page.keyboard.press('Home');
    return Number(/ ([\d.]+) CPU-seconds/.exec(await said(page))?.[1]);
  };
  const close = (seen, ns) => Math.abs(seen - ns / 1e9) <= 0.006;
  check(`${name}: all of the time is shown at first`, close(await total(), json.new.total.weight), [await total(), json.new.total.weight]);
  const [from, to] = await page.locator('.seconds').all();
  await from.fill('1');
  await to.fill('2');
  await to.press('Tab');
  check(`${name}: one second of it`, close(await total(), other('second').new.total.weight), [await total(), other('second').new.total.weight]);
  check(`${name}: which the address keeps`, page.url().includes('time=50-100'), page.url());
  await page.keyboard.press('Escape');
  check(`${name}: Escape goes back to all of it`, !page.url().includes('time='), page.url());
  await page.getByLabel('CPU', { exact: false }).last().selectOption({ index: 1 });
  const cpu = await page.locator('label', { hasText: 'CPU' }).locator('option').nth(1).textContent();
  const kind = cpu.startsWith('CPU 0:') ? 'cpu0' : 'cpu1';
  check(`${name}: one CPU`, close(await total(), other(kind).new.total.weight), [await total(), other(kind).new.total.weight, cpu]);
  await page.getByLabel('CPU', { exact: false }).last().selectOption({ index: 0 });

  const box = await page.locator('.heatmap').boundingBox();
  const drag = async (x, shift) => {
    if (shift) await page.keyboard.down('Shift');
    await page.mouse.move(box.x + x, box.y + 1);
    await page.mouse.down();
    await page.mouse.move(box.x + x + 1, box.y + 98, { steps: 3 });
    await page.mouse.up();
    if (shift) await page.keyboard.up('Shift');
    await frames(page);
  };
  await drag(24, false);
  check(`${name}: time is chosen with the pointer`, /time=50-(99|100)/.test(page.url()), page.url());
  await drag(2, true);
  check(`${name}: and another one to compare it with`, /against=0-(49|50)/.test(page.url()), page.url());
  check(`${name}: that is said without a verdict`, (await page.locator('.time [role=status]').textContent()).includes('not tested against noise'));
  check(`${name}: in cores`, /Not tested/.test(await page.locator('.legend').textContent()));
  await page.locator('.flame').first().focus();
  await page.keyboard.press('Home');
  check(`${name}: by the second`, / cores \(/.test(await said(page)), await said(page));
  await screenshot(page, `${name} 7 two times`);
  await accessible(page, `${name}, two times`);
  await page.getByRole('button', { name: 'All of the time' }).click();
  await frames(page);
}

async function theme(page, name, colorScheme) {
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const before = await background();
  await page.getByLabel('Theme').selectOption(colorScheme === 'dark' ? 'light' : 'dark');
  await frames(page);
  check(`${name}: the other theme can be chosen`, (await background()) !== before, before);
  await accessible(page, `${name}, other theme`);
  await page.getByLabel('Theme').selectOption('system');
}

async function diff(browser, path, colorScheme) {
  const name = `${basename(path)} (${colorScheme})`;
  const { context, page, complaints, requests } = await opened(browser, { colorScheme });
  await watchPolicy(page, complaints);
  const json = JSON.parse(readFileSync(path.replace(/html$/, 'json'), 'utf8'));
  await page.goto(pathToFileURL(path).href);
  await page.waitForSelector('.toolbar');
  await frames(page);
  check(`${name}: the verdict stands first`, (await page.locator('.subtitle').textContent()) === json.comparison.story.total);
  await screenshot(page, `${name} 1 opened`);
  await accessible(page, name);

  const real = json.functions.filter((f) => f.self.grade !== 'noise' || f.total.grade !== 'noise');
  const links = page.locator('.verdicts[open] button.link');
  const moved = (f) => f.labels.includes('moved') || f.total.after === 0;
  const listed = real.filter((f) => !moved(f));
  check(`${name}: every real change is listed`, (await links.count()) === Math.min(100, listed.length), [await links.count(), listed.length]);
  // Colours of the difference: grey all over where nothing is real.
  const coloured = await page.evaluate(() => {
    const canvas = document.querySelector('.flame canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      count += Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 40 ? 1 : 0;
    }
    return count;
  });
  check(`${name}: colour where something is real, and only there`, (real.length > 0) === (coloured > 0), [real.length, coloured]);
  if (listed.length > 0) {
    const first = await links.first().textContent();
    await links.first().click();
    await frames(page);
    check(`${name}: a verdict leads to its function`, (await said(page)).startsWith(`${first}: `) && /zoom=/.test(page.url()), [first, await said(page)]);
    check(`${name}: and the details judge it`, /grew|shrank/.test(await page.locator('.judgement').textContent()));
    await screenshot(page, `${name} 2 verdict`);
    await page.keyboard.press('Escape');
  }
  for (const [side, weight] of [['Before', json.base], ['After', json.new]]) {
    await page.getByRole('button', { name: side, exact: true }).click();
    await frames(page);
    await page.locator('.flame').first().focus();
    await page.keyboard.press('ArrowDown');
    const cores = Number(/, ([\d.]+) cores/.exec(await said(page))?.[1]);
    check(`${name}: ${side} shows that side`, Math.abs(cores - weight.cores) <= 0.01 * weight.cores, [cores, weight.cores]);
  }
  await screenshot(page, `${name} 3 after`);
  await page.getByRole('button', { name: 'Difference', exact: true }).click();
  await page.keyboard.press('4');
  await frames(page);
  check(`${name}: functions have both sides`, (await page.locator('.functions th').allTextContents()).filter((t) => t === 'Before').length === 2);
  await screenshot(page, `${name} 4 functions`);
  await page.keyboard.press('3');
  await frames(page);
  await screenshot(page, `${name} 5 sandwich`);
  await page.locator('.sandwich .flame').last().focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  check(`${name}: a function's verdict holds in the sandwich`, !/one by one/.test(await detailsJudgement(page)), await detailsJudgement(page));
  await page.keyboard.press('ArrowDown');
  const below = await page.locator('.sandwich .flame [role=status]').last().textContent();
  check(`${name}: paths that nobody tested are not called noise`, /not judged one by one/.test(below), below);
  check(`${name}: no complaint`, complaints.length === 0, complaints);
  check(`${name}: no request but for the file`, requests.length === 1, requests);
  await context.close();
}

/** A stack of thousands of frames is scrolled through, and its end can be zoomed into. */
async function deep(browser, path) {
  const name = basename(path);
  const { context, page, complaints } = await opened(browser);
  await watchPolicy(page, complaints);
  const depth = treeOf(readFileSync(path.replace(/html$/, 'folded'), 'utf8')).stacks[0][0].length;
  await page.goto(pathToFileURL(path).href);
  await page.waitForSelector('.toolbar');
  await page.locator('.flame').first().scrollIntoViewIfNeeded();
  const box = await page.locator('.flame canvas').first().boundingBox();
  await page.mouse.move(box.x + 100, box.y + 100);
  for (let step = 0; step < depth / 50; step += 1) await page.mouse.wheel(0, 1000);
  await frames(page);
  await page.locator('.flame').first().scrollIntoViewIfNeeded();
  const place = await page.locator('.flame canvas').first().boundingBox();
  await page.mouse.click(place.x + 100, Math.min(place.y + place.height, 900) - 30);
  await frames(page);
  const zoomed = Number(/zoom=(\d+)/.exec(page.url())?.[1]);
  check(`${name}: the wheel leads to its end`, zoomed > depth - 60, [zoomed, depth]);
  check(`${name}: which can be zoomed into`, (await detail(page, 'Of all')) === '100.0 %');
  check(`${name}: no complaint`, complaints.length === 0, complaints);
  await context.close();
}

const detailsJudgement = (page) => page.locator('.judgement').textContent();

/** With scripts off: everything that matters is there. */
async function still(browser, path) {
  const name = `${basename(path)} (scripts blocked)`;
  const { context, page, complaints } = await opened(browser, { javaScriptEnabled: false });
  await page.goto(pathToFileURL(path).href);
  check(`${name}: finding and total are readable`, await page.locator('.subtitle').isVisible());
  check(`${name}: there is a picture`, await page.locator('#still svg').isVisible());
  check(`${name}: and an outline`, (await page.locator('.outline details').count()) > 0);
  const closed = page.locator('.outline details:not([open])').first();
  if (await closed.count()) {
    const inside = closed.locator('ul').first();
    const summary = closed.locator('summary').first();
    if (await summary.isVisible()) {
      const handle = await inside.elementHandle();
      await summary.click();
      check(`${name}: that opens`, await handle.isVisible());
    }
  }
  check(`${name}: no controls that do nothing`, (await page.locator('button, input, select').count()) === 0);
  check(`${name}: where it comes from is said`, await page.locator('footer dt').first().isVisible());
  check(`${name}: no complaint`, complaints.length === 0, complaints);
  await screenshot(page, name);
  await context.close();
}

await run(async (browser) => {
  for (const path of reports) {
    await still(browser, path);
    if (basename(path) === 'deep.html') {
      await deep(browser, path);
      continue;
    }
    for (const colorScheme of ['light', 'dark']) {
      await (path.endsWith('.diff.html') ? diff : profile)(browser, path, colorScheme);
    }
  }
});
