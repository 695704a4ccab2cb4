// The selection over time; dragging over it narrows the range.
import { useMemo } from 'react';
import { ApiError } from '../../api/client';
import { useSeries } from '../../api/queries';
import type { ProfileType, SeriesAnswer } from '../../api/types';
import { Chart, type ChartSeries } from '../../components/Chart';
import { isTime, nanos, value } from '../../lib/format';
import type { ProfileSearch } from '../../lib/scope';
import { resolveTime, stepFor } from '../../lib/time';

export function Strip(props: {
  search: ProfileSearch;
  type: ProfileType | undefined;
  change: (next: Partial<ProfileSearch>) => void;
}) {
  const { search, change } = props;
  const now = Date.now();
  const span = (resolveTime(search.to, now) ?? now) - (resolveTime(search.from, now) ?? now - 36e5);
  const query = useSeries(search, search.type, stepFor(span));
  const shape = useMemo(() => (query.data ? shapeOf(query.data) : null), [query.data]);
  if (query.error && !query.data) {
    const title = query.error instanceof ApiError ? query.error.problem.title : 'The series failed';
    return (
      <div className="strip card">
        <p className="opt soft">
          No chart: {title}.
          <button type="button" className="btn" onClick={() => void query.refetch()}>
            Retry
          </button>
        </p>
      </div>
    );
  }
  if (!shape) return <div className="strip card skel" role="status" aria-label="Loading chart" />;
  if (shape.times.length < 2) {
    return (
      <div className="strip card">
        <p className="opt faint">Too little data for a chart over time yet.</p>
      </div>
    );
  }
  return (
    <div className={query.isPlaceholderData ? 'strip card stale' : 'strip card'}>
      <span className="cap">{shape.caption}; drag to select a range</span>
      <Chart
        times={shape.times}
        series={shape.series}
        height={96}
        format={shape.format}
        summary={`${props.type?.name ?? 'Value'} over time, ${shape.caption}. Highest ${shape.format(shape.max)}. The time range control sets the range by keyboard.`}
        onSelect={(a, b) => change({ from: String(a), to: String(b), live: undefined })}
      />
    </div>
  );
}

interface Shape {
  times: number[];
  series: ChartSeries[];
  format: (v: number) => string;
  caption: string;
  max: number;
}

const asCores = (v: number): string =>
  `${v >= 10 ? v.toFixed(0) : v >= 1 ? v.toFixed(1) : v.toFixed(2)} cores`;

/** Sums become rates (time per time: cores), gauges stay; points of all series meet on one grid. */
function shapeOf(a: SeriesAnswer): Shape {
  const times = [...new Set(a.series.flatMap((s) => s.points.map((p) => p[0])))].sort((x, y) => x - y);
  const seconds = Math.max(0.001, a.step_ms / 1000);
  const sum = a.aggregation === 'sum';
  const cores = sum && isTime(a.unit);
  const convert = (v: number): number => (cores ? nanos(v, a.unit) / 1e9 / seconds : sum ? v / seconds : v);
  let max = 0;
  const series = a.series.slice(0, 8).map((s, i) => {
    const at = new Map(s.points);
    const values = times.map((t) => {
      const v = at.get(t);
      if (v === null || v === undefined) return null;
      const c = convert(v);
      if (c > max) max = c;
      return c;
    });
    return { label: Object.values(s.labels).join(' ') || 'all', colour: `--chart-${i + 1}`, values };
  });
  const unit = a.unit;
  const format = cores ? asCores : (v: number) => value(v, unit);
  return {
    times,
    series,
    format,
    caption: cores ? 'cores' : sum ? 'per second' : 'mean of each series, summed',
    max,
  };
}
