// How much there is and how good it is. Every percentage says of what.
import type { FlameMeta } from '../../api/types';
import type { FrameShares } from '../../flame-core/tree';
import { compact, isTime, nanos, percent, plural, value } from '../../lib/format';
import { isLowered, loweredText, type Rate, rateText } from '../../lib/rate';
import type { ProfileSearch } from '../../lib/scope';
import { isoLocal } from '../../lib/time';

export interface Covered {
  from_ms: number;
  to_ms: number;
}

interface Props {
  meta: FlameMeta;
  frames: FrameShares;
  /** Undefined while it is not known yet: its place is kept, so that the graph does not move. */
  rate: Rate | null | undefined;
  /** First and last moment with data. */
  covered: Covered | null;
  search: ProfileSearch;
  cpus: number | null;
  change: (next: Partial<ProfileSearch>, replace?: boolean) => void;
  more?: () => void;
}

export function QualityLine(props: Props) {
  const { meta, frames, rate } = props;
  const q = meta.quality;
  const samples = q.samples || meta.samples;
  return (
    <div className="quality" role="note" aria-label="Data behind this graph">
      <span>
        <strong>{value(meta.total, meta.unit)}</strong> {meta.type.name}
        {loadText(meta, props.cpus, props.covered)}
      </span>
      <span>
        {plural(samples, 'sample')} from {plural(meta.series, 'instance')}
        {meta.profiles > 0 && ` in ${plural(meta.profiles, 'profile')}`}
      </span>
      {rate === undefined && isCpu(meta) && <span>sampled at … Hz</span>}
      {rate && isCpu(meta) && (
        <span
          className={isLowered(rate) ? 'warn' : ''}
          title="Samples per second of CPU time. Our agent samples less often when it would exceed its CPU budget; shares stay right, small ones get less certain."
        >
          sampled at {rateText(rate)}
          {isLowered(rate) && ` (the collector ${loweredText(rate)})`}
        </span>
      )}
      <span
        className={q.lost > (samples + q.lost) * 0.01 ? 'warn' : ''}
        title={`${compact(q.lost)} of ${compact(q.lost + samples)} samples taken did not arrive`}
      >
        {percent(q.lost, q.lost + samples)} of samples lost
      </span>
      <span
        className={q.broken > samples * 0.05 ? 'warn' : ''}
        title={`The stacks of ${compact(q.broken)} of ${compact(samples)} samples do not reach their root: their callers are missing`}
      >
        {percent(q.broken, samples)} of stacks incomplete
      </span>
      <span
        className={frames.unnamed > frames.all * 0.2 ? 'warn' : ''}
        title="Of all frames drawn, each counted with its value: an address, also in words as in “[function at 0x1f0]”. Debug symbols of the library in front of it would name them."
      >
        {percent(frames.unnamed, frames.all)} of frames unnamed
      </span>
      {meta.rollups && <FromRollups meta={meta} />}
      <Sources meta={meta} search={props.search} change={props.change} />
      {meta.trimmed > 0 && (
        <span data-testid="trimmed">
          {percent(meta.trimmed, meta.total)} of the total in stacks too small to draw (trimmed)
          {props.more && (
            <button type="button" onClick={props.more}>
              draw more
            </button>
          )}
        </span>
      )}
    </div>
  );
}

/** Says that whole hours were answered from what is kept of them, and what that leaves out. */
function FromRollups({ meta }: Pick<Props, 'meta'>) {
  const used = meta.rollups;
  if (!used) return null;
  const pruned =
    used.pruned > 0 ? `, ${percent(used.pruned, meta.total)} of it in calls too small to be kept` : '';
  return (
    <span
      data-testid="rollups"
      title="Long ranges, and hours whose samples are gone, are answered from hourly sums by stack. Calls below a thousandth of an hour of their service stand as [pruned]."
    >
      from hourly rollups: {plural(used.hours, 'hour')}, {isoLocal(used.from_ms)} to {isoLocal(used.to_ms)}
      {pruned}
    </span>
  );
}

function Sources({ meta, search, change }: Pick<Props, 'meta' | 'search' | 'change'>) {
  const used = meta.sources.filter((s) => s.used);
  const others = meta.sources.filter((s) => !s.used);
  if (used.length + others.length === 0) return null;
  return (
    <span>
      from {used.map((s) => s.source).join(', ') || search.src || 'no source'}
      {others.length > 0 && ' (other sources: '}
      {others.map((s) => (
        <button
          key={s.source}
          type="button"
          title={`Show ${compact(s.profiles)} profiles from ${s.source} instead; sources are not added up`}
          onClick={() => change({ src: s.source, root: undefined })}
        >
          {s.source}
        </button>
      ))}
      {others.length > 0 && ')'}
      {search.src && (
        <button type="button" onClick={() => change({ src: undefined, root: undefined })}>
          choose automatically
        </button>
      )}
    </span>
  );
}

const isCpu = (meta: FlameMeta): boolean => /cpu/i.test(meta.type.id);

/** Less of the range than this has data: the mean is of that part, and says so. */
const MOSTLY = 0.95;

/** Time per time is cores; with the CPU count it is also a share, and says of what. */
function loadText(meta: FlameMeta, cpus: number | null, covered: Covered | null): string {
  if (!isTime(meta.unit) || meta.type.aggregation !== 'sum' || !isCpu(meta)) return '';
  const whole = meta.range.to_ms - meta.range.from_ms;
  const part = covered ? covered.to_ms - covered.from_ms : whole;
  const span = Math.min(whole, part);
  if (span <= 0) return '';
  const cores = nanos(meta.total, meta.unit) / (span * 1e6);
  const share = cpus ? ` (${percent(cores, cpus)} of ${plural(cpus, 'CPU')} × time)` : '';
  const when =
    covered && span < whole * MOSTLY
      ? ` from ${isoLocal(covered.from_ms).slice(11)} to ${isoLocal(covered.to_ms).slice(11)}`
      : '';
  return ` = ${cores >= 10 ? cores.toFixed(1) : cores.toFixed(2)} cores on average${when}${share}`;
}
