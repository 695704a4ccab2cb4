// The virtualised table of functions: self and total, sortable, filterable; a click highlights.
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useMemo, useRef, useState } from 'react';
import { copyText } from '../../components/States';
import { compile } from '../../flame-core/search';
import { baseName, count, percent, plural, value } from '../../lib/format';
import type { ProfileSearch } from '../../lib/scope';
import { type FunctionRow, nameParts } from './functionRows';

const COLS = [
  { id: 'name', title: 'Function' },
  { id: 'self', title: 'Self' },
  { id: 'self', title: 'Self %' },
  { id: 'total', title: 'Total' },
  { id: 'total', title: 'Total %' },
] as const;

const ROW_PX = 28;

interface Props {
  rows: FunctionRow[];
  whole: number;
  unit: string;
  /** Name of the focused frame when the table covers its sub-tree only. */
  within: string | null;
  /** The rows come from the server's own count rather than from the drawn tree. */
  exact: boolean;
  /** What is highlighted in the graph. */
  test: ((name: string) => boolean) | null;
  search: ProfileSearch;
  change: (next: Partial<ProfileSearch>, replace?: boolean) => void;
  toggle: (name: string) => void;
}

export function FunctionTable(props: Props) {
  const { rows, search, whole, unit } = props;
  const [find, setFind] = useState('');
  const [active, setActive] = useState(-1);
  const box = useRef<HTMLDivElement>(null);
  const desc = search.sort.startsWith('-');
  const by = (['name', 'self', 'total'] as const).find((k) => k === search.sort.replace('-', '')) ?? 'self';
  const list = useMemo(() => {
    const { test } = compile(find, 'lit');
    const kept = test ? rows.filter((r) => test(r.name) || test(r.library)) : [...rows];
    const sign = desc ? -1 : 1;
    return kept.sort((a, b) => {
      const [x, y] = [a[by], b[by]];
      return (x < y ? -sign : x > y ? sign : 0) || b.total - a.total || (a.name < b.name ? -1 : 1);
    });
  }, [rows, find, by, desc]);
  useEffect(() => setActive(-1), [list]);
  const virtual = useVirtualizer({
    count: list.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
  });
  const chosen = new Set(search.fn);
  const most = { self: maxOf(rows, 'self'), total: maxOf(rows, 'total') };
  const go = (to: number): void => {
    const next = Math.max(0, Math.min(list.length - 1, to));
    setActive(next);
    virtual.scrollToIndex(next);
  };
  const onKey = (e: React.KeyboardEvent): void => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target !== e.currentTarget) return;
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 300) / ROW_PX) - 2);
    const keys: Record<string, () => void> = {
      ArrowDown: () => go(active + 1),
      ArrowUp: () => go(active - 1),
      PageDown: () => go(active + page),
      PageUp: () => go(active - page),
      Home: () => go(0),
      End: () => go(list.length - 1),
      Enter: () => active >= 0 && props.toggle(list[active].name),
      ' ': () => active >= 0 && props.toggle(list[active].name),
      y: () => active >= 0 && void copyText(list[active].name),
      Escape: () => props.change({ fn: [] }, true),
    };
    const run = keys[e.key];
    if (!run) return;
    e.preventDefault();
    run();
  };
  return (
    <section className="fns card" aria-label="Functions">
      <div className="top">
        <input
          className="field"
          type="search"
          placeholder="Filter functions or libraries"
          aria-label="Filter functions"
          value={find}
          onChange={(e) => setFind(e.target.value)}
        />
        <span className="cap" aria-live="polite">
          {props.test && <span className="hitmark">highlighted in the graph</span>}
          {list.length === rows.length
            ? plural(rows.length, 'function')
            : `${count(list.length)} of ${plural(rows.length, 'function')}`}
          {props.exact && ' (top of all, counted before trimming)'} · % of {value(whole, unit)}
          {props.within ? ` within ${props.within}` : ' in this selection'}
        </span>
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: a virtualised grid of positioned rows cannot be a table element */}
      <div
        ref={box}
        className="fns-grid"
        role="grid"
        tabIndex={0}
        aria-label="Functions by self and total"
        aria-rowcount={list.length + 1}
        aria-multiselectable="true"
        aria-activedescendant={active >= 0 ? `fn-${active}` : undefined}
        onKeyDown={onKey}
        data-testid="functions"
      >
        {/* biome-ignore lint/a11y: see above */}
        <div className="frow fhead" role="row" aria-rowindex={1}>
          {COLS.map((c, i) => (
            // biome-ignore lint/a11y: see above
            <div
              key={c.title}
              role="columnheader"
              className={i > 0 ? 'num' : ''}
              aria-sort={
                c.id === by && (i === 0 || i % 2 === 1) ? (desc ? 'descending' : 'ascending') : undefined
              }
            >
              <button
                type="button"
                onClick={() =>
                  props.change(
                    {
                      sort: c.id === by ? (desc ? c.id : `-${c.id}`) : c.id === 'name' ? 'name' : `-${c.id}`,
                    },
                    true,
                  )
                }
              >
                {c.title}
                {c.id === by && (i === 0 || i % 2 === 1) ? (desc ? ' ↓' : ' ↑') : ''}
              </button>
            </div>
          ))}
        </div>
        {/* biome-ignore lint/a11y: see above */}
        <div className="fbody" role="rowgroup" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((v) => {
            const r = list[v.index];
            return (
              // biome-ignore lint/a11y: rows are reached with the arrow keys of the grid
              <div
                key={v.key}
                id={`fn-${v.index}`}
                role="row"
                aria-rowindex={v.index + 2}
                aria-selected={chosen.has(r.name)}
                className={rowClass(v.index === active, props.test?.(r.name) === true)}
                style={{ transform: `translateY(${v.start}px)` }}
                onClick={() => {
                  setActive(v.index);
                  props.toggle(r.name);
                }}
              >
                {/* biome-ignore lint/a11y: see above */}
                <div
                  role="gridcell"
                  className="fname"
                  title={`${r.name}\n${r.library}${r.file ? `\n${r.file}` : ''}`}
                >
                  <Name row={r} wide={search.view === 'table'} />
                </div>
                <Cell text={value(r.self, unit)} />
                <Cell text={percent(r.self, whole)} bar={r.self / most.self} />
                <Cell text={value(r.total, unit)} />
                <Cell text={percent(r.total, whole)} bar={r.total / most.total} />
              </div>
            );
          })}
        </div>
      </div>
    </section>
  );
}

function rowClass(isActive: boolean, isHit: boolean): string {
  return `frow${isActive ? ' active' : ''}${isHit ? ' hit' : ''}`;
}

/** The front of a name gives way first: names differ at their end. */
function Name({ row, wide }: { row: FunctionRow; wide: boolean }) {
  const [head, tail, rest] = nameParts(row.name);
  return (
    <>
      {head && <span className="head">{head}</span>}
      <span className="tail">{tail}</span>
      {rest && <span className="rest">{rest}</span>}
      {row.library && (wide || !head) && <small>{baseName(row.library)}</small>}
    </>
  );
}

function Cell({ text, bar }: { text: string; bar?: number }) {
  return (
    // biome-ignore lint/a11y: part of the virtualised grid
    <div role="gridcell" className={bar === undefined ? 'num' : 'num bar'}>
      {bar !== undefined && bar > 0.005 && <i style={{ width: `${Math.min(1, bar) * 100}%` }} />}
      {text}
    </div>
  );
}

function maxOf(rows: FunctionRow[], key: 'self' | 'total'): number {
  let m = 1e-9;
  for (const r of rows) if (r[key] > m) m = r[key];
  return m;
}
