// Build and test configuration. The bundle must run under the server's strict
// Content-Security-Policy: nothing inline, every asset a same-origin file.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  base: './',
  plugins: [react()],
  server: { port: 5173, proxy: { '/api': process.env.VESTA_API ?? 'http://127.0.0.1:4040' } },
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [{ name: 'vendor', test: /node_modules[\\/](react|react-dom|scheduler|@tanstack)[\\/]/ }],
        },
      },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node', testTimeout: 20_000 },
});
