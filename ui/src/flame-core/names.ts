// What a function's name says: whose code it is, and shorter forms of it for narrow boxes.
// Names come from outside: every step is linear in their length, and long ones are left alone.
import { FLAG_UNSYMBOLISED, type FlameTree } from './tree';

/** Longer names are neither parsed nor shortened by their parts. */
const PARSED_LIMIT_CHARS = 2_048;

/** Suffixes compilers add to a function they split, cloned or moved; numbers may follow. */
const CLONES = new Set(['isra', 'part', 'constprop', 'cold', 'llvm', 'lto_priv', 'localalias', 'warm']);
const RUST_HASH = /^h[0-9a-f]{16}$/;

/** `run.constprop.0.cold` is `run`. */
function withoutClones(text: string): string {
  let end = text.length;
  let keep = end;
  for (;;) {
    const dot = text.lastIndexOf('.', end - 1);
    if (dot <= 0) break;
    const part = text.slice(dot + 1, end);
    if (CLONES.has(part)) keep = dot;
    else if (!/^\d+$/.test(part)) break;
    end = dot;
  }
  return text.slice(0, keep);
}

/** Drops what stands in angle brackets, an arrow's `>` apart. */
function withoutGenerics(text: string): string {
  if (!text.includes('<') || /operator\s*[<>=-]/.test(text)) return text;
  let out = '';
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '<') depth++;
    else if (c === '>' && text[i - 1] !== '-') depth = Math.max(0, depth - 1);
    else if (depth === 0) out += c;
  }
  return out;
}

/** `<A as B>::c` says who implements it: `A::c`. */
function withoutTrait(text: string): string {
  if (text[0] !== '<') return text;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '<') depth++;
    else if (text[i] === '>' && text[i - 1] !== '-' && --depth === 0) {
      const inner = withoutGenerics(text.slice(1, i));
      const as = inner.indexOf(' as ');
      const type = (as < 0 ? inner : inner.slice(0, as)).replace(/^(?:&|\*|mut |const |dyn )+/, '');
      return type + text.slice(i + 1);
    }
  }
  return text;
}

/** Drops the parameters at the end of a C++ or Java name. */
function withoutParameters(text: string): string {
  const body = text.replace(/(?: const| \[[^\]]*\])+$/, '');
  if (!body.endsWith(')')) return text;
  let depth = 0;
  for (let i = body.length - 1; i > 0; i--) {
    if (body[i] === ')') depth++;
    else if (body[i] === '(' && --depth === 0) return body.slice(0, i);
  }
  return text;
}

/** A name without the parts that say nothing of whose it is. */
function plain(name: string): string {
  const at = name.indexOf('@');
  const base = withoutClones(at > 0 ? name.slice(0, at) : name);
  const text = withoutGenerics(withoutParameters(withoutTrait(base)));
  // C++ may begin with the returned type.
  const typed = text.includes('::') && text[0] !== '(';
  const space = typed ? text.lastIndexOf(' ', text.indexOf('::')) : -1;
  return (space > 0 ? text.slice(space + 1) : text).trim();
}

/** The part of a name that says whose code it is: crate, namespace, package or module. */
export function packageOf(name: string): string {
  if (name.length > PARSED_LIMIT_CHARS) return '';
  const text = plain(name);
  const colons = text.indexOf('::');
  if (colons > 0) return text[0] === '(' || text[0] === '[' ? '' : text.slice(0, colons);
  const slash = text.lastIndexOf('/');
  if (text.includes(' ') || text[0] === '[' || text[0] === '/') return '';
  if (slash >= 0) {
    const dot = text.indexOf('.', slash);
    return dot > 0 ? text.slice(0, dot) : '';
  }
  const parts = text.split('.');
  if (parts.length < 2 || parts[0] === '') return '';
  // Java: the package ends where the first class begins.
  const type = parts.findIndex((p) => /^[A-Z]/.test(p));
  return type > 0 ? parts.slice(0, type).join('.') : parts[0];
}

/** A name, then shorter forms of it: type and function, function alone. */
export function labelForms(name: string): string[] {
  if (name.length > PARSED_LIMIT_CHARS) return [name];
  const text = plain(name);
  const byColons = text.includes('::');
  const body = byColons ? text : text.slice(text.lastIndexOf('/') + 1);
  const joint = byColons ? '::' : '.';
  const parts = body.split(joint).filter((p) => p !== '' && !RUST_HASH.test(p));
  const forms = [name];
  const add = (form: string): void => {
    if (form !== '' && form.length < forms[forms.length - 1].length) forms.push(form);
  };
  if (text.includes(' ') && !byColons) return forms;
  add(parts.join(joint));
  if (parts.length > 2) add(parts.slice(-2).join(joint));
  // A closure alone says nothing: it keeps the function it stands in.
  if (parts.length > 1 && !/^\{|^func\d+$|^\d/.test(parts[parts.length - 1])) add(parts[parts.length - 1]);
  return forms;
}

/** A frame's name for people: an address alone says little, so its library stands before it. */
export function frameName(t: FlameTree, i: number): string {
  const name = t.names[t.name[i]];
  const library = t.libraries[t.library[i]];
  if (!(t.flags[i] & FLAG_UNSYMBOLISED) || library === '') return name;
  return `${library.slice(library.lastIndexOf('/') + 1) || library} ${name}`;
}

/** Cut to `max` characters: what is left of a name after its package begins with what matters. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  return max < 2 ? text.slice(0, Math.max(0, max)) : `${text.slice(0, max - 1)}…`;
}

/** The longest form that fits into `max` characters, else the shortest one, cut. */
export function fitting(forms: string[], max: number): string {
  return forms.find((f) => f.length <= max) ?? cut(forms[forms.length - 1], max);
}
