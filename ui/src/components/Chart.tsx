// A time series chart on a canvas; dragging over it selects a range.
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import { token, useTheme } from '../lib/theme';
import { isoLocal } from '../lib/time';

export interface ChartSeries {
  label: string;
  /** Token name of the line's colour. */
  colour: string;
  values: (number | null)[];
}

export function Chart(props: {
  /** Epoch milliseconds, ascending. */
  times: number[];
  /** The whole time axis, in epoch milliseconds; what has no data stays empty. */
  range?: { from_ms: number; to_ms: number };
  series: ChartSeries[];
  stacked?: boolean;
  height: number;
  format: (v: number) => string;
  /** In words, for those who do not see it. */
  summary: string;
  onSelect: (fromMs: number, toMs: number) => void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const theme = useTheme();
  const select = useRef(props.onSelect);
  select.current = props.onSelect;
  const { times, series, stacked, height, format } = props;
  const from = props.range?.from_ms;
  const to = props.range?.to_ms;
  useEffect(() => {
    const el = host.current;
    if (!el || theme === undefined) return;
    const xs = times.map((t) => t / 1000);
    const rows = stacked ? accumulate(series.map((s) => s.values)) : series.map((s) => s.values);
    // The topmost layer is drawn first so that lower ones lie over it.
    const order = series.map((_, i) => i).reverse();
    const axis: uPlot.Axis = {
      stroke: token('--text-faint'),
      grid: { stroke: token('--border'), width: 1 },
      ticks: { stroke: token('--border'), width: 1, size: 4 },
      font: `11px ${token('--font') || 'sans-serif'}`,
    };
    const plot = new uPlot(
      {
        width: Math.max(50, el.clientWidth),
        height,
        legend: { show: false },
        padding: [8, 26, 0, 0],
        cursor: { drag: { x: true, y: false, setScale: false, dist: 4 }, points: { show: false } },
        scales: {
          x: {
            time: true,
            range: (_u, min, max) =>
              from === undefined || to === undefined ? [min, max] : [from / 1000, to / 1000],
          },
          y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
        },
        axes: [
          { ...axis, size: 26, space: 74, values: (_u, v, _a, _s, step) => v.map((x) => clock(x, step)) },
          { ...axis, size: 66, space: 28, values: (_u, v) => v.map((x) => format(x)) },
        ],
        series: [
          {},
          ...order.map((i) => ({
            label: series[i].label,
            stroke: token(series[i].colour),
            fill: `${token(series[i].colour)}${stacked ? 'cc' : '40'}`,
            width: stacked ? 0.5 : 1.5,
            points: { show: false },
            spanGaps: false,
          })),
        ],
        hooks: {
          setSelect: [
            (u) => {
              if (u.select.width < 4) return;
              const at = (px: number): number => Math.round(u.posToVal(px, 'x') * 1000);
              select.current(at(u.select.left), at(u.select.left + u.select.width));
            },
          ],
        },
      },
      [xs, ...order.map((i) => rows[i])] as uPlot.AlignedData,
      el,
    );
    const watch = new ResizeObserver(() => plot.setSize({ width: Math.max(50, el.clientWidth), height }));
    watch.observe(el);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [times, series, stacked, height, format, theme, from, to]);
  return <div ref={host} role="img" aria-label={props.summary} />;
}

/** A tick's time of day, or its date where a tick is a day or more. */
function clock(seconds: number, step: number): string {
  const text = isoLocal(seconds * 1000);
  if (step >= 86_400) return text.slice(5, 10);
  const time = text.slice(11, step < 60 ? 19 : 16);
  return time === '00:00' ? text.slice(5, 10) : time;
}

function accumulate(rows: (number | null)[][]): (number | null)[][] {
  const sum: number[] = [];
  return rows.map((row) =>
    row.map((v, i) => {
      sum[i] = (sum[i] ?? 0) + (v ?? 0);
      return sum[i];
    }),
  );
}
