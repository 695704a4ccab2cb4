// Serves ui/dist and made-up answers for every route the UI uses, with the real server's security headers.
// Only for tests: `VESTA_E2E_URL` points the same tests at the real server instead.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import {
  columnFromArray,
  dictionary,
  int64,
  tableFromColumns,
  tableToIPC,
  uint8,
  uint16,
  uint32,
  utf8,
} from '@uwdata/flechette';
import { detail, flame, meta, profiles, series, services, TYPES } from './data.mjs';

const DIST = new URL('../../dist/', import.meta.url).pathname;
/** Frames of a flame graph. */
const FRAMES = Number(process.env.VESTA_MOCK_FRAMES ?? 3000);
const MIME = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const CSP =
  "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'";

function time(text, now) {
  if (!text || text === 'now') return now;
  if (/^\d+$/.test(text)) return Number(text);
  const unit = { s: 1e3, m: 6e4, h: 36e5, d: 864e5 };
  const m = /^now-(\d+)([smhd])$/.exec(text);
  return m ? now - Number(m[1]) * unit[m[2]] : now;
}

function problem(res, status, title, detail, hint) {
  res.writeHead(status, { 'content-type': 'application/problem+json' });
  res.end(JSON.stringify({ type: 'about:blank', title, status, detail, hint, request_id: 'mock-1' }));
}

function json(res, body) {
  res.writeHead(200, { 'content-type': 'application/json' });
  res.end(JSON.stringify(body));
}

function arrow(c, m) {
  const text = (keys, values) =>
    columnFromArray(
      keys.map((k) => values[k]),
      dictionary(utf8(), uint32()),
    );
  const table = tableFromColumns({
    depth: columnFromArray(c.depth, uint16()),
    name: text(c.name, c.names),
    library: text(c.library, c.libraries),
    file: text(c.file, c.files),
    line: columnFromArray(c.line, uint32()),
    total: columnFromArray(
      c.total.map((v) => BigInt(v)),
      int64(),
    ),
    self: columnFromArray(
      c.self.map((v) => BigInt(v)),
      int64(),
    ),
    class: columnFromArray(
      c.class.map((k) => c.classes[k]),
      dictionary(utf8(), uint8()),
    ),
    flags: columnFromArray(c.flags, uint8()),
  });
  table.schema.metadata = new Map([['vesta', JSON.stringify(m)]]);
  return tableToIPC(table, { format: 'stream' });
}

function api(req, res, url) {
  const q = url.searchParams;
  const now = Date.now();
  const from = time(q.get('from'), now - 36e5);
  const to = time(q.get('to'), now);
  const path = url.pathname.slice('/api/v1'.length);
  const service = /service_name="((?:[^"\\]|\\.)*)"/.exec(q.get('match') ?? '')?.[1] ?? 'all';
  const type = TYPES.find((t) => t.id === q.get('type'));
  if (path === '/config') {
    return json(res, {
      version: '0.1.0',
      build: 'mock',
      retention_days: 7,
      auth: 'local',
      now_ms: now,
      note: null,
    });
  }
  if (path === '/services') return json(res, services(from, to));
  if (path === '/profile-types') return json(res, { types: TYPES });
  if (path === '/labels') return json(res, { labels: ['service_name', 'env', 'version', 'host', 'source'] });
  if (path.startsWith('/labels/')) {
    const name = path.split('/')[2];
    const values = {
      service_name: services(from, to).services.map((s) => s.service),
      env: ['prod', 'staging'],
      version: ['2.14.0', '2.14.1'],
      host: ['db-1', 'web-1', 'web-2'],
    }[name];
    return json(res, { values: (values ?? []).map((value, i) => ({ value, profiles: 900 - i * 70 })) });
  }
  if (path === '/series') return json(res, series(q, service, from, to));
  if (path.startsWith('/profiles/')) return json(res, detail(decodeURIComponent(path.slice(10)), to));
  if (path === '/profiles') {
    return json(res, { profiles: profiles(service, to), next_cursor: null });
  }
  if (path === '/flamegraph' || path === '/top') {
    if (!type) {
      return problem(
        res,
        400,
        'Unknown profile type',
        `"${q.get('type')}" is not a profile type.`,
        'List them with GET /api/v1/profile-types.',
      );
    }
    const c = flame(service, type.unit, Math.min(FRAMES, Number(q.get('max_nodes') ?? FRAMES)));
    const m = meta(type, c, from, to);
    if (path === '/top') return json(res, { meta: m, functions: [] });
    if (!(req.headers.accept ?? '').includes('arrow')) return json(res, { meta: m, ...c });
    res.writeHead(200, { 'content-type': 'application/vnd.apache.arrow.stream' });
    return res.end(Buffer.from(arrow(c, m)));
  }
  return problem(res, 404, 'No such route', url.pathname, 'See /api/v1/openapi.json.');
}

const server = createServer(async (req, res) => {
  res.setHeader('content-security-policy', CSP);
  res.setHeader('x-content-type-options', 'nosniff');
  try {
    const url = new URL(req.url ?? '/', 'http://mock');
    if (url.pathname.startsWith('/api/')) return api(req, res, url);
    let file = normalize(url.pathname).replace(/^\/+/, '');
    if (extname(file) === '') file = 'index.html';
    const body = await readFile(join(DIST, file));
    res.writeHead(200, { 'content-type': MIME[extname(file)] ?? 'application/octet-stream' });
    res.end(body);
  } catch (e) {
    problem(res, e?.code === 'ENOENT' ? 404 : 500, 'Not served', String(e));
  }
});
server.listen(Number(process.env.PORT ?? 4173), '127.0.0.1');
