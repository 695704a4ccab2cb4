// End-to-end tests in headless Chromium. VESTA_E2E_URL points them at a running server;
// without it they run against the built UI with made-up answers.
import { defineConfig } from '@playwright/test';

const external = process.env.VESTA_E2E_URL;
const port = Number(process.env.VESTA_E2E_PORT ?? 4173);

export default defineConfig({
  testDir: './e2e',
  testMatch: '*.spec.ts',
  timeout: 60_000,
  expect: { timeout: 15_000 },
  workers: 1,
  retries: 0,
  forbidOnly: true,
  reporter: [['list']],
  use: {
    baseURL: external ?? `http://127.0.0.1:${port}`,
    viewport: { width: 1600, height: 900 },
    browserName: 'chromium',
    launchOptions: {
      executablePath: process.env.VESTA_CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-default-apps',
        '--disable-domain-reliability',
        '--disable-sync',
        '--metrics-recording-only',
        '--no-first-run',
      ],
    },
  },
  webServer: external
    ? undefined
    : {
        command: 'node e2e/mock/server.mjs',
        env: { PORT: String(port) },
        url: `http://127.0.0.1:${port}/api/v1/config`,
        reuseExistingServer: true,
      },
});
