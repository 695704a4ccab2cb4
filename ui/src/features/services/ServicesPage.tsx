// The first page: which services there are and where this fleet's CPU time goes.
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useRate, useServices } from '../../api/queries';
import type { ServicesAnswer } from '../../api/types';
import { ScopeBar } from '../../components/ScopeBar';
import { EmptyState, ErrorPanel, Skeleton } from '../../components/States';
import { compact, percent, plural } from '../../lib/format';
import { isLowered, loweredText, rateText, requestedHz } from '../../lib/rate';
import { DEFAULT_FROM, type OverviewSearch, type Scope, timeOnly } from '../../lib/scope';
import { stepFor } from '../../lib/time';
import { CpuByService } from './CpuByService';
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
            <CpuByService
              search={search}
              range={query.data.range}
              cpus={query.data.cpu_count}
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
  const measured = useRate(timeOnly(search), stepFor(data.range.to_ms - data.range.from_ms, 60));
  const s = data.services;
  const rate = measured && { ...measured, requested: requestedHz(s) };
  const cores = data.cpu_cores ?? 0;
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
          {rate && isLowered(rate) && `: a collector ${loweredText(rate)}`}
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
