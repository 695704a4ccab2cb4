// A graph whose figures are known: what the page says of it, to the digit. The answer is JSON, which
// the page understands as well as Arrow; everything else comes from the server.
import type { Page } from '@playwright/test';
import { expect, painted, pointAt, rootParam, test, VIEW } from './support';

const MS = 1e6;
const CPU = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds';
const TYPE = {
  id: CPU,
  name: 'CPU time',
  kind: 'stack',
  measure: 'cpu',
  unit: 'nanoseconds',
  aggregation: 'sum',
  description: 'Time on a CPU',
};

// depth, name, total, self, flags; parse calls itself, and 10 % are trimmed.
const NODES: [number, string, number, number, number][] = [
  [0, 'total', 1000, 0, 0],
  [1, 'main', 1000, 0, 0],
  [2, 'json::parse', 600, 200, 0],
  [3, 'json::parse', 300, 300, 0],
  [3, 'malloc', 100, 100, 0],
  [2, 'sort', 300, 100, 0],
  [3, 'malloc', 150, 150, 0],
  [3, '0x1234', 50, 50, 2],
  [2, '', 100, 100, 1],
];

function answer(quality: Record<string, number>) {
  const names = [...new Set(NODES.map((n) => n[1]))];
  const zeros = NODES.map(() => 0);
  const now = Date.now();
  return {
    depth: NODES.map((n) => n[0]),
    name: NODES.map((n) => names.indexOf(n[1])),
    total: NODES.map((n) => n[2] * MS),
    self: NODES.map((n) => n[3] * MS),
    flags: NODES.map((n) => n[4]),
    library: NODES.map((n) => (n[0] === 0 ? 0 : 1)),
    file: zeros,
    line: zeros,
    // main and sort are the program's own.
    class: NODES.map((n) => (['main', 'sort'].includes(n[1]) ? 1 : n[1] === 'malloc' ? 3 : 0)),
    classes: ['unknown', 'own', 'dependency', 'runtime', 'kernel'],
    names,
    libraries: ['', '/usr/bin/app'],
    files: [''],
    meta: {
      type: TYPE,
      unit: 'nanoseconds',
      total: 1000 * MS,
      trimmed: 100 * MS,
      nodes: NODES.length,
      profiles: 3,
      samples: 200,
      series: 1,
      sources: [{ source: 'agent', used: true, profiles: 3 }],
      quality: { samples: 200, lost: 50, broken: 20, unsymbolized: 10, ...quality },
      range: { from_ms: now - 60_000, to_ms: now },
    },
  };
}

async function open(page: Page, more = '', quality = {}): Promise<void> {
  await page.route('**/api/v1/flamegraph*', (route) => route.fulfill({ json: answer(quality) }));
  await page.goto(`${VIEW}?view=flame${more}`);
  await expect(page.getByTestId('details')).toBeVisible();
  // What comes later may move the graph: no point on it is measured before.
  await page.waitForLoadState('networkidle');
}

async function highlight(page: Page, text: string): Promise<string> {
  await page.getByRole('searchbox', { name: 'Highlight functions' }).fill(text);
  await expect(page).toHaveURL((url) => url.searchParams.get('hl') === text);
  return (await page.getByTestId('matched').innerText()).trim();
}

test('the matched share counts a match inside a match once', async ({ page }) => {
  await open(page);
  expect(await highlight(page, 'parse')).toBe('1 function · 2 frames · 60.0 % of total');
  expect(await highlight(page, 'malloc|sort')).toBe('2 functions · 3 frames · 40.0 % of total');
  expect(await highlight(page, '/^(json::parse|sort)$/')).toBe('2 functions · 3 frames · 90.0 % of total');
  expect(await highlight(page, 'nothing')).toBe('0 functions · 0 frames · 0 % of total');
});

test('focusing a frame makes it as wide as the graph, stepping out gives the width back', async ({
  page,
}) => {
  await open(page);
  const over = async (row: number, part: number): Promise<string> => {
    const at = await pointAt(page, row, part);
    await page.mouse.move(at.x, at.y - 1);
    await page.mouse.move(at.x, at.y);
    return page.locator('.tip b').innerText();
  };
  await expect.poll(() => over(2, 0.3)).toBe('json::parse');
  await expect.poll(() => over(2, 0.62)).toBe('sort');
  await expect.poll(() => over(2, 0.95)).toBe('Stacks too small to draw');
  const sort = await pointAt(page, 2, 0.7);
  await page.mouse.click(sort.x, sort.y);
  await expect.poll(() => rootParam(page)).not.toBeNull();
  await expect.poll(() => over(2, 0.02)).toBe('sort');
  await expect.poll(() => over(2, 0.98)).toBe('sort');
  await expect.poll(() => over(3, 0.3)).toBe('malloc');
  await expect.poll(() => over(3, 0.6)).toBe('app 0x1234');
  expect(await highlight(page, 'malloc')).toBe('1 function · 1 frame · 50.0 % of the focused frame');
  await page.getByTestId('flame').press('Escape');
  await expect.poll(() => rootParam(page)).toBeNull();
  await expect.poll(() => over(2, 0.3)).toBe('json::parse');
});

test('zooming with the keyboard stays inside the graph and 0 shows all again', async ({ page }) => {
  await open(page);
  const tree = page.getByTestId('flame');
  await tree.focus();
  const nameAt = async (part: number): Promise<string> => {
    const at = await pointAt(page, 2, part);
    await page.mouse.move(at.x, at.y - 1);
    await page.mouse.move(at.x, at.y);
    return page.locator('.tip b').innerText();
  };
  for (let i = 0; i < 4; i++) await tree.press('w');
  await expect.poll(() => nameAt(0.02)).toBe('json::parse');
  await expect.poll(() => nameAt(0.98)).toBe('json::parse');
  for (let i = 0; i < 40; i++) await tree.press('d');
  await expect.poll(() => nameAt(0.99)).toBe('Stacks too small to draw');
  for (let i = 0; i < 12; i++) await tree.press('s');
  await expect.poll(() => nameAt(0.02)).toBe('json::parse');
  await expect.poll(() => nameAt(0.99)).toBe('Stacks too small to draw');
});

test('lost samples, incomplete stacks, unnamed frames and the trimmed weight are said, each of what', async ({
  page,
}) => {
  await open(page);
  const note = page.getByRole('note', { name: 'Data behind this graph' });
  await expect(note).toContainText('1.00 s CPU time');
  await expect(note).toContainText('200 samples from 1 instance in 3 profiles');
  await expect(note).toContainText('20.0 % of samples lost');
  await expect(note).toContainText('10.0 % of stacks incomplete');
  // 50 of 1000 + 600 + 300 + 100 + 300 + 150 + 50.
  await expect(note).toContainText('2.00 % of frames unnamed');
  await expect(page.getByTestId('trimmed')).toContainText('10.0 % of the total in stacks too small to draw');
  await page.getByRole('button', { name: 'draw more' }).click();
  await expect(page).toHaveURL(/nodes=500000/);
});

test('details say of what each percentage is', async ({ page }) => {
  await open(page);
  const at = await pointAt(page, 2, 0.3);
  await page.mouse.click(at.x, at.y);
  const details = page.getByTestId('details');
  await expect(details.getByRole('heading')).toHaveText('json::parse');
  await expect(details).toContainText('600 ms');
  await expect(details).toContainText('60.0 % of all');
  await expect(details).toContainText('20.0 % of all');
  await expect(details).toContainText('33.3 % of this frame');
});

test('a process says what named it, its CPUs and quota, and that Python frames are not read', async ({
  page,
}) => {
  await page.route('**/api/v1/profiles/*', async (route) => {
    const r = await route.fetch();
    const body = await r.json();
    body.cpu_count = 8;
    body.cpu_quota = 1.5;
    body.info = {
      'vesta.service.name.source': 'container name',
      'vesta.note': 'Python frames not read yet',
      'process.pid': '4711',
    };
    await route.fulfill({ json: body });
  });
  const r = await page.request.get('/api/v1/services?from=now-1h&to=now');
  const { services } = (await r.json()) as { services: { service: string }[] };
  await open(page, `&svc=${encodeURIComponent(services[0].service)}`);
  await expect(page.getByText('named by container name')).toBeVisible();
  await expect(page.getByText('8 CPUs, limited to 1.5 cores')).toBeVisible();
  await expect(page.getByText(/Python frames not read yet/)).toBeVisible();
  await page.getByRole('button', { name: 'Process' }).click();
  const facts = page.getByRole('dialog', { name: 'Process information' });
  await expect(facts).toContainText('process.pid');
  await expect(facts).toContainText('4711');
  await expect(facts).toContainText('CPU quota');
});

test('a collector that lowered its rate is named', async ({ page }) => {
  const step = 10_000;
  const first = Math.floor(Date.now() / step) * step - 60_000;
  await page.route('**/api/v1/series*', (route) => {
    const samples = route.request().url().includes('samples');
    const points = [99, 99, 62, 62].map((hz, i) => [first + i * step, samples ? hz : 1e9]);
    return route.fulfill({
      json: {
        unit: samples ? 'count' : 'nanoseconds',
        aggregation: 'sum',
        step_ms: step,
        series: [{ labels: {}, points }],
        left_out: 0,
      },
    });
  });
  await open(page);
  const note = page.getByRole('note', { name: 'Data behind this graph' });
  await expect(note).toContainText('sampled at 62 to 99 Hz (the collector lowered its rate');
  await page.goto('/');
  await expect(page.getByText(/at 62 to 99 Hz: a collector lowered its rate/)).toBeVisible();
});

test('the overview says what collectors remarked and that a steady rate is less than was asked for', async ({
  page,
}) => {
  await page.route('**/api/v1/services*', async (route) => {
    const body = await (await route.fetch()).json();
    body.services[0].notes = ['Python frames not read yet'];
    body.services[0].sampling = { requested_hz: 99, lowest_hz: 62.5, highest_hz: 62.5 };
    await route.fulfill({ json: body });
  });
  await page.goto('/');
  const row = page.getByRole('row').nth(1);
  await expect(row).toContainText('Python frames not read yet');
  await expect(row).toContainText('at 63 Hz');
  await expect(row).toContainText('lowered its rate from 99 Hz');
});

test('frames are coloured by whose code they are, and your code can be told from the rest', async ({
  page,
}) => {
  await open(page, '&color=class');
  const legend = page.getByRole('list', { name: /^Colours/ });
  await expect(legend).toContainText('your code 10.0 %');
  await expect(legend).toContainText('runtime 25.0 %');
  // Row 3: malloc under json::parse is drawn in the runtime's colour, then dimmed; sort stays.
  const all = await painted(page, '.flamebox canvas');
  await page.getByRole('button', { name: 'Your code' }).click();
  await expect(page).toHaveURL(/own=1/);
  await expect.poll(async () => (await painted(page, '.flamebox canvas')).colours).toBeLessThan(all.colours);
});
