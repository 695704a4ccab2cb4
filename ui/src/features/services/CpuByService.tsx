// CPU cores in use over time, the largest services stacked. Samples count at their own time.
import { useMemo } from 'react';
import { ApiError } from '../../api/client';
import { useSeries } from '../../api/queries';
import { CPU_TIME, type TimeRange } from '../../api/types';
import { Chart, type ChartSeries } from '../../components/Chart';
import { Skeleton } from '../../components/States';
import { plural } from '../../lib/format';
import { type OverviewSearch, timeOnly } from '../../lib/scope';
import { type Shape, shapeOf } from '../../lib/series';
import { stepFor } from '../../lib/time';

const TOP = 8;
const POINTS = 120;
const HEIGHT_PX = 168;

export function CpuByService(props: {
  search: OverviewSearch;
  range: TimeRange;
  cpus: number | null;
  onSelect: (from: number, to: number) => void;
}) {
  const { from_ms, to_ms } = props.range;
  const query = useSeries(timeOnly(props.search), CPU_TIME, stepFor(to_ms - from_ms, POINTS), 'service_name');
  const range = useMemo(() => ({ from_ms, to_ms }), [from_ms, to_ms]);
  const shape = useMemo(() => (query.data ? shapeOf(query.data, range) : null), [query.data, range]);
  const series = useMemo(() => (shape ? stackOf(shape) : []), [shape]);
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
        <span className="faint hint">
          {props.cpus ? `of ${plural(props.cpus, 'CPU')}; ` : ''}drag to select a range
        </span>
      </div>
      {query.error && !query.data ? (
        <p className="soft">
          No chart: {query.error instanceof ApiError ? query.error.problem.title : 'the series failed'}.{' '}
          <button type="button" className="btn" onClick={() => void query.refetch()}>
            Retry
          </button>
        </p>
      ) : !shape ? (
        <Skeleton height={HEIGHT_PX} label="Loading chart" />
      ) : shape.times.length < 2 ? (
        <p className="faint">Too little CPU time for a chart over time yet.</p>
      ) : (
        <Chart
          times={shape.times}
          range={range}
          series={series}
          stacked
          height={HEIGHT_PX}
          format={cores}
          summary={`CPU cores used over time by service; highest: ${series
            .slice(0, 3)
            .map((s) => s.label)
            .join(', ')}. The table below has the figures.`}
          onSelect={props.onSelect}
        />
      )}
    </section>
  );
}

/** The largest, and the sum of all others. The server sends the largest first. */
function stackOf(shape: Shape): ChartSeries[] {
  const list: ChartSeries[] = shape.rows
    .slice(0, TOP)
    .map((r, i) => ({ label: r.label, colour: `--chart-${i + 1}`, values: r.values }));
  const rest = shape.rows.slice(TOP);
  if (rest.length > 0) {
    const values = shape.times.map((_, k) => rest.reduce((sum, r) => sum + (r.values[k] ?? 0), 0));
    list.push({ label: `${rest.length} more`, colour: '--chart-rest', values });
  }
  return list;
}

const cores = (v: number): string => (v >= 10 ? v.toFixed(0) : v >= 1 ? v.toFixed(1) : v.toFixed(2));
