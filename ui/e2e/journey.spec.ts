// The main journey, by clicking: from the overview to the hot function, and to somebody else's screen.
import { readFile } from 'node:fs/promises';
import { busiest, clickRow, expect, rootParam, test } from './support';

test('from the overview to the hot function and to a shared link', async ({ page, context }) => {
  const service = await busiest(page);
  await page.goto('/?from=now-30m');
  await page.getByRole('link', { name: service, exact: true }).click();
  await expect(page.getByRole('heading', { name: service, level: 1 })).toBeVisible();
  await page.getByRole('button', { name: 'Flame', exact: true }).click();
  const details = page.getByTestId('details');
  await expect(details).toContainText('All stacks');
  await page.waitForLoadState('networkidle');

  await clickRow(page, 2);
  await expect.poll(() => rootParam(page)).not.toBeNull();
  await expect(details).toContainText('of this frame');
  const name = await details.getByRole('heading').innerText();

  await page.goBack();
  await expect.poll(() => rootParam(page)).toBeNull();
  await expect(details).toContainText('All stacks');
  await page.goForward();
  await expect(details.getByRole('heading')).toHaveText(name);

  await page.getByTestId('time-range').click();
  await page.getByRole('button', { name: 'Last hour' }).click();
  await expect(page).not.toHaveURL(/from=/);
  expect(rootParam(page)).not.toBeNull();

  await page.getByRole('searchbox', { name: 'Highlight functions' }).fill('/^.{3,}$/');
  const matched = page.getByTestId('matched');
  await expect(matched).toContainText('of the focused frame');

  await page.getByRole('button', { name: 'Download', exact: true }).click();
  const saved = page.waitForEvent('download');
  await page.getByRole('menuitem', { name: /Folded text/ }).click();
  const file = await saved;
  expect(file.suggestedFilename()).toMatch(/\.folded\.txt$/);
  expect(await readFile(await file.path(), 'utf8')).toMatch(/^[^\n]+;[^\n]+ \d+$/m);

  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.locator('.share').getByRole('button').click();
  await expect(page.locator('.share').getByText('Copied').first()).toBeAttached();
  const shared = await page.evaluate(() => navigator.clipboard.readText());
  expect(shared).toMatch(/from=\d{13}&.*to=\d{13}|to=\d{13}&.*from=\d{13}/);
  const other = await context.newPage();
  await other.goto(shared);
  await expect(other.getByTestId('details').getByRole('heading')).toHaveText(name);
  await expect(other.getByRole('searchbox', { name: 'Highlight functions' })).toHaveValue('/^.{3,}$/');
  await expect(other.getByTestId('matched')).toContainText('of the focused frame');
  await expect(other.getByRole('button', { name: 'Flame', exact: true })).toHaveAttribute(
    'aria-pressed',
    'true',
  );
});
