// The theme: `dark` or `light` on the root element, remembered in this browser.
import { useSyncExternalStore } from 'react';
import type { Theme } from '../flame-core/palette';

const listeners = new Set<() => void>();

function currentTheme(): Theme {
  return document.documentElement.dataset.theme === 'light' ? 'light' : 'dark';
}

export function setTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem('vesta.theme', theme);
  } catch {
    // Not remembered when storage is blocked.
  }
  for (const tell of listeners) tell();
}

export function useTheme(): Theme {
  return useSyncExternalStore((tell) => {
    listeners.add(tell);
    return () => listeners.delete(tell);
  }, currentTheme);
}

/** A colour token's value in the current theme. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
