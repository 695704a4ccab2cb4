// The single profiles of a selection, newest first; each opens exactly.
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { useProfiles } from '../../api/queries';
import { ScopeBar } from '../../components/ScopeBar';
import { EmptyState, ErrorPanel, Skeleton } from '../../components/States';
import { compact, duration, value } from '../../lib/format';
import { type Scope, scopeOnly } from '../../lib/scope';
import { isoLocal } from '../../lib/time';

const HIDDEN = new Set(['service_name', 'source', '__name__']);

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
        ) : rows.length === 0 ? (
          <EmptyState title="No profiles here" why="No profile with these filters lies in this time range.">
            <button
              type="button"
              className="btn primary"
              onClick={() => change({ from: 'now-7d', to: 'now' })}
            >
              Last 7 days
            </button>
          </EmptyState>
        ) : (
          <div className={query.isPlaceholderData ? 'page stale' : 'page'}>
            <h1>Profiles</h1>
            <section className="card" aria-label="Profiles">
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: scrolls sideways on narrow screens */}
              <section className="tablewrap" tabIndex={0} aria-label="Table of profiles">
                <table className="svc">
                  <thead>
                    <tr>
                      <th>Start</th>
                      <th>Service</th>
                      <th className="num">Duration</th>
                      <th className="num">Samples</th>
                      <th>Totals</th>
                      <th className="hide-narrow">Labels</th>
                      <th className="hide-narrow">Client</th>
                    </tr>
                  </thead>
                  <tbody>
                    {rows.map((p) => (
                      <tr key={p.id}>
                        <td className="name">
                          <Link
                            to="/profiles/view"
                            search={
                              {
                                ...scopeOnly(search),
                                svc: p.labels.service_name,
                                from: String(p.start_ms - 1000),
                                to: String(p.end_ms + 1000),
                                profile: p.id,
                                type: p.totals[0]?.type,
                              } as never
                            }
                          >
                            {isoLocal(p.start_ms)}
                          </Link>
                        </td>
                        <td>{p.labels.service_name ?? '–'}</td>
                        <td className="num">{duration((p.end_ms - p.start_ms) * 1e6)}</td>
                        <td className="num">{compact(p.samples)}</td>
                        <td>
                          <div className="chips">
                            {p.totals.slice(0, 4).map((t) => (
                              <span key={t.type} className="chip" title={t.type}>
                                {t.type.split(':')[1]} {value(t.value, t.unit)}
                              </span>
                            ))}
                          </div>
                        </td>
                        <td className="hide-narrow">
                          <div className="chips">
                            {Object.entries(p.labels)
                              .filter(([k]) => !HIDDEN.has(k))
                              .slice(0, 6)
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
