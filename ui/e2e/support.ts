// What all journeys share: the guard around every test, the way to a page, looks at pixels.
import { test as base, expect, type Page } from '@playwright/test';

export { expect } from '@playwright/test';

/** Every test also fails on a page error, a CSP violation or a request that leaves the server. */
export const test = base.extend<{ guard: string[] }>({
  guard: [
    async ({ page, baseURL }, use) => {
      const faults: string[] = [];
      page.on('pageerror', (e) => faults.push(`page error: ${e.message}`));
      page.on('console', (m) => {
        if (/content security policy/i.test(m.text())) faults.push(`CSP: ${m.text()}`);
      });
      page.on('request', (r) => {
        const url = r.url();
        if (!url.startsWith(baseURL ?? '') && !/^(data|blob):/.test(url))
          faults.push(`foreign request: ${url}`);
      });
      await use(faults);
      expect(faults).toEqual([]);
    },
    { auto: true },
  ],
});

export const VIEW = '/profiles/view';
export const ROW_PX = 20;

/** The service with the most CPU time in the last hour: its name comes from the server itself. */
export async function busiest(page: Page): Promise<string> {
  const r = await page.request.get('/api/v1/services?from=now-1h&to=now');
  expect(r.ok()).toBe(true);
  const { services } = (await r.json()) as { services: { service: string; cpu_cores: number | null }[] };
  expect(services.length).toBeGreaterThan(0);
  return services.reduce((a, b) => ((b.cpu_cores ?? 0) > (a.cpu_cores ?? 0) ? b : a)).service;
}

export async function openBusiest(page: Page, more = ''): Promise<string> {
  const service = await busiest(page);
  await page.goto(`${VIEW}?svc=${encodeURIComponent(service)}${more}`);
  await expect(page.getByTestId('flame')).toBeVisible();
  await expect(page.getByTestId('details')).toBeVisible();
  // What comes later may move the graph: no point on it is measured before.
  await page.waitForLoadState('networkidle');
  return service;
}

/** Where a row of the graph is on the page, at a part of its width. */
export async function pointAt(page: Page, row: number, part: number): Promise<{ x: number; y: number }> {
  const box = (await page.getByTestId('flame').boundingBox())!;
  return { x: box.x + box.width * part, y: box.y + row * ROW_PX + ROW_PX / 2 };
}

/** Clicks into a row of the graph near its left edge, where the heaviest stack lies. */
export async function clickRow(page: Page, row: number): Promise<void> {
  const box = (await page.getByTestId('flame').boundingBox())!;
  await page.mouse.click(box.x + 30, box.y + row * ROW_PX + ROW_PX / 2);
}

export const rootParam = (page: Page): string | null => new URL(page.url()).searchParams.get('root');

/** Neither the document nor the part under the navigation scrolls sideways. */
export async function expectNothingSideways(page: Page): Promise<void> {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(over).toBeLessThanOrEqual(0);
  const body = await page.locator('.body').evaluate((el) => el.scrollWidth - el.clientWidth);
  expect(body).toBeLessThanOrEqual(0);
}

export interface Painted {
  /** Distinct colours. */
  colours: number;
  /** Part of the pixels that differ from the most frequent colour. */
  part: number;
}

/** Reads a canvas back: a blank one has one colour. */
export async function painted(page: Page, selector: string): Promise<Painted> {
  return page
    .locator(selector)
    .first()
    .evaluate((el) => {
      const c = el as HTMLCanvasElement;
      const data = c.getContext('2d')!.getImageData(0, 0, c.width, c.height).data;
      const seen = new Map<number, number>();
      for (let i = 0; i < data.length; i += 4) {
        const colour = (data[i] << 24) | (data[i + 1] << 16) | (data[i + 2] << 8) | data[i + 3];
        seen.set(colour, (seen.get(colour) ?? 0) + 1);
      }
      const pixels = Math.max(1, data.length / 4);
      return { colours: seen.size, part: 1 - Math.max(0, ...seen.values()) / pixels };
    });
}
