// Rows of the functions table and how their names are cut.
import type { TopFunction } from '../../api/types';
import { functionTable } from '../../flame-core/functions';
import { labelForms } from '../../flame-core/names';
import type { FlameTree } from '../../flame-core/tree';

export type FunctionRow = TopFunction;

export function rowsOfTree(t: FlameTree, root: number): FunctionRow[] {
  const f = functionTable(t, root);
  return Array.from({ length: f.n }, (_, i) => ({
    name: t.names[f.name[i]],
    library: t.libraries[f.library[i]],
    file: t.files[f.file[i]],
    self: f.self[i],
    total: f.total[i],
  }));
}

/** A name in two: what may be cut off in front, and the end that tells it from others. */
export function nameParts(name: string): [string, string] {
  const forms = labelForms(name);
  const tail = forms[forms.length - 1];
  const at = forms.length > 1 ? name.lastIndexOf(tail) : 0;
  return at > 0 ? [name.slice(0, at), name.slice(at)] : ['', name];
}
