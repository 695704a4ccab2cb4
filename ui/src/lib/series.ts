// A series answer on one regular grid, in units for people.
import type { SeriesAnswer } from '../api/types';
import { isTime, nanos, value } from './format';

export interface Shape {
  /** Starts of the steps, epoch milliseconds. */
  times: number[];
  rows: { label: string; values: (number | null)[] }[];
  format: (v: number) => string;
  caption: string;
  max: number;
  /** First and last moment with data. */
  covered: { from_ms: number; to_ms: number } | null;
}

/** More steps than this are drawn as they came. */
const GRID_LIMIT_STEPS = 5_000;

/** Collectors send what they have about every ten seconds. */
const ARRIVES_WITHIN_MS = 12_000;
const LEAST_STEPS = 3;

const asCores = (v: number): string =>
  `${v >= 10 ? v.toFixed(0) : v >= 1 ? v.toFixed(1) : v.toFixed(2)} cores`;

/**
 * Sums become rates (time per time: cores), gauges stay. Between the first and the last step with
 * data a missing step of a sum is 0: nothing was seen; a gauge has a gap. A step that the range cuts,
 * and the newest one while data may still arrive for it, are left out: they would look like a drop.
 */
export function shapeOf(
  a: SeriesAnswer,
  range: { from_ms: number; to_ms: number },
  nowMs = Date.now(),
): Shape {
  const known = [...new Set(a.series.flatMap((s) => s.points.map((p) => p[0])))].sort((x, y) => x - y);
  const covered =
    known.length > 0
      ? {
          from_ms: Math.max(range.from_ms, known[0]),
          to_ms: Math.min(range.to_ms, known[known.length - 1] + a.step_ms),
        }
      : null;
  const times = gridOf(known, a.step_ms);
  const settled = Math.min(range.to_ms, nowMs - ARRIVES_WITHIN_MS);
  while (times.length > LEAST_STEPS && times[times.length - 1] + a.step_ms > settled) times.pop();
  while (times.length > LEAST_STEPS && times[0] < range.from_ms) times.shift();
  // One step alone is drawn as long as it is.
  if (times.length === 1) times.push(times[0] + a.step_ms);
  const seconds = Math.max(0.001, a.step_ms / 1000);
  const sum = a.aggregation === 'sum';
  const cores = sum && isTime(a.unit);
  const convert = (v: number): number => (cores ? nanos(v, a.unit) / 1e9 / seconds : sum ? v / seconds : v);
  let max = 0;
  const rows = a.series.map((s) => {
    const at = new Map(s.points);
    const values = times.map((t) => {
      const v = at.get(known.length === 1 ? known[0] : t) ?? (sum ? 0 : null);
      if (v === null) return null;
      const c = convert(v);
      if (c > max) max = c;
      return c;
    });
    return { label: Object.values(s.labels).join(' ') || 'all', values };
  });
  return {
    times,
    rows,
    format: cores ? asCores : (v: number) => value(v, a.unit),
    caption: cores ? 'cores' : sum ? 'per second' : 'mean of each series, summed',
    max,
    covered,
  };
}

function gridOf(known: number[], stepMs: number): number[] {
  if (known.length < 2 || stepMs <= 0) return [...known];
  const first = known[0];
  const steps = Math.round((known[known.length - 1] - first) / stepMs) + 1;
  const regular = known.every((t) => (t - first) % stepMs === 0);
  if (!regular || steps > GRID_LIMIT_STEPS) return [...known];
  return Array.from({ length: steps }, (_, i) => first + i * stepMs);
}
