// What is shown: service, type, and where it comes from.
import { memo } from 'react';
import type { FlameMeta, ProfileType } from '../../api/types';
import { Pick } from '../../components/Pick';
import type { ProfileSearch } from '../../lib/scope';
import { Origin } from './Origin';

export const Heading = memo(function Heading(props: {
  search: ProfileSearch;
  types: ProfileType[];
  meta: FlameMeta | undefined;
  change: (next: Partial<ProfileSearch>, replace?: boolean) => void;
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
      <span className="spring" />
      <Origin search={search} />
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
});
