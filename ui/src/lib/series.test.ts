// What the charts show, and the sampling rate that follows from what collectors sent.
import { describe, expect, it } from 'vitest';
import type { SeriesAnswer, ServiceRow } from '../api/types';
import { isLowered, loweredText, rateOf, rateText, requestedHz, statedRate } from './rate';
import { shapeOf } from './series';

const answer = (
  points: [number, number | null][],
  unit = 'nanoseconds',
  aggregation: 'sum' | 'gauge' = 'sum',
): SeriesAnswer => ({ unit, aggregation, step_ms: 10_000, series: [{ labels: {}, points }] });

describe('shapeOf', () => {
  const range = { from_ms: 0, to_ms: 200_000 };

  it('turns time per time into cores and fills holes of a sum with zero', () => {
    const s = shapeOf(
      answer([
        [20_000, 10e9],
        [30_000, 5e9],
        [60_000, 20e9],
      ]),
      range,
    );
    expect(s.times).toEqual([20_000, 30_000, 40_000, 50_000, 60_000]);
    expect(s.rows[0].values).toEqual([1, 0.5, 0, 0, 2]);
    expect(s.caption).toBe('cores');
    expect(s.max).toBe(2);
    expect(s.covered).toEqual({ from_ms: 20_000, to_ms: 70_000 });
  });

  it('leaves holes of a gauge open', () => {
    const s = shapeOf(
      answer(
        [
          [0, 100],
          [20_000, 300],
        ],
        'bytes',
        'gauge',
      ),
      range,
    );
    expect(s.rows[0].values).toEqual([100, null, 300]);
  });

  it('leaves out steps that the range cuts or that may still grow', () => {
    const points = Array.from({ length: 8 }, (_, i): [number, number] => [i * 10_000, 10e9]);
    const s = shapeOf(answer(points), { from_ms: 4_000, to_ms: 82_000 }, 82_000);
    expect(s.times[0]).toBe(10_000);
    expect(s.times.at(-1)).toBe(60_000);
    expect(s.covered).toEqual({ from_ms: 4_000, to_ms: 80_000 });
    const past = shapeOf(answer(points), { from_ms: 0, to_ms: 82_000 }, 1_000_000);
    expect(past.times).toHaveLength(8);
  });

  it('draws a single step as long as it is', () => {
    const s = shapeOf(answer([[50_000, 5e9]]), range);
    expect(s.times).toEqual([50_000, 60_000]);
    expect(s.rows[0].values).toEqual([0.5, 0.5]);
  });

  it('does not build a grid without bound', () => {
    const s = shapeOf(
      {
        ...answer([
          [0, 1],
          [10_000_000_000, 1],
        ]),
        step_ms: 1,
      },
      { from_ms: 0, to_ms: 20_000_000_000 },
    );
    expect(s.times).toHaveLength(2);
    expect(shapeOf(answer([]), range).covered).toBeNull();
  });
});

describe('rate', () => {
  const range = { from_ms: 0, to_ms: 200_000 };

  const times = (hz: number[], count = 100) => ({
    time: answer(hz.map((h, i) => [i * 10_000, (count / h) * 1e9])),
    samples: answer(
      hz.map((_, i) => [i * 10_000, count]),
      'count',
    ),
  });

  it('is one number while it is steady', () => {
    const { time, samples } = times([99, 99.5, 98.8]);
    const r = rateOf(time, samples, range)!;
    expect(isLowered(r)).toBe(false);
    expect(rateText(r)).toBe('99 Hz');
  });

  it('shows that a collector lowered it', () => {
    const { time, samples } = times([99, 62, 99]);
    const r = rateOf(time, samples, range)!;
    expect(isLowered(r)).toBe(true);
    expect(rateText(r)).toBe('62 to 99 Hz');
  });

  it('does not take samples that one of two answers has not seen for a change', () => {
    const { time, samples } = times([99, 99, 99, 99, 99, 107]);
    const r = rateOf(time, samples, { from_ms: 0, to_ms: 62_000 }, 62_000)!;
    expect(isLowered(r)).toBe(false);
    const cut = times([120, 99, 99, 99]);
    expect(isLowered(rateOf(cut.time, cut.samples, { from_ms: 3_000, to_ms: 200_000 })!)).toBe(false);
  });

  it('knows nothing without samples', () => {
    expect(rateOf(answer([]), answer([]), range)).toBeNull();
    expect(rateOf(answer([[0, 0]]), answer([[0, 5]]), range)).toBeNull();
  });

  it('is lowered when it is steady but less than was asked for', () => {
    const steady = { requested_hz: 99, lowest_hz: 62, highest_hz: 62 };
    const r = statedRate(steady);
    expect([isLowered(r), rateText(r), loweredText(r)]).toEqual([
      true,
      '62 Hz',
      'lowered its rate from 99 Hz',
    ]);
    expect(isLowered(statedRate({ ...steady, requested_hz: 63 }))).toBe(false);
    expect(isLowered(statedRate({ ...steady, requested_hz: null }))).toBe(false);
    const row = (service: string, sampling: typeof steady | null) => ({ service, sampling }) as ServiceRow;
    const rows = [row('a', steady), row('b', { ...steady, requested_hz: 199 }), row('c', null)];
    expect([requestedHz(rows), requestedHz(rows, 'a'), requestedHz(rows, 'c')]).toEqual([199, 99, null]);
  });
});
