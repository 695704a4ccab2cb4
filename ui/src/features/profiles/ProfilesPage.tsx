// The single profiles of a selection, newest first; each opens exactly.
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { useProfiles } from '../../api/queries';
import { CPU_SAMPLES, CPU_TIME, type ProfileRow } from '../../api/types';
import { NothingHere } from '../../components/NothingHere';
import { ScopeBar } from '../../components/ScopeBar';
import { ErrorPanel, Skeleton } from '../../components/States';
import { count, duration, plural, value } from '../../lib/format';
import { type Scope, scopeOnly } from '../../lib/scope';
import { isoLocal } from '../../lib/time';

/** Labels that have a column of their own. */
const HIDDEN = new Set(['service_name', '__name__']);
const TOTALS_SHOWN = 4;
const LABELS_SHOWN = 6;

export function ProfilesPage() {
  const search = useSearch({ from: '/profiles' });
  const go = useNavigate({ from: '/profiles' });
  const [pages, setPages] = useState<string[]>([]);
  const change = (next: Partial<Scope>): void => {
    setPages([]);
    void go({ search: (old) => ({ ...old, ...next }) });
  };
  const query = useProfiles(search, undefined, pages.at(-1));
  const rows = query.data?.profiles ?? [];
  return (
    <>
      <ScopeBar scope={search} change={change} />
      <main id="main" tabIndex={-1}>
        {query.error && !query.data ? (
          <ErrorPanel error={query.error} retry={() => void query.refetch()} />
        ) : !query.data ? (
          <div className="page">
            <Skeleton height={420} label="Loading profiles" />
          </div>
        ) : rows.length === 0 && pages.length === 0 ? (
          <NothingHere title="No profiles here" scope={search} change={change} />
        ) : (
          <div className={query.isPlaceholderData ? 'page stale' : 'page'}>
            <h1>Profiles</h1>
            <section className="card" aria-label="Profiles">
              <div className="svc-head">
                <span className="soft" aria-live="polite">
                  {plural(rows.length, 'profile')}, newest first
                  {pages.length > 0 && `, page ${count(pages.length + 1)}`}. Each is what one collector sent
                  for one process and window.
                </span>
              </div>
              <Table rows={rows} search={search} />
              <div className="svc-head">
                <button
                  type="button"
                  className="btn"
                  disabled={pages.length === 0}
                  onClick={() => setPages(pages.slice(0, -1))}
                >
                  Newer
                </button>
                <button
                  type="button"
                  className="btn"
                  disabled={!query.data.next_cursor}
                  onClick={() => setPages([...pages, query.data.next_cursor ?? ''])}
                >
                  Older
                </button>
              </div>
            </section>
          </div>
        )}
      </main>
    </>
  );
}

/** The profile's own window, its service and its most telling type. */
function linkTo(p: ProfileRow, search: Scope): never {
  const type = p.totals.find((t) => t.type === CPU_TIME) ?? p.totals[0];
  return {
    ...scopeOnly(search),
    svc: p.labels.service_name,
    from: String(p.start_ms - 1000),
    to: String(p.end_ms + 1000),
    profile: p.id,
    type: type?.type,
  } as never;
}

function Table({ rows, search }: { rows: ProfileRow[]; search: Scope }) {
  const go = useNavigate();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: scrolls sideways on narrow screens
    <section className="tablewrap" tabIndex={0} aria-label="Table of profiles">
      <table className="svc">
        <thead>
          <tr>
            <th>Start</th>
            <th>Service</th>
            <th className="num">Duration</th>
            <th className="num">Samples</th>
            <th>Measured</th>
            <th className="hide-narrow">Labels</th>
            <th className="hide-narrow">Client</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((p) => (
            <tr
              key={p.id}
              onClick={(e) => {
                if (!(e.target instanceof HTMLAnchorElement))
                  void go({ to: '/profiles/view', search: linkTo(p, search) });
              }}
            >
              <td className="name nowrap">
                <Link to="/profiles/view" search={linkTo(p, search)}>
                  {isoLocal(p.start_ms)}
                </Link>
              </td>
              <td>{p.labels.service_name ?? '–'}</td>
              <td className="num nowrap">{duration((p.end_ms - p.start_ms) * 1e6)}</td>
              <td className="num">{count(p.samples)}</td>
              <td>
                <Totals p={p} />
              </td>
              <td className="hide-narrow">
                <div className="chips">
                  {Object.entries(p.labels)
                    .filter(([k]) => !HIDDEN.has(k))
                    .slice(0, LABELS_SHOWN)
                    .map(([k, v]) => (
                      <span key={k} className="chip">
                        {k}={v}
                      </span>
                    ))}
                </div>
              </td>
              <td className="hide-narrow">{p.client ?? '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Sums by type; the number of CPU samples has its own column. */
function Totals({ p }: { p: ProfileRow }) {
  const totals = p.totals.length > 1 ? p.totals.filter((t) => t.type !== CPU_SAMPLES) : p.totals;
  return (
    <div className="chips">
      {totals.slice(0, TOTALS_SHOWN).map((t) => (
        <span key={t.type} className="chip" title={t.type}>
          {t.type.split(':')[1]?.replaceAll('_', ' ') ?? t.type} {value(t.value, t.unit)}
        </span>
      ))}
      {totals.length > TOTALS_SHOWN && (
        <span className="chip">{plural(totals.length - TOTALS_SHOWN, 'more type')}</span>
      )}
    </div>
  );
}
