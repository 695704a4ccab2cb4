// The selection over time; dragging over it narrows the range.
import { useMemo } from 'react';
import { ApiError } from '../../api/client';
import type { useSeries } from '../../api/queries';
import type { ProfileType } from '../../api/types';
import { Chart } from '../../components/Chart';
import type { ProfileSearch } from '../../lib/scope';
import type { Shape } from '../../lib/series';
import { isoLocal } from '../../lib/time';

/** Data that fills less of the range than this gets a button that narrows the range to it. */
const SMALL_PART = 0.5;

const LINES_MOST = 8;

export function Strip(props: {
  query: ReturnType<typeof useSeries>;
  shape: Shape | null;
  /** What is asked for, in epoch milliseconds. */
  range: { from_ms: number; to_ms: number };
  type: ProfileType | undefined;
  change: (next: Partial<ProfileSearch>) => void;
}) {
  const { query, shape, change, range } = props;
  const series = useMemo(
    () => (shape?.rows ?? []).slice(0, LINES_MOST).map((r, i) => ({ ...r, colour: `--chart-${i + 1}` })),
    [shape],
  );
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
  if (shape.times.length < 2 || !shape.covered) {
    return (
      <div className="strip card">
        <p className="opt faint">Too little data for a chart over time yet.</p>
      </div>
    );
  }
  const { from_ms, to_ms } = shape.covered;
  const part = (to_ms - from_ms) / Math.max(1, range.to_ms - range.from_ms);
  return (
    <div className={query.isPlaceholderData ? 'strip card stale' : 'strip card'}>
      <span className="cap">
        {shape.caption}; drag to select a range
        {part < SMALL_PART && (
          <button
            type="button"
            onClick={() => change({ from: String(from_ms), to: String(to_ms), live: undefined })}
          >
            only {isoLocal(from_ms).slice(11)} to {isoLocal(to_ms).slice(11)}, where there is data
          </button>
        )}
      </span>
      <Chart
        times={shape.times}
        range={range}
        series={series}
        height={92}
        format={shape.format}
        summary={`${props.type?.name ?? 'Value'} over time, ${shape.caption}. Highest ${shape.format(shape.max)}. The time range control sets the range by keyboard.`}
        onSelect={(a, b) => change({ from: String(a), to: String(b), live: undefined })}
      />
    </div>
  );
}
