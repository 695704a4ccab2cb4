// Time expressions as they stand in URLs: epoch milliseconds, `now`, `now-1h30m`, or ISO text.

const UNIT_MS: Record<string, number> = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };

/** Milliseconds since the epoch, or null when the text says nothing. */
export function resolveTime(text: string, nowMs: number): number | null {
  const t = text.trim();
  if (t === 'now') return nowMs;
  if (/^\d{9,16}$/.test(t)) return Number(t);
  const rel = /^now-((?:\d+[smhdw])+)$/.exec(t);
  if (rel) {
    let back = 0;
    for (const [, n, u] of rel[1].matchAll(/(\d+)([smhdw])/g)) back += Number(n) * UNIT_MS[u];
    return nowMs - back;
  }
  if (/^\d{4}-\d\d-\d\d/.test(t)) {
    const ms = Date.parse(t.includes('T') ? t : t.replace(' ', 'T'));
    return Number.isNaN(ms) ? null : ms;
  }
  return null;
}

/** What goes into the URL for a text a user typed; null when it cannot be understood. */
export function normaliseTime(text: string, nowMs: number): string | null {
  const t = text.trim();
  if (t === 'now' || t.startsWith('now-')) return resolveTime(t, nowMs) === null ? null : t;
  const ms = resolveTime(t, nowMs);
  return ms === null ? null : String(ms);
}

export const QUICK_RANGES: { from: string; label: string }[] = [
  { from: 'now-5m', label: 'Last 5 minutes' },
  { from: 'now-15m', label: 'Last 15 minutes' },
  { from: 'now-30m', label: 'Last 30 minutes' },
  { from: 'now-1h', label: 'Last hour' },
  { from: 'now-3h', label: 'Last 3 hours' },
  { from: 'now-6h', label: 'Last 6 hours' },
  { from: 'now-12h', label: 'Last 12 hours' },
  { from: 'now-24h', label: 'Last 24 hours' },
  { from: 'now-2d', label: 'Last 2 days' },
  { from: 'now-7d', label: 'Last 7 days' },
];

const two = (v: number): string => String(v).padStart(2, '0');

/** `2026-11-20 15:02:10` in the browser's zone. */
export function isoLocal(ms: number, seconds = true): string {
  const d = new Date(ms);
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return `${day} ${two(d.getHours())}:${two(d.getMinutes())}${seconds ? `:${two(d.getSeconds())}` : ''}`;
}

export function rangeLabel(from: string, to: string, nowMs: number): string {
  if (to === 'now') {
    const quick = QUICK_RANGES.find((q) => q.from === from);
    if (quick) return quick.label;
    if (from.startsWith('now-')) return `Last ${from.slice(4)}`;
  }
  const a = resolveTime(from, nowMs);
  const b = resolveTime(to, nowMs);
  if (a === null || b === null) return `${from} – ${to}`;
  const sameDay = isoLocal(a).slice(0, 10) === isoLocal(b).slice(0, 10);
  return `${isoLocal(a)} – ${sameDay ? isoLocal(b).slice(11) : isoLocal(b)}`;
}

export function ago(ms: number, nowMs: number): string {
  const s = Math.max(0, Math.round((nowMs - ms) / 1000));
  if (s < 5) return 'just now';
  if (s < 90) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 129_600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86_400)} d ago`;
}

// From ten seconds on they are multiples of it: the server answers those without reading samples.
const NICE_STEPS_MS = [
  1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 108e5, 216e5, 432e5, 864e5,
];

/** A round step that gives at most `points` points over the range. */
export function stepFor(spanMs: number, points = 180): number {
  return NICE_STEPS_MS.find((s) => spanMs / s <= points) ?? 864e5;
}
