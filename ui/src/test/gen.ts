// Deterministic trees for tests: chains and fans with heavy-tailed weights.
import type { FlameColumns } from '../flame-core/tree';

/** A small seeded generator (mulberry32), uniform in [0, 1). */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface Node {
  name: number;
  kids: Node[];
  self: number;
  total: number;
}

/** About `size` nodes over `nameCount` names, siblings sorted by total, with integer weights. */
export function randomColumns(seed: number, size: number, nameCount = 40, maxDepth = 30): FlameColumns {
  const rnd = seeded(seed);
  const root: Node = { name: 0, kids: [], self: 0, total: 0 };
  const all: { node: Node; depth: number }[] = [{ node: root, depth: 0 }];
  while (all.length < size) {
    // Favour recent nodes, which makes deep chains.
    const back = Math.floor(rnd() ** 3 * all.length);
    const at = all[all.length - 1 - back];
    if (at.depth >= maxDepth) continue;
    const node: Node = { name: 1 + Math.floor(rnd() * (nameCount - 1)), kids: [], self: 0, total: 0 };
    at.node.kids.push(node);
    all.push({ node, depth: at.depth + 1 });
  }
  for (const { node } of all) if (rnd() < 0.6) node.self = Math.floor(1 / (rnd() ** 1.5 + 0.0005));
  for (let i = all.length - 1; i >= 0; i--) {
    const node = all[i].node;
    node.total = node.self + node.kids.reduce((s, k) => s + k.total, 0);
    node.kids.sort((a, b) => b.total - a.total);
  }
  const depth: number[] = [];
  const name: number[] = [];
  const total: number[] = [];
  const self: number[] = [];
  const walk = (node: Node, d: number): void => {
    depth.push(d);
    name.push(node.name);
    total.push(node.total);
    self.push(node.self);
    for (const k of node.kids) walk(k, d + 1);
  };
  walk(root, 0);
  const zeros = new Array<number>(depth.length).fill(0);
  return {
    depth,
    name,
    library: zeros,
    file: zeros,
    line: zeros,
    total,
    self,
    flags: zeros,
    names: Array.from({ length: nameCount }, (_, i) => (i === 0 ? 'all' : `pkg${i % 7}.fn_${i}`)),
    libraries: ['app'],
    files: [''],
  };
}
