// What drawing costs on a tree of 100,000 frames: `npm run draw` after `npm run build`.
// Milliseconds on the page's main thread, from a trace of the browser: the median of some repetitions.
// Drawing by software; the machine's load changes the figures, so compare them within one quiet run.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from '@playwright/test';

const FRAMES = Number(process.env.VESTA_DRAW_FRAMES ?? 100_000);
const REPEAT = Number(process.env.VESTA_DRAW_REPEAT ?? 9);
const PORT = process.env.VESTA_E2E_PORT ?? '4174';
const URL_OF = `http://127.0.0.1:${PORT}`;
/** Targets in milliseconds: a frame while zooming, a click that zooms, a search. */
const TARGETS = { 'zoom frame': 10, 'click-zoom': 35, search: 35 };

const server = spawn('node', ['e2e/mock/server.mjs'], {
  env: { ...process.env, PORT, VESTA_MOCK_FRAMES: String(FRAMES) },
  stdio: 'inherit',
});
try {
  await untilAnswers();
  const browser = await chromium.launch({
    executablePath: process.env.VESTA_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  try {
    await measure(await browser.newPage({ viewport: { width: 1600, height: 900 } }));
  } finally {
    await browser.close();
  }
} finally {
  server.kill();
}

async function untilAnswers() {
  for (let i = 0; i < 100; i++) {
    if (await fetch(`${URL_OF}/api/v1/config`).catch(() => null)) return;
    await sleep(100);
  }
  throw new Error(`nothing answers at ${URL_OF}`);
}

async function measure(page) {
  await page.goto(`${URL_OF}/profiles/view?view=${process.env.VESTA_DRAW_VIEW ?? 'flame'}&nodes=${FRAMES}`);
  await page.getByTestId('details').waitFor();
  await page.waitForLoadState('networkidle');
  await sleep(500);
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busy = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return metrics.find((m) => m.name === 'TaskDuration').value * 1000;
  };
  const cost = async (act) => {
    const before = await busy();
    await act();
    return (await busy()) - before;
  };
  const graph = page.getByTestId('flame');
  const box = await graph.boundingBox();
  const rows = {
    'zoom frame': async (i) => {
      const frames = 30;
      await page.mouse.move(box.x + box.width * 0.3, box.y + 70);
      return (await cost(() => wheel(page, frames, i % 2 ? 30 : -30))) / frames;
    },
    'click-zoom': async () => {
      await graph.press('Escape');
      await sleep(400);
      return cost(async () => {
        await page.mouse.click(box.x + 40, box.y + 3 * 20 + 10);
        await sleep(600);
      });
    },
    search: async (i) => {
      await graph.press('Escape');
      await page.locator('#flame-search').fill('');
      await sleep(400);
      return cost(async () => {
        await page.locator('#flame-search').fill(i % 2 ? '/json|malloc/' : '/scan|sha/');
        await sleep(600);
      });
    },
  };
  for (const [name, run] of Object.entries(rows)) {
    const costs = [];
    for (let i = 0; i < REPEAT; i++) costs.push(await run(i));
    costs.sort((a, b) => a - b);
    const [least, median] = [costs[0], costs[costs.length >> 1]].map((v) => v.toFixed(1));
    console.log(`${name}: ${median} ms (least ${least}; target ${TARGETS[name]})`);
  }
}

/** One wheel event a frame, so that each is drawn. */
function wheel(page, frames, deltaY) {
  return page.evaluate(
    async ([n, dy]) => {
      const el = document.querySelector('.flame-scroll');
      const r = el.getBoundingClientRect();
      for (let i = 0; i < n; i++) {
        const at = { clientX: r.left + r.width * 0.3, clientY: r.top + 70 };
        const init = { ...at, deltaY: dy, ctrlKey: true, bubbles: true, cancelable: true };
        el.dispatchEvent(new WheelEvent('wheel', init));
        await new Promise(requestAnimationFrame);
      }
    },
    [frames, deltaY],
  );
}
