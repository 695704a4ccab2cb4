// The first page: which services there are and where this fleet's CPU time goes.
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { useRate, useServices } from '../../api/queries';
import type { ServicesAnswer } from '../../api/types';
import { Chart, type ChartSeries } from '../../components/Chart';
import { ScopeBar } from '../../components/ScopeBar';
import { EmptyState, ErrorPanel, Skeleton } from '../../components/States';
import { compact, percent, plural } from '../../lib/format';
import { isLowered, rateText } from '../../lib/rate';
import { DEFAULT_FROM, type OverviewSearch, type Scope, timeOnly } from '../../lib/scope';
import { stepFor } from '../../lib/time';
import { Onboarding } from './Onboarding';
import { ServiceTable } from './ServiceTable';

export function ServicesPage() {
  const search = useSearch({ from: '/' });
  const go = useNavigate({ from: '/' });
  const change = (next: Partial<OverviewSearch>): void => {
    void go({ search: (old) => ({ ...old, ...next }) });
  };
  const query = useServices(search);
  return (
    <>
      <ScopeBar scope={search} change={change as (n: Partial<Scope>) => void} timeOnly />
      <main id="main" tabIndex={-1}>
        {query.error && !query.data ? (
          <ErrorPanel error={query.error} retry={() => void query.refetch()} />
        ) : !query.data ? (
          <div className="page">
            <h1>Services</h1>
            <Skeleton height={84} label="Loading services" />
            <Skeleton height={190} label="Loading chart" />
            <Skeleton height={320} label="Loading table" />
          </div>
        ) : query.data.services.length === 0 ? (
          search.from === DEFAULT_FROM || search.from === 'now-7d' ? (
            <Onboarding />
          ) : (
            <EmptyState
              title="No profiles in this time range"
              why="Nothing was received between these times. A wider range may have data."
            >
              <button
                type="button"
                className="btn primary"
                onClick={() => change({ from: 'now-7d', to: 'now' })}
              >
                Show the last 7 days
              </button>
            </EmptyState>
          )
        ) : (
          <div
            className={query.isPlaceholderData ? 'page stale' : 'page'}
            aria-busy={query.isPlaceholderData}
          >
            <h1>Services</h1>
            <Tiles data={query.data} search={search} />
            <Hero
              data={query.data}
              onSelect={(a, b) => change({ from: String(a), to: String(b), live: undefined })}
            />
            <ServiceTable data={query.data} search={search} change={change} />
          </div>
        )}
      </main>
    </>
  );
}

function Tiles({ data, search }: { data: ServicesAnswer; search: OverviewSearch }) {
  const rate = useRate(timeOnly(search), stepFor(data.range.to_ms - data.range.from_ms, 60));
  const s = data.services;
  const cores = s.reduce((sum, x) => sum + (x.cpu_cores ?? 0), 0);
  const samples = s.reduce((sum, x) => sum + x.samples, 0);
  const lost = s.reduce((sum, x) => sum + x.lost, 0);
  const broken = s.reduce((sum, x) => sum + x.broken, 0);
  const unnamed = s.reduce((sum, x) => sum + x.unsymbolized, 0);
  const instances = s.reduce((sum, x) => sum + x.instances, 0);
  const cpus = data.cpu_count;
  return (
    <div className="tiles">
      <div className="tile card">
        <div className="k">CPU in use, on average</div>
        <div className="v">
          {cores.toFixed(2)} <small>{cpus ? `of ${plural(cpus, 'CPU')}` : 'cores'}</small>
        </div>
        {cpus ? (
          <>
            <div className="meter">
              <i style={{ width: `${Math.min(100, (cores / cpus) * 100)}%` }} />
            </div>
            <div className="s">{percent(cores, cpus)} of host CPUs × time</div>
          </>
        ) : (
          <div className="s">CPU count not known</div>
        )}
      </div>
      <div className="tile card">
        <div className="k">Services</div>
        <div className="v">{compact(s.length)}</div>
        <div className="s">{plural(instances, 'instance')}</div>
      </div>
      <div className="tile card">
        <div className="k">Samples</div>
        <div className="v">{compact(samples)}</div>
        <div className={rate && isLowered(rate) ? 's warn' : 's'}>
          {rate ? `of CPU time, at ${rateText(rate)}` : 'in this time range'}
          {rate && isLowered(rate) && ': a collector lowered its rate'}
        </div>
      </div>
      <div className="tile card">
        <div className="k">Lost samples</div>
        <div className="v">{percent(lost, lost + samples)}</div>
        <div className="s">
          {compact(lost)} of {compact(lost + samples)} taken
        </div>
      </div>
      <div className="tile card">
        <div className="k">Incomplete stacks</div>
        <div className="v">{percent(broken, samples)}</div>
        <div className="s">of {compact(samples)} samples miss their callers</div>
      </div>
      <div className="tile card">
        <div className="k">Unnamed frames</div>
        <div className="v">
          {(unnamed / Math.max(1, samples)).toFixed(2)} <small>a sample</small>
        </div>
        <div className="s">no symbol was found</div>
      </div>
    </div>
  );
}

const TOP = 8;

function Hero({ data, onSelect }: { data: ServicesAnswer; onSelect: (a: number, b: number) => void }) {
  const { times, series } = useMemo(() => {
    const withSpark = data.services.filter((s) => s.spark.length > 0);
    const ranked = [...withSpark].sort((a, b) => (b.cpu_cores ?? 0) - (a.cpu_cores ?? 0));
    const n = Math.max(0, ...ranked.map((s) => s.spark.length));
    const { from_ms, to_ms } = data.range;
    const step = n > 0 ? (to_ms - from_ms) / n : 1;
    const list: ChartSeries[] = ranked.slice(0, TOP).map((s, i) => ({
      label: s.service,
      colour: `--chart-${i + 1}`,
      values: Array.from({ length: n }, (_, k) => s.spark[k] ?? 0),
    }));
    const rest = ranked.slice(TOP);
    if (rest.length > 0) {
      list.push({
        label: `${rest.length} more`,
        colour: '--chart-rest',
        values: Array.from({ length: n }, (_, k) => rest.reduce((sum, s) => sum + (s.spark[k] ?? 0), 0)),
      });
    }
    return { times: Array.from({ length: n }, (_, k) => from_ms + (k + 0.5) * step), series: list };
  }, [data]);
  if (times.length < 2) return null;
  const summary = `CPU cores used over time by service; highest on average: ${series
    .slice(0, 3)
    .map((s) => s.label)
    .join(', ')}. The table below has the figures.`;
  return (
    <section className="chartcard card" aria-label="CPU by service">
      <div className="head">
        <h2>CPU cores used, by service</h2>
        <ul className="legend">
          {series.map((s, i) => (
            <li key={s.label}>
              <i className={i < TOP ? `c${i + 1}` : 'cr'} />
              {s.label}
            </li>
          ))}
        </ul>
      </div>
      <Chart
        times={times}
        series={series}
        stacked
        height={168}
        format={cores}
        summary={summary}
        onSelect={onSelect}
      />
    </section>
  );
}

const cores = (v: number): string => (v >= 10 ? v.toFixed(0) : v >= 1 ? v.toFixed(1) : v.toFixed(2));
