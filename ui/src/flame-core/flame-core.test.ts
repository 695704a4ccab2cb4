// Properties of the tree, the visible boxes, the hit test, search and colours.
import { describe, expect, it } from 'vitest';
import { randomColumns, seeded } from '../test/gen';
import { functionTable } from './functions';
import { hitBelow, hitTest, scan, type Viewport } from './geometry';
import { colouring, colourTable, contrast, PALETTES } from './palette';
import { compile, matchNames, matchStats } from './search';
import { ancestorsOf, CLASSES, childrenOf, type FlameTree, findPath, layout, pathId } from './tree';

const trees: FlameTree[] = [];
for (let seed = 1; seed <= 30; seed++) trees.push(layout(randomColumns(seed, 20 + seed * 60)));

function view(t: FlameTree, rnd: () => number): Viewport {
  const span = t.total[0] * 0.5 ** (rnd() * 12);
  const x0 = rnd() * (t.total[0] - span);
  return {
    x0,
    x1: x0 + span,
    width: 300 + Math.floor(rnd() * 900),
    height: 200,
    top: rnd() * 120,
    rowHeight: 20,
  };
}

function underAncestor(t: FlameTree, i: number, match: Uint8Array): boolean {
  return ancestorsOf(t, i).some((a) => match[t.name[a]] === 1);
}

describe('layout', () => {
  it('keeps sum(children) + self == total and children inside their parent', () => {
    for (const t of trees) {
      for (let i = 0; i < t.n; i++) {
        const kids = childrenOf(t, i);
        expect(kids.reduce((s, k) => s + t.total[k], 0) + t.self[i]).toBe(t.total[i]);
        let at = t.x[i];
        for (const k of kids) {
          expect(t.parent[k]).toBe(i);
          expect(t.x[k]).toBe(at);
          at += t.total[k];
        }
      }
    }
  });

  it('repairs damaged columns instead of failing', () => {
    const rnd = seeded(7);
    for (let round = 0; round < 200; round++) {
      const c = randomColumns(round + 1, 60);
      const spoil = (a: number[]): void => {
        a[Math.floor(rnd() * a.length)] = [Number.NaN, -5, 1e300, 70_000, Number.POSITIVE_INFINITY][
          Math.floor(rnd() * 5)
        ];
      };
      spoil(c.depth as number[]);
      spoil(c.total as number[]);
      spoil(c.name as number[]);
      const t = layout(c);
      for (let i = 0; i < t.n; i++) {
        expect(t.name[i]).toBeLessThan(t.names.length);
        expect(t.end[i]).toBeGreaterThan(i);
        expect(t.end[i]).toBeLessThanOrEqual(t.n);
        if (i > 0) expect(t.parent[i]).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('gives equal names one index', () => {
    const c = randomColumns(3, 20);
    c.names = c.names.map((s, i) => (i % 2 ? 'same' : s));
    const t = layout(c);
    expect(new Set(t.names).size).toBe(t.names.length);
  });

  it('finds a node again by its path', () => {
    const t = trees[9];
    const seen = new Map<string, number>();
    for (let i = 0; i < t.n; i++) {
      const id = pathId(t, i);
      if (!seen.has(id)) seen.set(id, i);
    }
    for (const [id, i] of seen) expect(findPath(t, id)).toBe(i);
    expect(findPath(t, 'zz')).toBe(-1);
  });
});

describe('geometry', () => {
  it('hit test equals brute force', () => {
    const rnd = seeded(11);
    for (const t of trees) {
      for (let k = 0; k < 60; k++) {
        const v = view(t, rnd);
        const px = rnd() * v.width;
        const py = rnd() * v.height;
        const at = v.x0 + (px / v.width) * (v.x1 - v.x0);
        const row = Math.floor((py + v.top) / v.rowHeight);
        let want = -1;
        for (let i = 0; i < t.n; i++) {
          if (t.depth[i] === row && at >= t.x[i] && at < t.x[i] + t.total[i]) want = i;
        }
        expect(hitTest(t, v, px, py)).toBe(want);
      }
    }
  });

  it('draws every box of two pixels and more exactly once, whatever the jumps', () => {
    const rnd = seeded(5);
    for (const t of trees) {
      const v = view(t, rnd);
      const drawn: number[] = [];
      scan(t, v, null, null, { box: (i) => drawn.push(i), run: () => {} });
      const scale = v.width / (v.x1 - v.x0);
      const want: number[] = [];
      for (let i = 0; i < t.n; i++) {
        const left = (t.x[i] - v.x0) * scale;
        const w = t.total[i] * scale;
        const y = t.depth[i] * v.rowHeight;
        const rows = Math.floor(v.top / v.rowHeight) <= t.depth[i] && y <= v.top + v.height;
        if (w >= 2 && left + w > 0 && left < v.width && rows) want.push(i);
      }
      expect(drawn).toEqual(want);
    }
  });

  it('never hides a search hit, however narrow', () => {
    const rnd = seeded(23);
    for (const t of trees) {
      const match = matchNames(t.names, (s) => s.endsWith('7') || s.endsWith('_3'));
      const below = hitBelow(t, match);
      const v = view(t, rnd);
      const hits: [number, number, number][] = [];
      scan(t, v, match, below, {
        box: (i, x, y, w) => {
          if (match[t.name[i]]) hits.push([x, y, w]);
        },
        run: (x, y, w, hit) => {
          if (hit) hits.push([x, y, w]);
        },
      });
      const scale = v.width / (v.x1 - v.x0);
      for (let i = 0; i < t.n; i++) {
        const left = (t.x[i] - v.x0) * scale;
        const right = left + t.total[i] * scale;
        const y = t.depth[i] * v.rowHeight - v.top;
        if (!match[t.name[i]] || t.total[i] === 0 || right <= 0 || left >= v.width) continue;
        if (y < -v.rowHeight + 1 || y > v.height) continue;
        const mid = Math.min(v.width, Math.max(0, (left + right) / 2));
        expect(hits.some(([hx, hy, hw]) => hy === y && hx <= mid + 0.5 && hx + hw >= mid - 0.5)).toBe(true);
      }
    }
  });

  it('leaves no weight blank: frames too narrow to draw join into a run', () => {
    const n = 20_000;
    const c = randomColumns(1, 2);
    c.depth = [0, ...new Array(n).fill(1)];
    c.total = [n, ...new Array(n).fill(1)];
    for (const k of ['name', 'library', 'file', 'line', 'self', 'flags'] as const)
      c[k] = new Array(n + 1).fill(0);
    const t = layout(c);
    const v = { x0: 0, x1: n, width: 1_000, height: 100, top: 0, rowHeight: 20 };
    for (const match of [null, new Uint8Array(t.names.length)]) {
      let covered = 0;
      let rects = 0;
      scan(t, v, match, hitBelow(t, match), {
        box: () => {},
        run: (_x, y, w, hit) => {
          expect(hit).toBe(false);
          if (y === 20) covered += w;
          rects++;
        },
      });
      expect(covered).toBeCloseTo(1_000, 3);
      expect(rects).toBe(1);
    }
  });

  it('bounds the number of rectangles by rows times width', () => {
    const n = 20_000;
    const c = randomColumns(1, 2);
    c.depth = [0, ...new Array(n).fill(1)];
    c.total = [n, ...new Array(n).fill(1)];
    for (const k of ['name', 'library', 'file', 'line', 'self', 'flags'] as const)
      c[k] = new Array(n + 1).fill(0);
    let rects = 0;
    const v = { x0: 0, x1: n, width: 10_000 * 1.2, height: 100, top: 0, rowHeight: 20 };
    scan(layout(c), v, null, null, { box: () => rects++, run: () => rects++ });
    expect(rects).toBeLessThanOrEqual(10);
  });
});

describe('search', () => {
  it('never counts weight twice', () => {
    for (const t of trees) {
      const match = matchNames(t.names, (s) => /[135]$/.test(s));
      const got = matchStats(t, match);
      let want = 0;
      let frames = 0;
      for (let i = 0; i < t.n; i++) {
        if (!match[t.name[i]]) continue;
        frames++;
        if (!underAncestor(t, i, match)) want += t.total[i];
      }
      expect(got.weight).toBe(want);
      expect(got.frames).toBe(frames);
      expect(got.weight).toBeLessThanOrEqual(t.total[0]);
    }
  });

  it('has smart case, alternatives, regular expressions and clear errors', () => {
    expect(compile('malloc|FREE', 'lit').test?.('je_malloc')).toBe(true);
    expect(compile('malloc|FREE', 'lit').test?.('free')).toBe(false);
    expect(compile('parse', 'lit').test?.('JSON.Parse')).toBe(true);
    expect(compile('/^std::.*sort/', 'lit').test?.('std::stable_sort')).toBe(true);
    expect(compile('a.c', 'lit').test?.('abc')).toBe(false);
    expect(compile('(', 're').error).toBeTruthy();
    expect(compile('x'.repeat(600), 're').error).toMatch(/512/);
    expect(compile('  ', 'lit').test).toBeNull();
  });
});

describe('functions', () => {
  it('sums self to the root and counts recursion once', () => {
    for (const t of trees) {
      const f = functionTable(t);
      const selfSum = f.self.reduce((s, v) => s + v, 0);
      expect(selfSum + t.self[0]).toBe(t.total[0]);
      for (let r = 0; r < f.n; r++) {
        const only = new Uint8Array(t.names.length);
        only[f.name[r]] = 1;
        expect(f.total[r]).toBe(matchStats(t, only).weight);
        expect(f.total[r]).toBeLessThanOrEqual(t.total[0]);
      }
    }
  });
});

describe('palette', () => {
  it('keeps text on every box readable in both themes', () => {
    for (const p of Object.values(PALETTES)) {
      for (const box of [...p.boxes, ...p.heat, p.kernel, p.unnamed, p.root]) {
        expect(contrast(box, p.text), box).toBeGreaterThanOrEqual(4.5);
      }
      expect(contrast(p.dim, p.dimText)).toBeGreaterThanOrEqual(4.5);
      expect(contrast(p.trimmed, p.dimText)).toBeGreaterThanOrEqual(4.5);
      expect(contrast(p.hit, p.hitText)).toBeGreaterThanOrEqual(4.5);
      expect(contrast(p.background, p.focusRing)).toBeGreaterThanOrEqual(3);
    }
  });

  it('gives the heaviest groups different hues, and says in the legend what they are', () => {
    const n = 9;
    const columns = randomColumns(1, 2);
    columns.names = ['all', ...Array.from({ length: n }, (_, i) => `pkg${i}::work`)];
    const self = Array.from({ length: n }, (_, i) => 100 - i);
    columns.depth = [0, ...new Array(n).fill(1)];
    columns.name = Array.from({ length: n + 1 }, (_, i) => i);
    columns.self = [0, ...self];
    columns.total = [self.reduce((a, v) => a + v, 0), ...self];
    for (const k of ['library', 'file', 'line', 'flags'] as const) columns[k] = new Array(n + 1).fill(0);
    const { legend, index } = colouring(layout(columns), 'pkg');
    expect(legend.map((e) => e.text)).toEqual(Array.from({ length: n }, (_, i) => `pkg${i}`));
    expect(new Set(legend.map((e) => e.colour)).size).toBe(n);
    const hueOf = (colour: number): number => Math.floor((colour - 4) / 5);
    legend.forEach((e, i) => {
      expect(e.self).toBe(100 - i);
      expect(hueOf(index[i + 1])).toBe(hueOf(e.colour));
    });
    expect(colourTable('dark').length).toBeGreaterThan(Math.max(...index));
  });
});

describe('whose code a frame is', () => {
  const columns = {
    depth: [0, 1, 2, 2],
    name: [0, 1, 2, 3],
    library: [0, 0, 0, 0],
    file: [0, 0, 0, 0],
    line: [0, 0, 0, 0],
    total: [10, 10, 6, 3],
    self: [0, 1, 6, 3],
    flags: [0, 0, 0, 0],
    names: ['total', 'main', 'malloc', 'read'],
    libraries: [''],
    files: [''],
  };

  it('is read by name, whatever the order of the names; without it nothing is known', () => {
    const classes = ['own', 'kernel', 'runtime', 'something new'];
    const t = layout({ ...columns, class: [3, 0, 2, 1], classes });
    expect([...t.class].map((c) => CLASSES[c])).toEqual(['unknown', 'own', 'runtime', 'kernel']);
    expect([...layout(columns).class]).toEqual([0, 0, 0, 0]);
    expect([...layout({ ...columns, class: [9, 9, 9, 9], classes }).class]).toEqual([0, 0, 0, 0]);
  });

  it('is a colour with its share of own time', () => {
    const t = layout({ ...columns, class: [0, 1, 3, 4], classes: [...CLASSES] });
    const { index, legend } = colouring(t, 'class');
    expect(new Set(index).size).toBe(4);
    expect(legend.map((e) => [e.text, e.self])).toEqual([
      ['runtime', 6],
      ['kernel', 3],
      ['your code', 1],
    ]);
  });
});
