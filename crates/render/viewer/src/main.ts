/** Starts the viewer; where it cannot run, the page stays as it is: complete, and still. */

import { App } from './app';
import { inflate, read } from './payload';

async function start(): Promise<void> {
  const data = document.getElementById('data')?.textContent ?? '';
  const host = document.getElementById('viewer');
  const still = document.getElementById('still');
  if (!host || !still) throw new Error('the page is incomplete');
  const app = new App(read(await inflate(data)), host);
  document.documentElement.classList.add('live');
  still.remove();
  app.start();
}

start().catch((error: unknown) => {
  document.documentElement.classList.remove('live');
  console.error('The viewer cannot run here; the still picture is complete.', error);
});
