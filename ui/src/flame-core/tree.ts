// The flame graph's data: a tree in pre-order as a struct of arrays.
// `total` and `self` are in the profile type's unit; `x` is the running offset
// of a box in the same unit (root: 0); `end[i]` is one past the last descendant
// of `i`, so `[i, end[i])` is the sub-tree; `parent[0]` is -1.

export const FLAG_TRIMMED = 1;
export const FLAG_UNSYMBOLISED = 2;
export const FLAG_KERNEL = 4;

/** Whose code a frame is, as answers name it. */
export const CLASSES = ['unknown', 'own', 'dependency', 'runtime', 'kernel'] as const;
export const OWN = CLASSES.indexOf('own');

/** What arrives: the columns of an answer, untrusted. */
export interface FlameColumns {
  depth: ArrayLike<number>;
  name: ArrayLike<number>;
  library: ArrayLike<number>;
  file: ArrayLike<number>;
  line: ArrayLike<number>;
  total: ArrayLike<number>;
  self: ArrayLike<number>;
  flags: ArrayLike<number>;
  names: string[];
  libraries: string[];
  files: string[];
  /** Whose code each frame is, a position in `classes`; servers before classes leave both out. */
  class?: ArrayLike<number>;
  classes?: string[];
}

/** A laid out tree, ready to draw. Every index is in range by construction. */
export interface FlameTree {
  n: number;
  maxDepth: number;
  depth: Uint16Array;
  name: Uint32Array;
  library: Uint32Array;
  file: Uint32Array;
  line: Uint32Array;
  total: Float64Array;
  self: Float64Array;
  flags: Uint8Array;
  /** A position in `CLASSES`. */
  class: Uint8Array;
  x: Float64Array;
  end: Int32Array;
  parent: Int32Array;
  /** Siblings are sorted by total, largest first: the draw scan may stop early. */
  leftHeavy: boolean;
  names: string[];
  libraries: string[];
  files: string[];
}

export const EMPTY_TREE: FlameTree = layout({
  depth: [],
  name: [],
  library: [],
  file: [],
  line: [],
  total: [],
  self: [],
  flags: [],
  names: [],
  libraries: [],
  files: [],
});

/** Maps each entry to its first equal one, so that equal texts share an index. */
function intern(values: string[]): { values: string[]; map: Uint32Array } {
  const seen = new Map<string, number>();
  const out: string[] = [];
  const map = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const text = String(values[i] ?? '');
    let id = seen.get(text);
    if (id === undefined) {
      id = out.length;
      seen.set(text, id);
      out.push(text);
    }
    map[i] = id;
  }
  if (out.length === 0) out.push('');
  return { values: out, map };
}

function remap(src: ArrayLike<number>, map: Uint32Array, n: number): Uint32Array {
  const out = new Uint32Array(n);
  for (let i = 0; i < n; i++) out[i] = map[src[i]] ?? 0;
  return out;
}

/**
 * Checks the columns and derives `x`, `end` and `parent`. Damaged input is repaired rather than
 * refused: a depth that jumps is clamped to one below its predecessor, a second root becomes a child
 * of the first, and a parent's total is raised where its children need more room.
 */
export function layout(c: FlameColumns): FlameTree {
  const n = c.depth.length;
  const names = intern(c.names);
  const libraries = intern(c.libraries);
  const files = intern(c.files);
  const depth = new Uint16Array(n);
  const parent = new Int32Array(n);
  const end = new Int32Array(n);
  const total = new Float64Array(n);
  const self = new Float64Array(n);
  const flags = new Uint8Array(n);
  const line = new Uint32Array(n);
  const cls = new Uint8Array(n);
  const known = (c.classes ?? []).map((name) => Math.max(0, CLASSES.indexOf(name as never)));
  const open: number[] = [];
  let maxDepth = 0;
  for (let i = 0; i < n; i++) {
    const wanted = i === 0 ? 0 : Math.max(1, c.depth[i]);
    const d = Math.min(wanted, open.length, 65_535);
    while (open.length > d) end[open.pop()!] = i;
    depth[i] = d;
    parent[i] = d === 0 ? -1 : open[d - 1];
    open.push(i);
    if (d > maxDepth) maxDepth = d;
    total[i] = positive(c.total[i]);
    self[i] = positive(c.self[i]);
    flags[i] = c.flags[i] ?? 0;
    line[i] = c.line[i] ?? 0;
    cls[i] = known[c.class?.[i] ?? 0] ?? 0;
  }
  while (open.length > 0) end[open.pop()!] = n;
  const leftHeavy = fitTotals(n, parent, total, self);
  const x = new Float64Array(n);
  const cursor = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const p = parent[i];
    x[i] = p < 0 ? 0 : cursor[p];
    cursor[i] = x[i];
    if (p >= 0) cursor[p] += total[i];
  }
  return {
    n,
    maxDepth,
    depth,
    name: remap(c.name, names.map, n),
    library: remap(c.library, libraries.map, n),
    file: remap(c.file, files.map, n),
    line,
    total,
    self,
    flags,
    class: cls,
    x,
    end,
    parent,
    leftHeavy,
    names: names.values,
    libraries: libraries.values,
    files: files.values,
  };
}

function positive(v: number): number {
  return Number.isFinite(v) && v > 0 ? v : 0;
}

/** Makes `sum(children) + self == total` hold; returns whether siblings are sorted by total. */
function fitTotals(n: number, parent: Int32Array, total: Float64Array, self: Float64Array): boolean {
  const kids = new Float64Array(n);
  for (let i = n - 1; i >= 0; i--) {
    if (total[i] < kids[i]) total[i] = kids[i];
    self[i] = total[i] - kids[i];
    if (parent[i] >= 0) kids[parent[i]] += total[i];
  }
  const last = new Float64Array(n).fill(Number.POSITIVE_INFINITY);
  for (let i = 1; i < n; i++) {
    if (total[i] > last[parent[i]]) return false;
    last[parent[i]] = total[i];
  }
  return true;
}

export interface FrameShares {
  /** Values of all frames, each frame counted with its own total, and of those without a name. */
  all: number;
  unnamed: number;
}

/** How much of what is drawn has no name; the root and trimmed remainders are no frames. */
export function frameShares(t: FlameTree): FrameShares {
  let all = 0;
  let unnamed = 0;
  for (let i = 1; i < t.n; i++) {
    if (t.flags[i] & FLAG_TRIMMED) continue;
    all += t.total[i];
    if (t.flags[i] & FLAG_UNSYMBOLISED) unnamed += t.total[i];
  }
  return { all, unnamed };
}

/** The direct children of `i`, in order, at most `limit`. */
export function childrenOf(t: FlameTree, i: number, limit = Number.POSITIVE_INFINITY): number[] {
  const out: number[] = [];
  if (i < 0 || i >= t.n) return out;
  for (let c = i + 1; c < t.end[i] && out.length < limit; c = t.end[c]) out.push(c);
  return out;
}

/** Ancestors of `i`, root first, without `i`. */
export function ancestorsOf(t: FlameTree, i: number): number[] {
  const out: number[] = [];
  for (let p = t.parent[i] ?? -1; p >= 0; p = t.parent[p]) out.push(p);
  return out.reverse();
}

/**
 * A 64-bit hash (16 hex digits) of the names and libraries on each path from the root: it names a
 * frame in a URL and survives a reload or another time range. Two lanes per node, made once a tree.
 */
function pathHashes(t: FlameTree): PathHashes {
  let found = hashed.get(t);
  if (!found) {
    found = makePathHashes(t);
    hashed.set(t, found);
  }
  return found;
}

interface PathHashes {
  hi: Uint32Array;
  lo: Uint32Array;
}

const hashed = new WeakMap<FlameTree, PathHashes>();

function makePathHashes(t: FlameTree): PathHashes {
  const text = (s: string, seed: number): number => {
    let h = seed;
    for (let i = 0; i < s.length; i++) h = Math.imul(h ^ s.charCodeAt(i), 0x01000193);
    return h >>> 0;
  };
  const a = t.names.map((s) => text(s, 0x811c9dc5));
  const b = t.libraries.map((s) => text(s, 0x9e3779b1));
  const hi = new Uint32Array(t.n);
  const lo = new Uint32Array(t.n);
  for (let i = 0; i < t.n; i++) {
    const p = t.parent[i];
    const own = Math.imul(a[t.name[i]] ^ b[t.library[i]], 0x85ebca6b);
    hi[i] = Math.imul((p < 0 ? 0x1234567 : hi[p]) ^ own, 0xc2b2ae35) + a[t.name[i]];
    lo[i] = Math.imul((p < 0 ? 0x89abcde : lo[p]) ^ (own >>> 7), 0x27d4eb2f) + b[t.library[i]];
  }
  return { hi, lo };
}

const hex8 = (v: number): string => v.toString(16).padStart(8, '0');

export function pathId(t: FlameTree, i: number): string {
  const { hi, lo } = pathHashes(t);
  return hex8(hi[i]) + hex8(lo[i]);
}

/** The node with this path id, or -1. */
export function findPath(t: FlameTree, id: string): number {
  if (!/^[0-9a-f]{16}$/.test(id)) return -1;
  const wantHi = Number.parseInt(id.slice(0, 8), 16);
  const wantLo = Number.parseInt(id.slice(8), 16);
  const { hi, lo } = pathHashes(t);
  for (let i = 0; i < t.n; i++) if (hi[i] === wantHi && lo[i] === wantLo) return i;
  return -1;
}
