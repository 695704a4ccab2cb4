// The merged profile of a selection: time strip, flame graph and functions, one state in the URL.
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { ApiError } from '../../api/client';
import { useFlame, useRate, useSeries, useServices, useTop, useTypes } from '../../api/queries';
import { CPU_TIME, type ProfileType } from '../../api/types';
import { NothingHere } from '../../components/NothingHere';
import { ScopeBar } from '../../components/ScopeBar';
import { ErrorPanel, Skeleton } from '../../components/States';
import { WaitingForFlame } from '../../components/Waiting';
import { colouring } from '../../flame-core/palette';
import { compile, matchesByWeight, matchNames, matchStats } from '../../flame-core/search';
import { ancestorsOf, EMPTY_TREE, findPath, frameShares, pathId } from '../../flame-core/tree';
import { requestedHz } from '../../lib/rate';
import { DEFAULT_FROM, MOST_NODES, type ProfileSearch, questionOf, type Scope } from '../../lib/scope';
import { type Shape, shapeOf } from '../../lib/series';
import { resolveTime, stepFor } from '../../lib/time';
import { Breadcrumb } from './Breadcrumb';
import { Details } from './Details';
import { FlameGraph, type FlameHandle } from './FlameGraph';
import { FunctionTable } from './FunctionTable';
import { type FunctionRow, rowsOfTree } from './functionRows';
import { Heading } from './Heading';
import { QualityLine } from './QualityLine';
import { Strip } from './Strip';
import { Toolbar } from './Toolbar';

export function ProfilePage() {
  const search = useSearch({ from: '/profiles/view' });
  const go = useNavigate({ from: '/profiles/view' });
  const change = useCallback(
    (next: Partial<ProfileSearch>, replace = false): void => {
      void go({ search: (old) => ({ ...old, ...next }), replace });
    },
    [go],
  );
  // Focusing and searching ask nothing new: what shows the question is not rendered again for them.
  const question = useStable(questionOf(search));
  const types = useTypes(search);
  const flame = useFlame(search, { type: search.type, maxNodes: search.nodes, profile: search.profile });
  const strip = useStrip(question);
  const known = types.data ?? NONE;
  const missing = types.isSuccess && !types.isPlaceholderData && known.every((t) => t.id !== search.type);
  const isEmpty = flame.data !== undefined && (flame.data.tree.n === 0 || flame.data.meta.total === 0);
  const failed = flame.error !== null && (!flame.data || flame.isPlaceholderData);
  return (
    <>
      <ScopeBar scope={question} change={change as (n: Partial<Scope>) => void} />
      <main id="main" tabIndex={-1}>
        <div className="profile">
          <Heading search={question} types={known} meta={flame.data?.meta} change={change} />
          {!isEmpty && !failed && (
            <Strip {...strip} type={known.find((t) => t.id === search.type)} change={change} />
          )}
          {failed ? (
            <ErrorPanel error={flame.error} retry={() => void flame.refetch()}>
              {search.type !== CPU_TIME && (
                <button
                  type="button"
                  className="btn"
                  onClick={() => change({ type: CPU_TIME, root: undefined })}
                >
                  Show CPU time
                </button>
              )}
            </ErrorPanel>
          ) : !flame.data ? (
            <>
              <WaitingForFlame />
              <Skeleton height={32} label="Loading tools" />
              <Skeleton height={460} label="Loading flame graph" />
            </>
          ) : isEmpty ? (
            <NoData search={search} change={change} other={missing ? known.map((t) => t.id) : []} />
          ) : (
            <>
              {flame.isFetching && <WaitingForFlame />}
              <Work search={search} change={change} flame={flame} shape={strip.shape} />
            </>
          )}
        </div>
      </main>
    </>
  );
}

const NONE: ProfileType[] = [];

/** The same object as before while its content is the same. */
function useStable<T>(value: T): T {
  const kept = useRef(value);
  if (JSON.stringify(kept.current) !== JSON.stringify(value)) kept.current = value;
  return kept.current;
}

/** The chart over time and the time axis it stands on. */
function useStrip(search: ProfileSearch) {
  const now = Date.now();
  const from = resolveTime(search.from, now) ?? now - 36e5;
  const query = useSeries(search, search.type, stepFor((resolveTime(search.to, now) ?? now) - from));
  const at = query.dataUpdatedAt;
  const range = useMemo(
    () => ({
      from_ms: resolveTime(search.from, at || Date.now()) ?? at - 36e5,
      to_ms: resolveTime(search.to, at || Date.now()) ?? at,
    }),
    [search.from, search.to, at],
  );
  const shape = useMemo(() => (query.data ? shapeOf(query.data, range) : null), [query.data, range]);
  return { query, shape, range };
}

type Change = (next: Partial<ProfileSearch>, replace?: boolean) => void;

function NoData({ search, change, other }: { search: ProfileSearch; change: Change; other: string[] }) {
  const instead = other.includes(CPU_TIME) ? CPU_TIME : other[0];
  const why = 'This selection has no profiles of the chosen type; it has others.';
  return (
    <NothingHere
      title="No samples here"
      scope={search}
      change={(next) => change({ ...next, root: undefined })}
      why={instead && why}
      first={
        instead && (
          <button
            type="button"
            className="btn primary"
            onClick={() => change({ type: instead, root: undefined })}
          >
            Show a type that has data
          </button>
        )
      }
    >
      {search.profile && (
        <button type="button" className="btn" onClick={() => change({ profile: undefined })}>
          Show all profiles
        </button>
      )}
      <button type="button" className="btn" onClick={() => change({ from: DEFAULT_FROM, to: 'now' })}>
        Last hour
      </button>
    </NothingHere>
  );
}

function Work({
  search,
  change,
  flame,
  shape,
}: {
  search: ProfileSearch;
  change: Change;
  flame: ReturnType<typeof useFlame>;
  shape: Shape | null;
}) {
  const tree = flame.data?.tree ?? EMPTY_TREE;
  const meta = flame.data!.meta;
  const handle = useRef<FlameHandle>(null);
  const [selected, setSelected] = useState(-1);
  const trail = useRef<(string | undefined)[]>([]);
  const services = useServices(search);
  const top = useTop(search, search.type, meta.trimmed > 0 && !search.root && !search.profile);

  const measured = useRate(search, stepFor(meta.range.to_ms - meta.range.from_ms, 60));
  const requested = requestedHz(services.data?.services ?? [], search.svc);
  const rate = measured && { ...measured, requested };
  const frames = useMemo(() => frameShares(tree), [tree]);
  const legend = useMemo(() => colouring(tree, search.color).legend, [tree, search.color]);

  const found = useMemo(() => (search.root ? findPath(tree, search.root) : 0), [tree, search.root]);
  const focus = found < 0 ? 0 : found;
  // Back, forward or a link changed the focus, or there is a new tree: what was selected is gone.
  useEffect(() => setSelected(found > 0 ? found : -1), [found]);
  useEffect(() => setSelected(-1), [tree]);

  const matcher = useMemo(() => compile(search.hl, search.hlm), [search.hl, search.hlm]);
  // An expression that is not valid (yet) leaves the last good highlight in place.
  const good = useRef(matcher);
  if (!matcher.error) good.current = matcher;
  const test = good.current.test;
  const searched = useMemo(() => (test ? matchNames(tree.names, test) : null), [tree, test]);
  const stats = useMemo(() => (searched ? matchStats(tree, searched, focus) : null), [tree, searched, focus]);
  const match = useMemo(() => {
    if (search.fn.length === 0) return searched;
    const chosen = new Set(search.fn);
    const out = searched ? searched.slice() : new Uint8Array(tree.names.length);
    for (let i = 0; i < tree.names.length; i++) if (chosen.has(tree.names[i])) out[i] = 1;
    return out;
  }, [tree, searched, search.fn]);

  const withTable = search.view !== 'flame';
  const rows: FunctionRow[] = useMemo(() => {
    if (!withTable) return [];
    return top.data && !search.root ? top.data.functions : rowsOfTree(tree, focus);
  }, [tree, focus, top.data, search.root, withTable]);

  const focusOn = useCallback(
    (node: number): void => {
      setSelected(node);
      const next = node <= 0 ? undefined : pathId(tree, node);
      if (next === search.root) return;
      trail.current.push(search.root);
      change({ root: next });
    },
    [tree, search.root, change],
  );
  const stepOut = useCallback((): void => {
    if (!search.root) {
      setSelected(-1);
      return;
    }
    const back = trail.current.pop();
    setSelected(back ? findPath(tree, back) : 0);
    change({ root: back });
  }, [search.root, tree, change]);
  const cycle = useCallback(
    (step: 1 | -1): void => {
      if (!match) return;
      const list = matchesByWeight(tree, match, focus);
      if (list.length === 0) return;
      const at = list.indexOf(selected);
      const next = list[at < 0 ? (step > 0 ? 0 : list.length - 1) : (at + step + list.length) % list.length];
      setSelected(next);
      handle.current?.show(next);
    },
    [tree, match, focus, selected],
  );
  const toggleFn = (name: string): void => {
    const has = search.fn.includes(name);
    change({ fn: has ? search.fn.filter((f) => f !== name) : [...search.fn, name] }, true);
  };

  const shown = selected >= 0 && selected < tree.n ? selected : focus;
  return (
    <>
      <QualityLine
        meta={meta}
        frames={frames}
        rate={rate}
        covered={search.profile ? null : (shape?.covered ?? null)}
        search={search}
        cpus={services.data?.cpu_count ?? null}
        change={change}
        more={meta.trimmed > 0 && search.nodes < MOST_NODES ? () => change({ nodes: MOST_NODES }) : undefined}
      />
      <Toolbar
        search={search}
        change={change}
        error={matcher.error}
        stats={stats}
        whole={tree.total[focus] ?? 0}
        focused={focus > 0}
        cycle={cycle}
      />
      {flame.isRefetchError && flame.error instanceof ApiError && (
        <p className="notice" role="status">
          Not refreshed: {flame.error.problem.title}. The figures below are from the last good answer.
        </p>
      )}
      <Breadcrumb
        tree={tree}
        path={[...ancestorsOf(tree, focus), focus]}
        lost={found < 0}
        fn={search.fn}
        legend={legend}
        focusOn={focusOn}
        clearFn={() => change({ fn: [] })}
      />
      <div
        className={`work ${search.view} ${flame.isPlaceholderData ? 'stale' : ''}`}
        aria-busy={flame.isPlaceholderData}
      >
        {withTable && (
          <FunctionTable
            rows={rows}
            whole={tree.total[focus] ?? 0}
            unit={meta.unit}
            within={focus > 0 ? tree.names[tree.name[focus]] : null}
            exact={top.data !== undefined && !search.root}
            test={test}
            search={search}
            change={change}
            toggle={toggleFn}
          />
        )}
        {search.view !== 'table' && (
          <div className="side">
            <FlameGraph
              ref={handle}
              tree={tree}
              unit={meta.unit}
              typeName={meta.type.name}
              focus={focus}
              selected={selected}
              match={match}
              color={search.color}
              ownOnly={search.own === '1'}
              select={setSelected}
              focusOn={focusOn}
              stepOut={stepOut}
              cycle={cycle}
            />
            <Details tree={tree} node={shown} focus={focus} meta={meta} toggleFn={toggleFn} fn={search.fn} />
          </div>
        )}
      </div>
    </>
  );
}
