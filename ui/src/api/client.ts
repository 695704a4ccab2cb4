// HTTP to our own server: JSON, Arrow, and problem+json turned into one error type.

import { loadFlame } from '../flame-core/load';
import { type FlameColumns, type FlameTree, layout } from '../flame-core/tree';
import type { FlameMeta } from './types';

/** RFC 9457 members the server sends with every failure. */
export interface Problem {
  title: string;
  status: number;
  detail?: string;
  hint?: string;
  request_id?: string;
}

export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    readonly url: string,
  ) {
    super(problem.title);
  }
}

const TOKEN_KEY = 'vesta.token';
/** Answers that take longer than this are given up, so that the page never waits for ever. */
const TIMEOUT_MS = 120_000;

export function setToken(token: string): void {
  try {
    sessionStorage.setItem(TOKEN_KEY, token);
  } catch {
    // Without storage the token lasts until the page is left.
  }
  memoryToken = token;
}
let memoryToken = '';
function token(): string {
  if (memoryToken) return memoryToken;
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? '';
  } catch {
    return '';
  }
}

export type Params = Record<string, string | number | undefined | null>;

function apiUrl(path: string, params: Params = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params))
    if (v !== undefined && v !== null && v !== '') q.set(k, String(v));
  const text = q.toString();
  return `${new URL(`api/v1${path}`, document.baseURI).pathname}${text ? `?${text}` : ''}`;
}

interface Asked {
  method?: 'GET' | 'DELETE';
  /** Names the question while it is being answered. */
  id?: string;
}

async function request(
  url: string,
  accept: string,
  signal?: AbortSignal,
  asked: Asked = {},
): Promise<Response> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const headers: Record<string, string> = { accept };
  const t = token();
  if (t) headers.authorization = `Bearer ${t}`;
  if (asked.id) headers['x-query-id'] = asked.id;
  let response: Response;
  try {
    const ended = signal ? AbortSignal.any([signal, limit]) : limit;
    response = await fetch(url, { method: asked.method ?? 'GET', headers, signal: ended });
  } catch (e) {
    if (signal?.aborted) throw e;
    const detail = limit.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : 'the connection failed';
    throw new ApiError({ title: 'The server cannot be reached', status: 0, detail, hint: HINT_DOWN }, url);
  }
  if (!response.ok) throw new ApiError(await problemOf(response), url);
  return response;
}

const HINT_DOWN = 'Check that `vesta serve` is running and that this page was opened from it.';

async function problemOf(r: Response): Promise<Problem> {
  const request_id = r.headers.get('x-request-id') ?? undefined;
  const fallback: Problem = {
    title: `The server answered ${r.status}`,
    status: r.status,
    detail: r.statusText,
    request_id,
  };
  try {
    const body: unknown = await r.json();
    if (typeof body !== 'object' || body === null) return fallback;
    const b = body as Record<string, unknown>;
    const text = (k: string): string | undefined => (typeof b[k] === 'string' ? (b[k] as string) : undefined);
    return {
      title: text('title') ?? fallback.title,
      status: r.status,
      detail: text('detail'),
      hint: text('hint'),
      request_id: text('request_id') ?? request_id,
    };
  } catch {
    return fallback;
  }
}

export async function getJson<T>(path: string, params: Params, signal?: AbortSignal): Promise<T> {
  const r = await request(apiUrl(path, params), 'application/json', signal);
  return (await r.json()) as T;
}

export interface Flame {
  tree: FlameTree;
  meta: FlameMeta;
}

let flameId = '';
/** The id of the flame graph that was asked for last. */
export function runningFlame(): string {
  return flameId;
}

/** Ends a question that is being answered; who waits for it is told so. */
export async function cancelQuery(id: string): Promise<void> {
  try {
    await request(apiUrl(`/queries/${encodeURIComponent(id)}`), 'application/json', undefined, {
      method: 'DELETE',
    });
  } catch {
    // It has ended by itself.
  }
}

/** Hands an answer to the browser as a file. */
export async function download(path: string, params: Params, name: string): Promise<void> {
  // Not a plain link: the token is in no cookie.
  const r = await request(apiUrl(path, params), '*/*');
  const url = URL.createObjectURL(await r.blob());
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun to save it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const ARROW = 'application/vnd.apache.arrow.stream';

/** Fetches a flame graph as Arrow; an answer in JSON is understood as well. */
export async function getFlame(params: Params, signal?: AbortSignal): Promise<Flame> {
  const url = apiUrl('/flamegraph', params);
  const id = `page-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;
  flameId = id;
  const r = await request(url, `${ARROW}, application/json;q=0.5`, signal, { id });
  try {
    if (r.headers.get('content-type')?.includes('json')) {
      const body = (await r.json()) as FlameColumns & { meta: FlameMeta };
      return { tree: layout(body), meta: completeMeta(body.meta) };
    }
    const { tree, meta } = await loadFlame(await r.arrayBuffer());
    return { tree, meta: completeMeta(meta) };
  } catch (e) {
    if (signal?.aborted || e instanceof ApiError) throw e;
    const detail = e instanceof Error ? e.message : String(e);
    throw new ApiError({ title: 'The flame graph could not be read', status: r.status, detail }, url);
  }
}

/** Fills what an older or newer server leaves out. */
function completeMeta(raw: unknown): FlameMeta {
  const m = (typeof raw === 'object' && raw !== null ? raw : {}) as Partial<FlameMeta>;
  const unit = m.unit ?? m.type?.unit ?? 'count';
  return {
    type: m.type ?? {
      id: '',
      name: 'Profile',
      kind: '',
      measure: '',
      unit,
      aggregation: 'sum',
      description: '',
    },
    unit,
    total: m.total ?? 0,
    trimmed: m.trimmed ?? 0,
    nodes: m.nodes ?? 0,
    profiles: m.profiles ?? 0,
    samples: m.samples ?? m.quality?.samples ?? 0,
    series: m.series ?? 0,
    sources: m.sources ?? [],
    quality: { lost: 0, broken: 0, unsymbolized: 0, samples: m.samples ?? 0, ...m.quality },
    range: m.range ?? { from_ms: 0, to_ms: 0 },
    ...(m.rollups && { rollups: m.rollups }),
  };
}
