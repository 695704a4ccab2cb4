// No data for a selection: why, and every way out of it.
import type { ReactNode } from 'react';
import type { Scope } from '../lib/scope';
import { EmptyState } from './States';

/** A selection without filters by label and source. */
const UNFILTERED: Partial<Scope> = { env: [], ver: [], role: [], host: [], src: undefined };

export function NothingHere(props: {
  title: string;
  scope: Scope;
  change: (next: Partial<Scope>) => void;
  /** Instead of saying that the range has no profiles. */
  why?: string;
  /** The best way out, if there is one. */
  first?: ReactNode;
  /** Ways out that only this page has. */
  children?: ReactNode;
}) {
  const { scope, change } = props;
  const labels = scope.env.length + scope.ver.length + scope.role.length + scope.host.length;
  const isFiltered = labels > 0 || scope.src !== undefined;
  const whose = scope.svc ? `“${scope.svc}”` : 'any service';
  const why = `No profile of ${whose}${isFiltered ? ' with these filters' : ''} lies in this time range.`;
  return (
    <EmptyState title={props.title} why={props.why ?? why}>
      {props.first}
      {isFiltered && (
        <button type="button" className="btn" onClick={() => change(UNFILTERED)}>
          Remove the filters
        </button>
      )}
      {scope.svc && (
        <button type="button" className="btn" onClick={() => change({ svc: undefined })}>
          All services
        </button>
      )}
      {props.children}
      <button type="button" className="btn" onClick={() => change({ from: 'now-7d', to: 'now' })}>
        Last 7 days
      </button>
    </EmptyState>
  );
}
