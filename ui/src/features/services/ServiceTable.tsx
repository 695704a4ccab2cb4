// One row per service; sortable, filterable, each opens its flame graph.
import { Link, useNavigate } from '@tanstack/react-router';
import { useMemo } from 'react';
import type { ServiceRow, ServicesAnswer } from '../../api/types';
import { compact, count, percent, plural } from '../../lib/format';
import { isLowered, loweredText, rateText, statedRate } from '../../lib/rate';
import { type OverviewSearch, scopeOnly } from '../../lib/scope';
import { ago, isoLocal } from '../../lib/time';

interface Col {
  id: string;
  title: string;
  num?: boolean;
  narrow?: boolean;
  key: (s: ServiceRow) => number | string;
}

const COLS: Col[] = [
  { id: 'name', title: 'Service', key: (s) => s.service.toLowerCase() },
  { id: 'runtime', title: 'Runtime', narrow: true, key: (s) => s.runtimes.join() },
  { id: 'cpu', title: 'CPU cores', num: true, key: (s) => s.cpu_cores ?? -1 },
  { id: 'inst', title: 'Instances / hosts', num: true, narrow: true, key: (s) => s.instances },
  { id: 'samples', title: 'Samples', num: true, key: (s) => s.samples },
  {
    id: 'quality',
    title: 'Quality',
    narrow: true,
    key: (s) => s.notes.length + (s.lost + s.broken + s.unsymbolized) / Math.max(1, s.samples),
  },
  { id: 'seen', title: 'Last seen', key: (s) => s.last_ms },
];

export function ServiceTable(props: {
  data: ServicesAnswer;
  search: OverviewSearch;
  change: (next: Partial<OverviewSearch>) => void;
}) {
  const { data, search, change } = props;
  const desc = search.sort.startsWith('-');
  const by = COLS.find((c) => c.id === search.sort.replace('-', '')) ?? COLS[2];
  const rows = useMemo(() => {
    const q = search.q.toLowerCase();
    const list = data.services.filter((s) =>
      [s.service, ...s.runtimes, ...s.sources].some((t) => t.toLowerCase().includes(q)),
    );
    const sign = desc ? -1 : 1;
    return list.sort((a, b) => {
      const [x, y] = [by.key(a), by.key(b)];
      return (x < y ? -sign : x > y ? sign : 0) || (a.service < b.service ? -1 : 1);
    });
  }, [data, search.q, by, desc]);
  const most = Math.max(0.000001, ...data.services.map((s) => s.cpu_cores ?? 0));
  return (
    <section className="card" aria-label="Services">
      <div className="svc-head">
        <input
          className="field"
          type="search"
          placeholder="Filter by service, runtime or source"
          aria-label="Filter services"
          value={search.q}
          onChange={(e) => change({ q: e.target.value })}
        />
        <span className="soft" aria-live="polite">
          {rows.length === data.services.length
            ? plural(rows.length, 'service')
            : `${count(rows.length)} of ${plural(data.services.length, 'service')}`}
        </span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: scrolls sideways on narrow screens */}
      <section className="tablewrap" tabIndex={0} aria-label="Table of services">
        <table className="svc">
          <thead>
            <tr>
              {COLS.map((c) => (
                <th
                  key={c.id}
                  className={`${c.num ? 'num' : ''} ${c.narrow ? 'hide-narrow' : ''}`}
                  aria-sort={c.id === by.id ? (desc ? 'descending' : 'ascending') : 'none'}
                >
                  <button
                    type="button"
                    onClick={() =>
                      change({
                        sort: c.id === by.id ? (desc ? c.id : `-${c.id}`) : c.num ? `-${c.id}` : c.id,
                      })
                    }
                  >
                    {c.title}
                    {c.id === by.id ? (desc ? ' ↓' : ' ↑') : ''}
                  </button>
                </th>
              ))}
              <th>CPU over time</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((s) => (
              <Row
                key={s.service}
                s={s}
                most={most}
                cpus={data.cpu_count}
                search={search}
                now={data.range.to_ms}
              />
            ))}
          </tbody>
        </table>
      </section>
      {rows.length === 0 && (
        <p className="svc-head soft">
          No service matches “{search.q}”.
          <button type="button" className="btn" onClick={() => change({ q: '' })}>
            Clear the filter
          </button>
        </p>
      )}
    </section>
  );
}

function Row(props: {
  s: ServiceRow;
  most: number;
  cpus: number | null;
  search: OverviewSearch;
  now: number;
}) {
  const { s, search } = props;
  const go = useNavigate();
  const target = { ...scopeOnly(search), svc: s.service } as never;
  return (
    // The link in the first cell is the keyboard's way; the whole row is a larger target for the mouse.
    <tr
      onClick={(e) => {
        if (!(e.target instanceof HTMLAnchorElement)) void go({ to: '/profiles/view', search: target });
      }}
    >
      <td className="name">
        <Link to="/profiles/view" search={target}>
          {s.service}
        </Link>
        <small>
          {s.name_source ? `named by ${s.name_source}` : 'source of the name unknown'}
          {s.sources.length > 0 && ` · ${s.sources.join(', ')}`}
        </small>
      </td>
      <td className="hide-narrow">
        <div className="chips">
          {s.runtimes.map((r) => (
            <span key={r} className="chip">
              {r}
            </span>
          ))}
        </div>
      </td>
      <td className="num cpu">
        {s.cpu_cores === null ? (
          <span className="faint">{s.types.length === 0 ? 'only traces' : 'no CPU profile'}</span>
        ) : (
          <strong>{coreText(s.cpu_cores)}</strong>
        )}
        {s.cpu_share !== null && <small className="faint"> · {percent(s.cpu_share, 1)} of host</small>}
        <div className="meter">
          <i style={{ width: `${((s.cpu_cores ?? 0) / props.most) * 100}%` }} />
        </div>
      </td>
      <td className="num hide-narrow">
        {count(s.instances)} / {count(s.hosts)}
      </td>
      <td className="num">
        {compact(s.samples)}
        {s.sampling && <small className="faint rate"> at {rateText(statedRate(s.sampling))}</small>}
      </td>
      <td className="hide-narrow">
        <QualityChips s={s} />
      </td>
      <td title={isoLocal(s.last_ms)}>{ago(s.last_ms, Date.now())}</td>
      <td>
        <Spark values={s.spark} />
      </td>
    </tr>
  );
}

function coreText(v: number): string {
  return v >= 10 ? v.toFixed(1) : v >= 0.01 ? v.toFixed(2) : v > 0 ? '<0.01' : '0';
}

const NOTE = 'A remark of the collector';

/** Unnamed frames in a stack, on average. */
const UNNAMED_WORTH_SAYING = 0.5;

function QualityChips({ s }: { s: ServiceRow }) {
  const items: { text: string; title: string }[] = s.notes.map((note) => ({ text: note, title: NOTE }));
  const share = (v: number): number => v / Math.max(1, s.samples);
  if (share(s.lost) > 0.001) {
    items.push({ text: `${percent(s.lost, s.lost + s.samples)} lost`, title: 'Of the samples taken' });
  }
  if (share(s.broken) > 0.01) {
    const text = `${percent(s.broken, s.samples)} incomplete`;
    items.push({ text, title: 'Samples whose stack does not reach its root, of all samples' });
  }
  if (s.sampling && isLowered(statedRate(s.sampling))) {
    const title = 'To stay within its CPU budget; shares stay right, small ones get less certain';
    items.push({ text: loweredText(statedRate(s.sampling)), title });
  }
  // Frames, not samples: a stack may have several, so this is no percentage.
  if (share(s.unsymbolized) >= UNNAMED_WORTH_SAYING) {
    const text = `${share(s.unsymbolized).toFixed(1)} unnamed frames a sample`;
    items.push({ text, title: 'Addresses for which no symbol was found; debug symbols would name them' });
  }
  if (items.length === 0) return <span className="faint">good</span>;
  return (
    <div className="chips">
      {items.map((t) => (
        <span key={t.text} className="chip warn" title={t.title}>
          {t.text}
        </span>
      ))}
    </div>
  );
}

function Spark({ values }: { values: number[] }) {
  if (values.length < 2) return <span className="faint">–</span>;
  const max = Math.max(...values, 1e-9);
  const pts = values.map(
    (v, i) => `${((i / (values.length - 1)) * 100).toFixed(2)},${(29 - (v / max) * 27).toFixed(2)}`,
  );
  return (
    <svg
      className="spark"
      viewBox="0 0 100 30"
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      <path className="area" d={`M0,30 L${pts.join(' L')} L100,30 Z`} />
      <path className="line" d={`M${pts.join(' L')}`} />
    </svg>
  );
}
