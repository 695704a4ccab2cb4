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

/** A name in three: where the function lies, the function, and its parameters, which may be cut off. */
export function nameParts(name: string): [string, string, string] {
  const forms = labelForms(name);
  if (forms.length === 1) return ['', name, ''];
  const last = forms[forms.length - 1];
  const called = name.indexOf(`${last}(`);
  const at = called >= 0 ? called : name.lastIndexOf(last);
  if (at < 0) return ['', name, ''];
  return [name.slice(0, at), last, name.slice(at + last.length)];
}
