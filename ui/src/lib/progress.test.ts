// How far a question is said to be.
import { describe, expect, it } from 'vitest';
import { progressText } from './progress';

const one = (id: string, rows_read: number, rows_to_read: number) => ({
  id,
  running_ms: 2600,
  rows_read,
  rows_to_read,
});

describe('progress of a question', () => {
  it('is that of the own question', () => {
    const running = [one('a', 1, 2), one('b', 30_000, 90_000), one('c', 0, 0)];
    expect(progressText(running, 'b')).toBe('30,000 of 90,000 samples looked through (33 %), 2 s');
    expect(progressText(running, 'c')).toBe('Waiting for 2 s');
    expect(progressText(running, 'd')).toBeUndefined();
  });
});
