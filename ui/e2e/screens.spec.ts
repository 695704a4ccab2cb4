// Every main page in both themes and two widths: something is painted, nothing scrolls sideways.
// VESTA_E2E_SCREENSHOTS names a folder for pictures of them.
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { busiest, expect, expectNothingSideways, painted, test, VIEW } from './support';

const FOLDER = process.env.VESTA_E2E_SCREENSHOTS;
const RANGE = 'from=now-15m';

/** Opens a page and waits until it shows data. */
const PAGES: Record<string, (page: Page, service: string) => Promise<void>> = {
  overview: async (page, service) => {
    await page.goto(`/?${RANGE}`);
    await expect(page.getByRole('link', { name: service, exact: true })).toBeVisible();
  },
  profile: async (page, service) => {
    await page.goto(`${VIEW}?svc=${encodeURIComponent(service)}&${RANGE}`);
    await expect(page.getByTestId('details')).toBeVisible();
    await expect.poll(async () => (await painted(page, '.flamebox canvas')).colours).toBeGreaterThan(3);
    const flame = await painted(page, '.flamebox canvas');
    expect(flame.part, 'part of the flame graph that is not background').toBeGreaterThan(0.05);
  },
  list: async (page) => {
    await page.goto(`/profiles?${RANGE}`);
    await expect(page.getByRole('row').nth(1)).toBeVisible();
  },
};

for (const width of [1600, 800]) {
  for (const theme of ['dark', 'light'] as const) {
    test(`screens: ${theme}, ${width} px`, async ({ page }) => {
      await page.setViewportSize({ width, height: 900 });
      await page.addInitScript((t) => localStorage.setItem('vesta.theme', t), theme);
      const service = await busiest(page);
      for (const [name, open] of Object.entries(PAGES)) {
        await open(page, service);
        await page.waitForLoadState('networkidle');
        expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe(theme);
        await expectNothingSideways(page);
        if (FOLDER) await page.screenshot({ path: join(FOLDER, `${name}-${theme}-${width}.png`) });
      }
    });
  }
}

test('the charts over time are painted', async ({ page }) => {
  const service = await busiest(page);
  await page.goto('/?from=now-5m');
  await expect.poll(async () => (await painted(page, '.chartcard canvas')).part).toBeGreaterThan(0.01);
  await page.goto(`${VIEW}?svc=${encodeURIComponent(service)}&from=now-5m`);
  await expect.poll(async () => (await painted(page, '.strip canvas')).part).toBeGreaterThan(0.01);
});
