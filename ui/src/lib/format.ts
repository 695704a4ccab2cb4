// Numbers for people: one unit style in the whole product.

const int = new Intl.NumberFormat('en-US');

export function count(v: number): string {
  return int.format(Math.round(v));
}

function sig(v: number): string {
  const a = Math.abs(v);
  if (a === 0) return '0';
  if (a >= 100) return v.toFixed(0);
  if (a >= 10) return v.toFixed(1);
  return v.toFixed(2);
}

export function compact(v: number): string {
  const a = Math.abs(v);
  if (a < 10_000) return Number.isInteger(v) ? count(v) : sig(v);
  return scaled(v, [
    [1e3, 'k'],
    [1e6, 'M'],
    [1e9, 'G'],
  ]);
}

/** Steps of a unit: from which amount on, and what it is called. */
function scaled(v: number, steps: [number, string][]): string {
  const a = Math.abs(v);
  let at = steps.length - 1;
  // Rounding must not give "1000 ms" where "1.00 s" is meant.
  while (at > 0 && a < steps[at][0] * ROUNDS_UP) at--;
  return `${sig(v / steps[at][0])} ${steps[at][1]}`;
}
const ROUNDS_UP = 0.9995;

export function duration(ns: number): string {
  const a = Math.abs(ns);
  if (a === 0) return '0 s';
  if (a >= 7200e9 * ROUNDS_UP) return `${sig(ns / 3600e9)} h`;
  if (a >= 120e9 * ROUNDS_UP) return `${sig(ns / 60e9)} min`;
  return scaled(ns, [
    [1, 'ns'],
    [1e3, 'µs'],
    [1e6, 'ms'],
    [1e9, 's'],
  ]);
}

export function bytes(v: number): string {
  if (Math.abs(v) < 1024 * ROUNDS_UP) return `${Math.round(v)} B`;
  const names = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  return scaled(
    v,
    names.map((name, i) => [1024 ** (i + 1), name]),
  );
}

/** A value of a profile type in its unit. */
export function value(v: number, unit: string): string {
  switch (unit) {
    case 'nanoseconds':
    case 'ns':
      return duration(v);
    case 'microseconds':
      return duration(v * 1e3);
    case 'milliseconds':
      return duration(v * 1e6);
    case 'seconds':
      return duration(v * 1e9);
    case 'bytes':
    case 'byte':
      return bytes(v);
    case 'cores':
      return `${sig(v)} cores`;
    case 'count':
    case '':
      return compact(v);
    default:
      return `${compact(v)} ${unit}`;
  }
}

/** Never NaN or Infinity: nothing of nothing is 0 %. */
export function percent(part: number, whole: number): string {
  if (!(whole > 0) || part === 0) return '0 %';
  const p = (part / whole) * 100;
  if (p > 0 && p < 0.01) return '<0.01 %';
  return `${p >= 99.95 ? Math.round(p) : p >= 10 ? p.toFixed(1) : p.toFixed(2)} %`;
}

/** Milliseconds in which one step of this unit passes, for turning totals of time into cores. */
export function isTime(unit: string): boolean {
  return ['nanoseconds', 'ns', 'microseconds', 'milliseconds', 'seconds'].includes(unit);
}

export function nanos(v: number, unit: string): number {
  const f: Record<string, number> = {
    nanoseconds: 1,
    ns: 1,
    microseconds: 1e3,
    milliseconds: 1e6,
    seconds: 1e9,
  };
  return v * (f[unit] ?? 1);
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** `libc.so.6` of a path; bracketed names such as `[kernel]` stay. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1) || path;
}

/** Servers begin details in lower case; on a page they are sentences. */
export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}
