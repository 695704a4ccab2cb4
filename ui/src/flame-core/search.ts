// Searching and counting. Matching works on distinct names, so a tree of half a
// million frames costs no more than its few ten thousand names.
import { FLAG_TRIMMED, type FlameTree } from './tree';

export type SearchMode = 'lit' | 're';

export interface Matcher {
  /** null: nothing is searched for. */
  test: ((text: string) => boolean) | null;
  /** Why the pattern cannot be used, in words for the user. */
  error: string | null;
}

/** Longest pattern taken; longer ones are refused with a message. */
const PATTERN_LIMIT_CHARS = 512;
/** A name is searched in its first this many characters, which bounds a regex's work. */
const NAME_LIMIT_CHARS = 2_048;

/**
 * Literal mode: smart case (capitals in the term make it case-sensitive), `|` separates alternatives.
 * Regex mode, or text typed as `/…/` or `/…/i`: a JavaScript regular expression.
 */
export function compile(pattern: string, mode: SearchMode): Matcher {
  const text = pattern.trim();
  if (text === '') return { test: null, error: null };
  if (text.length > PATTERN_LIMIT_CHARS) {
    return { test: null, error: `longer than ${PATTERN_LIMIT_CHARS} characters` };
  }
  const slashed = /^\/(.+)\/(i?)$/.exec(text);
  if (mode === 're' || slashed) {
    const source = slashed ? slashed[1] : text;
    const insensitive = slashed ? slashed[2] === 'i' : !/[A-Z]/.test(source.replace(/\\./g, ''));
    try {
      const re = new RegExp(source, insensitive ? 'i' : '');
      return { test: (s) => re.test(s.slice(0, NAME_LIMIT_CHARS)), error: null };
    } catch (e) {
      return { test: null, error: e instanceof Error ? e.message : 'not a valid expression' };
    }
  }
  const terms = text
    .split('|')
    .map((s) => s.trim())
    .filter((s) => s !== '');
  if (terms.length === 0) return { test: null, error: null };
  const checks = terms.map((term) => {
    const exact = /[A-Z]/.test(term);
    return (s: string, lower: string) => (exact ? s.includes(term) : lower.includes(term));
  });
  return {
    test: (s) => {
      const lower = s.toLowerCase();
      return checks.some((c) => c(s, lower));
    },
    error: null,
  };
}

/** One byte per distinct name: 1 where it matches. */
export function matchNames(names: string[], test: (text: string) => boolean): Uint8Array {
  const out = new Uint8Array(names.length);
  for (let i = 0; i < names.length; i++) out[i] = test(names[i]) ? 1 : 0;
  return out;
}

export interface MatchStats {
  functions: number;
  frames: number;
  /** Weight under matches; a match inside a match is counted once. */
  weight: number;
}

/** Counts inside the sub-tree of `root`. */
export function matchStats(t: FlameTree, match: Uint8Array, root = 0): MatchStats {
  const seen = new Uint8Array(t.names.length);
  let functions = 0;
  let frames = 0;
  let weight = 0;
  let covered = root;
  for (let i = root; i < (t.end[root] ?? 0); i++) {
    const name = t.name[i];
    if (!match[name] || t.flags[i] & FLAG_TRIMMED) continue;
    frames++;
    if (!seen[name]) {
      seen[name] = 1;
      functions++;
    }
    if (i >= covered) {
      weight += t.total[i];
      covered = t.end[i];
    }
  }
  return { functions, frames, weight };
}

/** Matching frames, heaviest first, at most `limit`. */
export function matchesByWeight(t: FlameTree, match: Uint8Array, root = 0, limit = 2_000): number[] {
  const out: number[] = [];
  for (let i = root; i < (t.end[root] ?? 0); i++) {
    if (match[t.name[i]] && !(t.flags[i] & FLAG_TRIMMED)) out.push(i);
  }
  out.sort((a, b) => t.total[b] - t.total[a] || a - b);
  return out.slice(0, limit);
}
