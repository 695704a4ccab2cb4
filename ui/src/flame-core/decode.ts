// Arrow IPC stream → columns. The one place that knows the Arrow reader.
import { type Column, tableFromIPC } from '@uwdata/flechette';
import type { FlameColumns } from './tree';

/** Metadata of an answer (schema metadata key `vesta`), still untyped. */
export interface Decoded {
  columns: FlameColumns;
  meta: unknown;
}

export function decodeArrow(bytes: ArrayBuffer): Decoded {
  const table = tableFromIPC(new Uint8Array(bytes), { useProxy: false });
  const metadata = table.schema.metadata;
  const text = metadata instanceof Map ? metadata.get('vesta') : undefined;
  const col = (name: string): Column<unknown> => {
    const c = table.getChild(name);
    if (!c) throw new Error(`the answer has no column "${name}"`);
    return c as Column<unknown>;
  };
  const name = dictionary(col('name'));
  const library = dictionary(col('library'));
  const file = dictionary(col('file'));
  const ofClass = table.getChild('class');
  const cls = ofClass ? dictionary(ofClass as Column<unknown>) : undefined;
  return {
    meta: text ? JSON.parse(text) : null,
    columns: {
      depth: numbers(col('depth')),
      line: numbers(col('line')),
      flags: numbers(col('flags')),
      total: numbers(col('total')),
      self: numbers(col('self')),
      name: name.keys,
      names: name.values,
      library: library.keys,
      libraries: library.values,
      file: file.keys,
      files: file.values,
      class: cls?.keys,
      classes: cls?.values,
    },
  };
}

function numbers(c: Column<unknown>): ArrayLike<number> {
  const a = c.toArray() as ArrayLike<number | bigint | null>;
  if (ArrayBuffer.isView(a) && !(a instanceof BigInt64Array) && !(a instanceof BigUint64Array)) {
    return a as unknown as ArrayLike<number>;
  }
  const out = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) out[i] = Number(a[i] ?? 0);
  return out;
}

/** Keys and texts of a dictionary column; a plain text column is turned into one. */
function dictionary(c: Column<unknown>): { keys: ArrayLike<number>; values: string[] } {
  const batch = c.data[0] as unknown as
    | { dictionary?: Column<unknown>; values: ArrayLike<number> }
    | undefined;
  if (c.data.length === 1 && batch?.dictionary && c.nullCount === 0) {
    const values = Array.from(batch.dictionary.toArray() as ArrayLike<unknown>, (v) => String(v ?? ''));
    return { keys: batch.values, values };
  }
  const ids = new Map<string, number>();
  const keys = new Uint32Array(c.length);
  const values: string[] = [];
  for (let i = 0; i < c.length; i++) {
    const text = String(c.at(i) ?? '');
    let id = ids.get(text);
    if (id === undefined) {
      id = values.length;
      ids.set(text, id);
      values.push(text);
    }
    keys[i] = id;
  }
  return { keys, values };
}
