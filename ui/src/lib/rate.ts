// The rate at which a collector sampled, from what it sent: each CPU sample stands for one period.
import type { Sampling, SeriesAnswer, ServiceRow } from '../api/types';

export interface Rate {
  /** Samples per second of CPU time: lowest, highest and mean over the steps. */
  lowest: number;
  highest: number;
  mean: number;
  /** What the collector was asked for, where it says so. */
  requested?: number | null;
}

/** Steps with fewer samples say little and are left out of the extremes. */
const LEAST_SAMPLES = 5;
/** Less difference than this is rounding, not a change of the rate. */
const STEADY_WITHIN = 0.05;

/** Samples of this age have arrived; younger steps may differ between two answers. */
const SETTLED_AFTER_MS = 30_000;

/**
 * Both answers are of the same range. Null where there are no samples of CPU time or the collector
 * sends no number of samples. Steps that the range cuts or that may still grow do not count as extremes:
 * the two answers need not have seen the same samples of them.
 */
export function rateOf(
  time: SeriesAnswer,
  samples: SeriesAnswer,
  range: { from_ms: number; to_ms: number },
  nowMs = Date.now(),
): Rate | null {
  const nanos = new Map<number, number>();
  for (const s of time.series) for (const [at, v] of s.points) nanos.set(at, (nanos.get(at) ?? 0) + (v ?? 0));
  const settled = Math.min(range.to_ms, nowMs - SETTLED_AFTER_MS);
  let lowest = Number.POSITIVE_INFINITY;
  let highest = 0;
  let allNanos = 0;
  let allSamples = 0;
  const counts = new Map<number, number>();
  for (const s of samples.series)
    for (const [at, v] of s.points) counts.set(at, (counts.get(at) ?? 0) + (v ?? 0));
  for (const [at, count] of counts) {
    const spent = nanos.get(at) ?? 0;
    if (count <= 0 || spent <= 0) continue;
    allNanos += spent;
    allSamples += count;
    const isCut = at < range.from_ms || at + samples.step_ms > settled;
    if (count < LEAST_SAMPLES || isCut) continue;
    const hz = (count * 1e9) / spent;
    lowest = Math.min(lowest, hz);
    highest = Math.max(highest, hz);
  }
  if (allNanos <= 0) return null;
  const mean = (allSamples * 1e9) / allNanos;
  return highest > 0 ? { lowest, highest, mean } : { lowest: mean, highest: mean, mean };
}

type Extremes = Pick<Rate, 'lowest' | 'highest' | 'requested'>;

const changes = (r: Extremes): boolean => r.lowest < r.highest * (1 - STEADY_WITHIN);

/**
 * Whether the collector sampled less often than it was asked to, or than it did at other times: our
 * agent does so to stay within its CPU budget.
 */
export function isLowered(r: Extremes): boolean {
  return changes(r) || (r.requested != null && r.lowest < r.requested * (1 - STEADY_WITHIN));
}

const hz = (v: number): string => (v >= 10 ? v.toFixed(0) : v.toFixed(1));

export function rateText(r: Rate): string {
  return changes(r) ? `${hz(r.lowest)} to ${hz(r.highest)} Hz` : `${hz(r.mean)} Hz`;
}

/** What a collector did whose rate is lowered. */
export function loweredText(r: Extremes): string {
  return r.requested == null ? 'lowered its rate' : `lowered its rate from ${hz(r.requested)} Hz`;
}

/** The rates of a service as its collectors state them. */
export function statedRate(s: Sampling): Rate {
  const { lowest_hz: lowest, highest_hz: highest, requested_hz: requested } = s;
  return { lowest, highest, mean: (lowest + highest) / 2, requested };
}

/** The highest rate that was asked for, of one service or of all. */
export function requestedHz(services: ServiceRow[], service?: string): number | null {
  const asked = services
    .filter((s) => service === undefined || s.service === service)
    .flatMap((s) => s.sampling?.requested_hz ?? []);
  return asked.length > 0 ? Math.max(...asked) : null;
}
