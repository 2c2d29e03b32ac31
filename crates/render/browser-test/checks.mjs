// What the tests in a browser have in common: a browser that complains about nothing, and a count of checks.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

let passed = 0;
let failed = 0;

export function check(what, ok, seen) {
  if (ok) {
    passed += 1;
  } else {
    failed += 1;
    console.error(`FAILED ${what}${seen === undefined ? '' : `: ${JSON.stringify(seen)}`}`);
  }
}

/** Runs `tests` with Debian's Chromium, and ends the program with what came out. */
export async function run(tests) {
  if (!existsSync(executablePath)) {
    console.error(`${executablePath} is missing: apt-get install chromium`);
    process.exit(1);
  }
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
  });
  try {
    await tests(browser);
  } catch (error) {
    check('the run ended', false, error.stack);
  } finally {
    await browser.close();
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

/** A page, and what it complained about or asked for. */
export async function opened(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  const requests = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => requests.push(request.url()));
  return { context, page, complaints, requests };
}

/** Where a screenshot goes, if they are wanted (SCREENSHOTS=DIR). */
export function screenshotPath(name) {
  if (!process.env.SCREENSHOTS) return null;
  mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  return join(process.env.SCREENSHOTS, `${name}.png`);
}

/** Violations of the policy, as the page itself hears of them. */
export async function watchPolicy(page, complaints) {
  await page.exposeFunction('policyViolated', (what) => complaints.push(`policy: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      window.policyViolated(`${event.violatedDirective} ${event.blockedURI}`));
  });
}
