// The same bar on every page: service, filters, source of a choice, time range, share.
import { memo, type ReactNode } from 'react';
import { useLabels } from '../api/queries';
import { FILTERS, type Scope } from '../lib/scope';
import { resolveTime } from '../lib/time';
import { LabelPick } from './Pick';
import { CopyButton } from './States';
import { TimeRange } from './TimeRange';

export const ScopeBar = memo(function ScopeBar(props: {
  scope: Scope;
  change: (next: Partial<Scope>) => void;
  /** The overview asks by time only. */
  timeOnly?: boolean;
  children?: ReactNode;
}) {
  const { scope, change } = props;
  return (
    <header className="scopebar">
      {!props.timeOnly && <Filters scope={scope} change={change} />}
      {props.children}
      <span className="spring" />
      <TimeRange scope={scope} change={change} />
      <ShareButton scope={scope} />
    </header>
  );
});

function Filters({ scope, change }: { scope: Scope; change: (next: Partial<Scope>) => void }) {
  const labels = useLabels(scope);
  const known = new Set(labels.data ?? []);
  return (
    <>
      <LabelPick
        title="Service"
        label="service_name"
        scope={scope}
        selected={scope.svc ? [scope.svc] : []}
        single
        all="All services"
        onChange={(v) => change({ svc: v[0], env: [], ver: [], role: [], host: [] })}
      />
      {FILTERS.filter((f) => known.has(f.label) || scope[f.key].length > 0).map((f) => (
        <LabelPick
          key={f.key}
          title={f.title}
          label={f.label}
          scope={scope}
          selected={scope[f.key]}
          all="any"
          onChange={(v) => change({ [f.key]: v })}
        />
      ))}
    </>
  );
}

/** Copies a link whose times are frozen, so that others see the same data. */
function ShareButton({ scope }: { scope: Scope }) {
  const link = (): string => {
    const now = Date.now();
    const url = new URL(window.location.href);
    url.searchParams.set('from', String(resolveTime(scope.from, now) ?? scope.from));
    url.searchParams.set('to', String(resolveTime(scope.to, now) ?? scope.to));
    url.searchParams.delete('live');
    return url.href;
  };
  return (
    <span className="share" title="Share: copies a link with its times frozen">
      <CopyButton text={link} label="Share" />
    </span>
  );
}
