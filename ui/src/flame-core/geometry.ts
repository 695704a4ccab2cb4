// What is visible: one forward scan with jumps over the pre-order arrays, and the
// hit test. Pure functions; the canvas only paints what they emit.
import type { FlameTree } from './tree';

export interface Viewport {
  /** Data-space range across the full width. */
  x0: number;
  x1: number;
  /** Width and height of the canvas in CSS pixels; first visible pixel row. */
  width: number;
  height: number;
  top: number;
  rowHeight: number;
}

/** Boxes narrower than this are not drawn on their own. */
const MERGE_BELOW_PX = 2;
/** A sub-tree narrower than this is not visited, unless it may hold a search hit. */
const CULL_BELOW_PX = 0.5;

export interface BoxSink {
  /** One frame, in pixels. */
  box(i: number, x: number, y: number, w: number): void;
  /** A run of neighbouring frames, each too narrow to be drawn alone. */
  run(x: number, y: number, w: number, hit: boolean): void;
}

/** For each node, whether it or something under it matches. Keeps hits visible however small. */
export function hitBelow(t: FlameTree, match: Uint8Array | null): Uint8Array | null {
  if (!match) return null;
  const out = new Uint8Array(t.n);
  for (let i = t.n - 1; i >= 0; i--) {
    if (match[t.name[i]]) out[i] = 1;
    if (out[i] && t.parent[i] >= 0) out[t.parent[i]] = 1;
  }
  return out;
}

/**
 * Emits every visible box. `below` comes from `hitBelow`; frames that match are emitted even when they
 * are narrower than a pixel, at least as part of a run marked as a hit.
 */
export function scan(
  t: FlameTree,
  v: Viewport,
  match: Uint8Array | null,
  below: Uint8Array | null,
  out: BoxSink,
): void {
  const span = v.x1 - v.x0;
  if (t.n === 0 || span <= 0 || v.width <= 0) return;
  const scale = v.width / span;
  const { x, total, self, end, parent, depth, name } = t;
  const firstRow = Math.floor(v.top / v.rowHeight);
  const lastRow = Math.floor((v.top + v.height) / v.rowHeight);
  const rows = lastRow - firstRow + 1;
  const runFrom = new Float64Array(rows * 2).fill(-1);
  const runTo = new Float64Array(rows * 2);
  const flush = (slot: number): void => {
    if (runFrom[slot] < 0) return;
    const y = (firstRow + (slot >> 1)) * v.rowHeight - v.top;
    out.run(runFrom[slot], y, Math.max(runTo[slot] - runFrom[slot], 1), (slot & 1) === 1);
    runFrom[slot] = -1;
  };
  // What is too narrow on its own joins its neighbours, so that no weight is left blank.
  const extend = (slot: number, from: number, to: number): void => {
    if (runFrom[slot] >= 0 && from - runTo[slot] > 1) flush(slot);
    if (runFrom[slot] < 0) {
      runFrom[slot] = from;
      runTo[slot] = to;
    } else if (to > runTo[slot]) runTo[slot] = to;
  };
  let i = 0;
  while (i < t.n) {
    const d = depth[i];
    if (d > lastRow) {
      const p = parent[i];
      i = p >= 0 ? end[p] : t.n;
      continue;
    }
    const left = (x[i] - v.x0) * scale;
    const w = total[i] * scale;
    if (left + w <= 0 && !(w === 0 && left === 0)) {
      i = end[i];
      continue;
    }
    if (left >= v.width) {
      i = parent[i] >= 0 ? end[parent[i]] : t.n;
      continue;
    }
    const wanted = below !== null && below[i] === 1;
    if (w < CULL_BELOW_PX && !wanted) {
      // Left-heavy order: every later sibling is at most as wide; only where the parent holds a hit may one of them.
      const p = parent[i];
      const rest = t.leftHeavy && p >= 0 && (below === null || below[p] === 0);
      if (d >= firstRow) {
        const to = rest ? (x[p] + total[p] - self[p] - v.x0) * scale : left + w;
        extend((d - firstRow) * 2, Math.max(left, 0), Math.min(to, v.width));
      }
      i = rest ? end[p] : end[i];
      continue;
    }
    if (d >= firstRow) {
      const from = Math.max(left, 0);
      const to = Math.min(left + w, v.width);
      const hit = match !== null && match[name[i]] === 1;
      if (w < MERGE_BELOW_PX) {
        extend((d - firstRow) * 2 + (hit ? 1 : 0), from, to);
      } else {
        out.box(i, from, d * v.rowHeight - v.top, to - from);
      }
    }
    i++;
  }
  // Hits last, so that they lie over plain runs.
  for (let slot = 0; slot < runFrom.length; slot += 2) flush(slot);
  for (let slot = 1; slot < runFrom.length; slot += 2) flush(slot);
}

/** The frame under a pixel, or -1. Walks down one level at a time with sibling jumps. */
export function hitTest(t: FlameTree, v: Viewport, px: number, py: number): number {
  const span = v.x1 - v.x0;
  if (t.n === 0 || span <= 0 || px < 0 || px > v.width) return -1;
  const row = Math.floor((py + v.top) / v.rowHeight);
  if (row < 0 || row > t.maxDepth) return -1;
  const at = v.x0 + (px / v.width) * span;
  let i = 0;
  const stop = t.n;
  let limit = stop;
  while (i < limit) {
    if (at >= t.x[i] + t.total[i] || at < t.x[i]) {
      if (at < t.x[i]) return -1;
      i = t.end[i];
      continue;
    }
    if (t.depth[i] === row) return i;
    limit = t.end[i];
    i++;
  }
  return -1;
}
