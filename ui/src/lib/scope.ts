// The URL is the state: what the search parameters mean, their defaults and their validation.
// Defaults are left out of the URL, unknown parameters are ignored, invalid values fall back.
import { CPU_TIME } from '../api/types';
import type { ColorMode } from '../flame-core/palette';
import { resolveTime } from './time';

export interface Scope {
  from: string;
  to: string;
  svc?: string;
  env: string[];
  ver: string[];
  role: string[];
  host: string[];
  src?: string;
  /** Seconds between refreshes; absent: not live. */
  live?: number;
}

export type ViewMode = 'flame' | 'table' | 'both';

export interface ProfileSearch extends Scope {
  type: string;
  view: ViewMode;
  hl: string;
  hlm: 'lit' | 're';
  /** Path id of the focused frame. */
  root?: string;
  /** Selected functions, by name. */
  fn: string[];
  color: ColorMode;
  /** Frames that are not of your code are dimmed. */
  own?: '1';
  sort: string;
  /** Node budget asked from the server. */
  nodes: number;
  /** One profile instead of the merge of all. */
  profile?: string;
}

export interface OverviewSearch extends Scope {
  q: string;
  sort: string;
}

/** Filters of the scope bar: URL parameter → label. */
export const FILTERS = [
  { key: 'env', label: 'env', title: 'Env' },
  { key: 'ver', label: 'version', title: 'Version' },
  { key: 'role', label: 'role', title: 'Role' },
  { key: 'host', label: 'host', title: 'Host' },
] as const;

export const DEFAULT_FROM = 'now-1h';
const DEFAULT_NODES = 100_000;
export const MOST_NODES = 500_000;
export const LIVE_SECONDS = [5, 15, 60];

type Raw = Record<string, unknown>;

function one(raw: Raw, key: string): string | undefined {
  const v = raw[key];
  const text = Array.isArray(v) ? v[0] : v;
  // Pages hand over numbers where an address has text.
  if (typeof text === 'number') return String(text);
  return typeof text === 'string' && text !== '' ? text : undefined;
}

function many(raw: Raw, key: string): string[] {
  const v = raw[key];
  const list = Array.isArray(v) ? v : v === undefined ? [] : [v];
  return [...new Set(list.filter((x): x is string => typeof x === 'string' && x !== ''))].slice(0, 100);
}

function pick<T extends string>(raw: Raw, key: string, allowed: readonly T[], fallback: T): T {
  const v = one(raw, key);
  return allowed.includes(v as T) ? (v as T) : fallback;
}

export function validateScope(raw: Raw): Scope {
  const now = Date.now();
  let from = one(raw, 'from') ?? DEFAULT_FROM;
  let to = one(raw, 'to') ?? 'now';
  const a = resolveTime(from, now);
  const b = resolveTime(to, now);
  if (a === null || b === null || a >= b) {
    from = DEFAULT_FROM;
    to = 'now';
  }
  const live = Number(one(raw, 'live'));
  return {
    from,
    to,
    svc: one(raw, 'svc'),
    env: many(raw, 'env'),
    ver: many(raw, 'ver'),
    role: many(raw, 'role'),
    host: many(raw, 'host'),
    src: one(raw, 'src'),
    live: LIVE_SECONDS.includes(live) && to === 'now' ? live : undefined,
  };
}

export function validateProfile(raw: Raw): ProfileSearch {
  const nodes = Number(one(raw, 'nodes'));
  return {
    ...validateScope(raw),
    type: one(raw, 'type') ?? CPU_TIME,
    view: pick(raw, 'view', ['flame', 'table', 'both'], 'both'),
    hl: one(raw, 'hl') ?? '',
    hlm: pick(raw, 'hlm', ['lit', 're'], 'lit'),
    root: one(raw, 'root'),
    fn: many(raw, 'fn'),
    color: pick(raw, 'color', ['pkg', 'lib', 'self', 'class'], 'pkg'),
    own: one(raw, 'own') === '1' ? '1' : undefined,
    sort: one(raw, 'sort') ?? '-self',
    nodes: nodes >= 100 && nodes <= MOST_NODES ? Math.round(nodes) : DEFAULT_NODES,
    profile: one(raw, 'profile'),
  };
}

/** What decides which data is shown: the search without what only says how it is looked at. */
export function questionOf(s: ProfileSearch): ProfileSearch {
  return { ...s, ...LOOK };
}

const LOOK: Pick<ProfileSearch, 'view' | 'hl' | 'hlm' | 'root' | 'fn' | 'color' | 'own' | 'sort'> = {
  view: 'both',
  hl: '',
  hlm: 'lit',
  root: undefined,
  fn: [],
  color: 'pkg',
  own: undefined,
  sort: '-self',
};

export function validateOverview(raw: Raw): OverviewSearch {
  return { ...validateScope(raw), q: one(raw, 'q') ?? '', sort: one(raw, 'sort') ?? '-cpu' };
}

const DEFAULTS: Raw = {
  from: DEFAULT_FROM,
  to: 'now',
  type: CPU_TIME,
  view: 'both',
  hlm: 'lit',
  color: 'pkg',
  nodes: DEFAULT_NODES,
};

/** Search parameters → text. Lists become repeated keys; defaults and empty values are left out. */
export function stringifySearch(search: Raw): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(search)) {
    if (v === undefined || v === null || v === '' || DEFAULTS[k] === v) continue;
    if (k === 'sort' && (v === '-self' || v === '-cpu')) continue;
    if (Array.isArray(v)) for (const item of v) q.append(k, String(item));
    else q.set(k, String(v));
  }
  const text = q.toString().replaceAll('%3A', ':').replaceAll('%2F', '/').replaceAll('%2C', ',');
  return text ? `?${text}` : '';
}

export function parseSearch(text: string): Raw {
  const out: Raw = {};
  for (const [k, v] of new URLSearchParams(text)) {
    const had = out[k];
    out[k] = had === undefined ? v : Array.isArray(had) ? [...had, v] : [had, v];
  }
  return out;
}

/** The same time for everything: what the overview asks for. */
export function timeOnly(s: Scope): Scope {
  return { from: s.from, to: s.to, live: s.live, env: [], ver: [], role: [], host: [] };
}

/** What moves with the user from one page to another. */
export function scopeOnly(s: Scope): Partial<Scope> {
  return {
    from: s.from,
    to: s.to,
    svc: s.svc,
    env: s.env,
    ver: s.ver,
    role: s.role,
    host: s.host,
    src: s.src,
    live: s.live,
  };
}

function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

const escapeRegex = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** A label's name as selectors have it: in quotes where it has other characters. */
function labelName(name: string): string {
  return /^[\p{Alphabetic}\p{N}_./-]+$/u.test(name) ? name : quote(name);
}

/** A condition of a selector: that a label has one of these values. */
export function condition(label: string, values: string[]): string {
  const name = labelName(label);
  if (values.length === 1) return `${name}=${quote(values[0])}`;
  return `${name}=~${quote(values.map(escapeRegex).join('|'))}`;
}

/** The selector string the API takes, such as `{service_name="checkout",env=~"prod|stg"}`. */
export function matchOf(s: Scope): string {
  const parts: string[] = [];
  if (s.svc) parts.push(condition('service_name', [s.svc]));
  for (const f of FILTERS) if (s[f.key].length > 0) parts.push(condition(f.label, s[f.key]));
  return parts.length > 0 ? `{${parts.join(',')}}` : '';
}
