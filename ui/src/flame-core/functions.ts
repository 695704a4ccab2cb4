// The table of functions that belongs to a tree: self and total per (name, library).
import { FLAG_TRIMMED, type FlameTree } from './tree';

/** Columns of the functions table; index = row. */
export interface FunctionTable {
  n: number;
  name: Uint32Array;
  library: Uint32Array;
  file: Uint32Array;
  self: Float64Array;
  total: Float64Array;
}

/**
 * Sums over the sub-tree of `root`. A function that appears several times on one stack (recursion)
 * adds to its total only at its outermost frame. Trimmed remainders are no functions and are left out.
 */
export function functionTable(t: FlameTree, root = 0): FunctionTable {
  const ids = new Map<number, number>();
  const name: number[] = [];
  const library: number[] = [];
  const file: number[] = [];
  const self: number[] = [];
  const total: number[] = [];
  const openUntil: number[] = [];
  const stop = t.end[root] ?? 0;
  for (let i = root; i < stop; i++) {
    if (t.flags[i] & FLAG_TRIMMED || t.depth[i] === 0) continue;
    const key = t.name[i] * t.libraries.length + t.library[i];
    let id = ids.get(key);
    if (id === undefined) {
      id = name.length;
      ids.set(key, id);
      name.push(t.name[i]);
      library.push(t.library[i]);
      file.push(t.file[i]);
      self.push(0);
      total.push(0);
      openUntil.push(0);
    }
    self[id] += t.self[i];
    if (i >= openUntil[id]) {
      total[id] += t.total[i];
      openUntil[id] = t.end[i];
    }
  }
  return {
    n: name.length,
    name: Uint32Array.from(name),
    library: Uint32Array.from(library),
    file: Uint32Array.from(file),
    self: Float64Array.from(self),
    total: Float64Array.from(total),
  };
}
