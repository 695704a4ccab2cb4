// Formats, time expressions, URL state and selectors.
import { describe, expect, it } from 'vitest';
import { CPU_TIME } from '../api/types';
import { bytes, duration, percent, value } from './format';
import { condition, matchOf, parseSearch, stringifySearch, validateProfile, validateScope } from './scope';
import { normaliseTime, resolveTime, stepFor } from './time';

describe('format', () => {
  it('is consistent and never NaN', () => {
    expect(duration(1_500_000_000)).toBe('1.50 s');
    expect(duration(300e9)).toBe('5.00 min');
    expect(bytes(1.2 * 1024 ** 3)).toBe('1.20 GiB');
    expect(duration(999_960_000)).toBe('1.00 s');
    expect(duration(119.99e9)).toBe('2.00 min');
    expect(bytes(1023.9 * 1024)).toBe('1.00 MiB');
    expect(percent(0, 0)).toBe('0 %');
    expect(percent(1, 0)).toBe('0 %');
    expect(percent(1, 1e9)).toBe('<0.01 %');
    expect(percent(1, 1)).toBe('100 %');
    expect(value(12, 'widgets')).toBe('12 widgets');
  });
});

describe('time', () => {
  it('understands relative, epoch and ISO', () => {
    expect(resolveTime('now-1h30m', 10_000_000)).toBe(10_000_000 - 5_400_000);
    expect(resolveTime('1700000000000', 0)).toBe(1_700_000_000_000);
    expect(resolveTime('2026-11-20T15:00:00Z', 0)).toBe(Date.UTC(2026, 10, 20, 15));
    expect(resolveTime('yesterday', 0)).toBeNull();
    expect(normaliseTime('now-9x', 0)).toBeNull();
    expect(stepFor(3_600_000)).toBe(20_000);
  });
});

describe('URL state', () => {
  it('falls back on invalid values and leaves defaults out', () => {
    const s = validateProfile({ from: 'rubbish', view: 'pie', hlm: 'x', nodes: '7', live: '3', color: '' });
    expect(s).toMatchObject({ from: 'now-1h', to: 'now', view: 'both', hlm: 'lit', type: CPU_TIME });
    expect(s.live).toBeUndefined();
    expect(stringifySearch({ ...s })).toBe('');
    expect(validateScope({ from: 'now', to: 'now-1h' }).from).toBe('now-1h');
  });

  it('takes numbers that a page hands over as it takes text from an address', () => {
    expect(validateProfile({ nodes: 500_000, live: 5 })).toMatchObject({ nodes: 500_000, live: 5 });
    expect(validateProfile({ nodes: '500000', live: '5' })).toMatchObject({ nodes: 500_000, live: 5 });
  });

  it('survives a round trip, lists and awkward text included', () => {
    const s = validateProfile({
      svc: 'a&b=c "x"',
      env: ['prod', 'stg'],
      hl: '/a|b+/i',
      fn: 'std::vec<T>',
      from: 'now-6h',
    });
    expect(validateProfile(parseSearch(stringifySearch({ ...s })))).toEqual(s);
  });

  it('keeps the names of the parameters', () => {
    const s = validateProfile({
      svc: 's',
      env: 'e',
      ver: 'v',
      role: 'r',
      host: 'h',
      src: 'agent',
      live: '5',
      type: 't',
      view: 'flame',
      hl: 'x',
      hlm: 're',
      root: 'r',
      fn: 'f',
      color: 'self',
      own: '1',
      sort: 'name',
      nodes: '1000',
      profile: 'p',
      from: 'now-2h',
    });
    const keys = [...new URLSearchParams(stringifySearch({ ...s })).keys()].sort();
    expect(keys.join(' ')).toBe(
      'color env fn from hl hlm host live nodes own profile role root sort src svc type ver view',
    );
  });

  it('writes selectors that quote and escape', () => {
    const scope = validateScope({ svc: 'say "hi"\\', env: ['a.b', 'c'] });
    expect(matchOf(scope)).toBe('{service_name="say \\"hi\\"\\\\",env=~"a\\\\.b|c"}');
    expect(matchOf(validateScope({}))).toBe('');
    expect(condition('allocated class', ['byte[]'])).toBe('"allocated class"="byte[]"');
    expect(condition('a"b\\', ['x', 'y+'])).toBe('"a\\"b\\\\"=~"x|y\\\\+"');
    expect(condition('k8s.io/größe-1', ['1'])).toBe('k8s.io/größe-1="1"');
    expect(condition('', ['1'])).toBe('""="1"');
  });
});
