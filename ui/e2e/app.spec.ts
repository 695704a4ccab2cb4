// The journeys of the first pages, against the real server or the mock; see playwright.config.ts.
import AxeBuilder from '@axe-core/playwright';
import {
  busiest,
  clickRow,
  expect,
  expectNothingSideways,
  openBusiest,
  rootParam,
  test,
  VIEW,
} from './support';

test('the overview lists services and a click opens the flame graph', async ({ page }) => {
  const service = await busiest(page);
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'Services', level: 1 })).toBeVisible();
  await page.getByRole('link', { name: service, exact: true }).click();
  await expect(page).toHaveURL(/\/profiles\/view\?.*svc=/);
  await expect(page.getByRole('heading', { name: service, level: 1 })).toBeVisible();
  await expect(page.getByRole('tree')).toHaveAttribute('aria-label', /Flame graph, .+ frames/);
  await expect(page.getByRole('note', { name: 'Data behind this graph' })).toContainText(/sample.* lost/);
});

test('the overview sorts and filters its table', async ({ page }) => {
  await page.goto('/');
  const names = () => page.locator('table.svc tbody .name a').allInnerTexts();
  await expect.poll(async () => (await names()).length).toBeGreaterThan(1);
  await page.getByRole('button', { name: 'Service', exact: true }).click();
  await expect(page).toHaveURL(/sort=name/);
  const sorted = await names();
  const lower = sorted.map((n) => n.toLowerCase());
  expect(lower).toEqual([...lower].sort());
  await page.getByRole('searchbox', { name: 'Filter services' }).fill(sorted[0]);
  await expect.poll(async () => (await names()).length).toBeLessThanOrEqual(sorted.length);
  for (const name of await names()) expect(name.toLowerCase()).toContain(lower[0]);
  await page.getByRole('searchbox', { name: 'Filter services' }).fill('no such service');
  await page.getByRole('button', { name: 'Clear the filter' }).click();
  await expect.poll(async () => (await names()).length).toBe(sorted.length);
});

test('dragging over a chart narrows the time range', async ({ page }) => {
  await openBusiest(page, '&from=now-5m');
  const box = (await page.locator('.strip .u-over').boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.25, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.75, box.y + 24, { steps: 5 });
  await page.mouse.up();
  await expect(page).toHaveURL(/from=\d{13}/);
  const q = new URL(page.url()).searchParams;
  const span = Number(q.get('to')) - Number(q.get('from'));
  expect(span).toBeGreaterThan(140_000);
  expect(span).toBeLessThan(160_000);
});

test('search shows the matched share, modes and errors', async ({ page }) => {
  await openBusiest(page);
  const search = page.getByRole('searchbox', { name: 'Highlight functions' });
  await search.fill('/./');
  await expect(page.getByTestId('matched')).toContainText(/\d+ functions? · [\d,]+ frames? · 100 % of total/);
  await expect(page).toHaveURL(/hl=/);
  await page.getByRole('button', { name: /Next match/ }).click();
  await search.fill('no such function anywhere');
  await expect(page.getByTestId('matched')).toContainText('0 functions · 0 frames · 0 % of total');
  await search.fill('(');
  await page.getByRole('button', { name: 'Regular expression' }).click();
  await expect(page.getByTestId('matched')).toContainText('Not a valid expression');
  await expect(search).toHaveAttribute('aria-invalid', 'true');
});

test('a click focuses a frame, the URL and the path say so, Escape and Back return', async ({ page }) => {
  await openBusiest(page, '&view=flame');
  expect(rootParam(page)).toBeNull();
  await clickRow(page, 2);
  await expect.poll(() => rootParam(page)).toMatch(/^[0-9a-f]{16}$/);
  const path = page.getByRole('navigation', { name: 'Focused path' });
  await expect(path.getByRole('listitem')).toHaveCount(3);
  await page.getByTestId('flame').press('Escape');
  await expect.poll(() => rootParam(page)).toBeNull();
  await clickRow(page, 1);
  await expect.poll(() => rootParam(page)).not.toBeNull();
  await page.goBack();
  await expect.poll(() => rootParam(page)).toBeNull();
});

test('the keyboard walks the tree and the mirror follows', async ({ page }) => {
  await openBusiest(page);
  const tree = page.getByRole('tree');
  await tree.focus();
  const current = async (): Promise<string> => {
    const id = await tree.getAttribute('aria-activedescendant');
    return page.locator(`[id="${id}"]`).innerText();
  };
  const first = await current();
  await tree.press('ArrowDown');
  await tree.press('ArrowDown');
  const second = await current();
  expect(second).not.toBe(first);
  expect(second).toMatch(/, .+%/);
  await tree.press('Enter');
  await expect.poll(() => rootParam(page)).not.toBeNull();
  await tree.press('+');
  await tree.press('0');
  await expect.poll(() => rootParam(page)).toBeNull();
  await tree.press('/');
  await expect(page.getByRole('searchbox', { name: 'Highlight functions' })).toBeFocused();
});

test('the table of functions sorts, filters and highlights', async ({ page }) => {
  await openBusiest(page);
  const grid = page.getByRole('grid', { name: /Functions/ });
  const names = () => grid.locator('.fname').allInnerTexts();
  await expect(grid.getByRole('columnheader', { name: 'Self ↓' })).toHaveAttribute('aria-sort', 'descending');
  await grid.getByRole('button', { name: /^Function/ }).click();
  await expect(page).toHaveURL(/sort=name/);
  await expect(grid.getByRole('columnheader', { name: /Function/ })).toHaveAttribute(
    'aria-sort',
    'ascending',
  );
  const sorted = await names();
  const plain = sorted.map((s) => s.split('\n')[0]);
  expect(plain.length).toBeGreaterThan(0);
  await grid.locator('.fbody .frow').first().click();
  await expect(grid.locator('.fbody .frow').first()).toHaveAttribute('aria-selected', 'true');
  await expect(page).toHaveURL(/fn=/);
  await expect(page.getByText('1 function chosen')).toBeVisible();
  await grid.locator('.fbody .frow').first().click();
  await expect(page).not.toHaveURL(/fn=/);
  await page.getByRole('searchbox', { name: 'Filter functions' }).fill('zzzz-nothing');
  await expect(page.getByText(/0 of [\d,]+ functions?/)).toBeVisible();
});

test('a reload keeps the state', async ({ page }) => {
  await openBusiest(page, '&view=flame&hl=a&color=pkg');
  await clickRow(page, 1);
  await expect.poll(() => rootParam(page)).not.toBeNull();
  const url = page.url();
  const before = await page.getByTestId('details').innerText();
  await page.reload();
  await expect(page.getByTestId('details')).toBeVisible();
  expect(page.url()).toBe(url);
  await expect(page.getByRole('searchbox', { name: 'Highlight functions' })).toHaveValue('a');
  await expect(page.getByRole('button', { name: 'Flame', exact: true })).toHaveAttribute(
    'aria-pressed',
    'true',
  );
  expect((await page.getByTestId('details').innerText()).split('\n')[0]).toBe(before.split('\n')[0]);
});

test('the theme can be changed and is remembered', async ({ page }) => {
  await page.goto('/');
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  const first = await theme();
  await page.getByRole('button', { name: /Switch to .* theme/ }).click();
  const second = await theme();
  expect(second).not.toBe(first);
  await page.reload();
  expect(await theme()).toBe(second);
});

test('time range: quick range, typed range and its errors', async ({ page }) => {
  await page.goto('/');
  await page.getByTestId('time-range').click();
  await page.getByRole('button', { name: 'Last 15 minutes' }).click();
  await expect(page).toHaveURL(/from=now-15m/);
  await page.getByTestId('time-range').click();
  await page.getByRole('textbox', { name: 'From' }).fill('whenever');
  await expect(page.getByText('“From” is not a time.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Apply' })).toBeDisabled();
  await page.getByRole('textbox', { name: 'From' }).fill('now-2h');
  await page.getByRole('button', { name: 'Apply' }).click();
  await expect(page).toHaveURL(/from=now-2h/);
});

test('live refreshes by itself and is part of the address', async ({ page }) => {
  await page.goto('/');
  await page
    .getByRole('button', { name: /Refresh/ })
    .last()
    .click();
  await page.getByRole('option', { name: 'Live 5 s' }).click();
  await expect(page).toHaveURL(/live=5/);
  await page.waitForRequest((r) => r.url().includes('/api/v1/services'), { timeout: 9_000 });
});

test('a bad profile type is an error panel with a way out', async ({ page }) => {
  const r = await page.request.get('/api/v1/flamegraph?type=no-such-type&from=now-1h&to=now');
  await page.goto(`${VIEW}?type=no-such-type`);
  if (r.ok()) {
    // A server that answers with nothing shows the empty state, which names the next step.
    await expect(page.getByRole('region', { name: 'No samples here' })).toBeVisible();
    return;
  }
  const panel = page.getByRole('alert');
  await expect(panel).toBeVisible();
  await expect(panel.getByRole('button', { name: 'Retry' })).toBeVisible();
  await expect(panel.getByRole('button', { name: 'Copy details' })).toBeVisible();
});

test('names from outside stay text', async ({ page }) => {
  await page.route('**/api/v1/services*', async (route) => {
    const r = await route.fetch();
    const body = await r.json();
    for (const s of body.services.slice(0, 1)) s.service = '<img src=x onerror=alert(2)>';
    await route.fulfill({ json: body });
  });
  await page.goto('/');
  await expect(page.getByRole('link', { name: '<img src=x onerror=alert(2)>' })).toBeVisible();
  expect(await page.locator('img[src="x"]').count()).toBe(0);
});

test('CPU in use is the host, not the sum of services that ran at different times', async ({ page }) => {
  await page.route('**/api/v1/services*', async (route) => {
    const r = await route.fetch();
    const body = await r.json();
    for (const s of body.services.slice(0, 2)) s.cpu_cores = 1.6;
    await route.fulfill({ json: { ...body, cpu_count: 2, cpu_cores: 1.7 } });
  });
  await page.goto('/');
  await expect(page.getByText('1.70 of 2 CPUs')).toBeVisible();
  await expect(page.getByText('85.0 % of host CPUs × time')).toBeVisible();
});

test('an empty install explains the next step', async ({ page }) => {
  await page.route('**/api/v1/services*', (route) =>
    route.fulfill({
      json: { services: [], range: { from_ms: 0, to_ms: 1 }, cpu_count: null, cpu_cores: null },
    }),
  );
  await page.goto('/');
  await expect(page.getByText('Waiting for the first profile')).toBeVisible();
  await expect(page.getByRole('button', { name: /Copy: .*vesta-agent/ })).toBeVisible();
});

test('one screen at 320 px: nothing scrolls sideways', async ({ page }) => {
  await page.setViewportSize({ width: 320, height: 800 });
  for (const path of ['/', VIEW]) {
    await page.goto(path);
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    await expectNothingSideways(page);
  }
});

for (const theme of ['dark', 'light'] as const) {
  for (const [name, path] of [
    ['overview', '/'],
    ['profile view', VIEW],
    ['profile list', '/profiles'],
    ['error', `${VIEW}?type=no-such-type`],
  ]) {
    test(`axe finds nothing: ${name}, ${theme}`, async ({ page }) => {
      await page.addInitScript((t) => localStorage.setItem('vesta.theme', t), theme);
      await page.goto(path);
      await expect(page.getByRole('heading').first()).toBeVisible();
      await page.waitForLoadState('networkidle');
      const result = await new AxeBuilder({ page })
        .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'])
        .analyze();
      const found = result.violations.map(
        (v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`,
      );
      expect(found).toEqual([]);
    });
  }
}
