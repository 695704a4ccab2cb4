// What is shown: service, type, total, and how good the data behind it is.
import type { FlameMeta, ProfileType } from '../../api/types';
import { Pick } from '../../components/Pick';
import { compact, isTime, nanos, percent, plural, value } from '../../lib/format';
import type { ProfileSearch } from '../../lib/scope';

type Change = (next: Partial<ProfileSearch>, replace?: boolean) => void;

export function Heading(props: {
  search: ProfileSearch;
  types: ProfileType[];
  meta: FlameMeta | undefined;
  change: Change;
}) {
  const { search, types } = props;
  const current = types.find((t) => t.id === search.type) ?? props.meta?.type;
  const options = types.map((t) => ({ id: t.id, text: t.name, note: t.description }));
  if (!options.some((o) => o.id === search.type)) {
    const text =
      props.meta?.type.id === search.type && props.meta.type.name ? props.meta.type.name : search.type;
    options.unshift({ id: search.type, text, note: 'no data in this selection' });
  }
  return (
    <div className="ptitle">
      <h1>{search.svc ?? 'All services'}</h1>
      <Pick
        label="Profile type"
        value={search.type}
        options={options}
        onChange={(type) => props.change({ type })}
      />
      {current?.description && <span className="what">{current.description}</span>}
      {search.profile && (
        <span className="chip">
          one profile: {search.profile}
          <button type="button" className="btn quiet" onClick={() => props.change({ profile: undefined })}>
            Show all
          </button>
        </span>
      )}
    </div>
  );
}

/** "12,345 samples from 3 instances · 0.2 % lost · …": every percentage says of what. */
export function QualityLine(props: {
  meta: FlameMeta;
  search: ProfileSearch;
  cpus: number | null;
  change: Change;
  more?: () => void;
}) {
  const { meta, search } = props;
  const q = meta.quality;
  const samples = q.samples || meta.samples;
  const used = meta.sources.filter((s) => s.used);
  const others = meta.sources.filter((s) => !s.used);
  return (
    <div className="quality" role="note" aria-label="Data behind this graph">
      <span>
        <strong>{value(meta.total, meta.unit)}</strong> {meta.type.name}
        {loadText(meta, props.cpus)}
      </span>
      <span>
        {plural(samples, 'sample')} from {plural(meta.series, 'instance')}
        {meta.profiles > 0 && ` in ${plural(meta.profiles, 'profile')}`}
      </span>
      <span className={q.lost > samples * 0.01 ? 'warn' : ''} title="of the samples taken">
        {percent(q.lost, q.lost + samples)} lost
      </span>
      <span className={q.broken > samples * 0.05 ? 'warn' : ''} title="of the samples shown">
        {percent(q.broken, samples)} stacks incomplete
      </span>
      <span className={q.unsymbolized > samples * 0.2 ? 'warn' : ''} title="of the samples shown">
        {percent(q.unsymbolized, samples)} frames without names
      </span>
      {used.length + others.length > 0 && (
        <span>
          {used.map((s) => s.source).join(', ') || search.src || 'no source'}
          {others.length > 0 && ' (other sources: '}
          {others.map((s) => (
            <button
              key={s.source}
              type="button"
              title={`Show ${compact(s.profiles)} profiles from ${s.source} instead; sources are not added up`}
              onClick={() => props.change({ src: s.source, root: undefined })}
            >
              {s.source}
            </button>
          ))}
          {others.length > 0 && ')'}
          {search.src && (
            <button type="button" onClick={() => props.change({ src: undefined, root: undefined })}>
              choose automatically
            </button>
          )}
        </span>
      )}
      {meta.trimmed > 0 && (
        <span>
          {percent(meta.trimmed, meta.total)} in stacks too small to draw (trimmed)
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

/** Time per time is cores; with the CPU count it is also a share, and says of what. */
function loadText(meta: FlameMeta, cpus: number | null): string {
  const span = meta.range.to_ms - meta.range.from_ms;
  if (!isTime(meta.unit) || meta.type.aggregation !== 'sum' || span <= 0) return '';
  const cores = nanos(meta.total, meta.unit) / (span * 1e6);
  if (!/cpu/i.test(meta.type.id)) return '';
  const share = cpus ? ` (${percent(cores, cpus)} of ${plural(cpus, 'CPU')} × time)` : '';
  return ` = ${cores >= 10 ? cores.toFixed(1) : cores.toFixed(2)} cores on average${share}`;
}
