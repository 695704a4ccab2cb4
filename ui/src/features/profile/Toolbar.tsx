// Search with its matched share, view and colour choice.
import { ChevronDown, ChevronUp, Search } from 'lucide-react';
import { useCallback, useEffect, useRef, useState } from 'react';
import { Pick } from '../../components/Pick';
import type { MatchStats } from '../../flame-core/search';
import { percent, plural } from '../../lib/format';
import type { ProfileSearch, ViewMode } from '../../lib/scope';
import { Download } from './Download';

const DEBOUNCE_MS = 120;
const VIEWS: { id: ViewMode; text: string }[] = [
  { id: 'flame', text: 'Flame' },
  { id: 'both', text: 'Both' },
  { id: 'table', text: 'Table' },
];
const COLOURS = [
  { id: 'pkg', text: 'by package', note: 'crate, namespace or module; else the library' },
  { id: 'lib', text: 'by library', note: 'the binary a function lies in' },
  { id: 'class', text: 'by whose code', note: 'yours, dependencies, runtime, kernel' },
  { id: 'self', text: 'by self share', note: 'how much of a frame is its own code' },
];

export function Toolbar(props: {
  search: ProfileSearch;
  change: (next: Partial<ProfileSearch>, replace?: boolean) => void;
  error: string | null;
  stats: MatchStats | null;
  whole: number;
  focused: boolean;
  cycle: (step: 1 | -1) => void;
}) {
  const { search, change, stats } = props;
  const setColour = useCallback(
    (c: string) => change({ color: c as ProfileSearch['color'] }, true),
    [change],
  );
  return (
    <div className="toolbar" role="toolbar" aria-label="Flame graph tools">
      <SearchBox search={search} change={change} error={props.error} cycle={props.cycle} />
      <span className="matched" aria-live="polite" data-testid="matched">
        {props.error ? (
          <span className="bad">Not a valid expression: {props.error}</span>
        ) : (
          stats && (
            <>
              {plural(stats.functions, 'function')} · {plural(stats.frames, 'frame')} ·{' '}
              <strong>{percent(stats.weight, props.whole)}</strong> of{' '}
              {props.focused ? 'the focused frame' : 'total'}
            </>
          )
        )}
      </span>
      {stats && stats.frames > 0 && (
        <span className="seg">
          <button
            type="button"
            className="btn icon"
            aria-label="Previous match (N)"
            onClick={() => props.cycle(-1)}
          >
            <ChevronUp size={16} aria-hidden />
          </button>
          <button
            type="button"
            className="btn icon"
            aria-label="Next match (n)"
            onClick={() => props.cycle(1)}
          >
            <ChevronDown size={16} aria-hidden />
          </button>
        </span>
      )}
      <span className="spring" />
      <button
        type="button"
        className="btn"
        aria-pressed={search.own === '1'}
        title="Dims libraries, the runtime and the kernel"
        onClick={() => change({ own: search.own ? undefined : '1' }, true)}
      >
        Your code
      </button>
      <Pick label="Colour" showLabel value={search.color} options={COLOURS} onChange={setColour} />
      <Download search={search} />
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would need a legend and brings its own box */}
      <div className="seg" role="group" aria-label="View">
        {VIEWS.map((v) => (
          <button
            key={v.id}
            type="button"
            className="btn"
            aria-pressed={search.view === v.id}
            onClick={() => change({ view: v.id })}
          >
            {v.text}
          </button>
        ))}
      </div>
    </div>
  );
}

function SearchBox(props: {
  search: ProfileSearch;
  change: (next: Partial<ProfileSearch>, replace?: boolean) => void;
  error: string | null;
  cycle: (step: 1 | -1) => void;
}) {
  const { search, change } = props;
  const [text, setText] = useState(search.hl);
  const sent = useRef(search.hl);
  useEffect(() => {
    // The URL changed by other means (back, a link): follow it.
    if (search.hl !== sent.current) {
      sent.current = search.hl;
      setText(search.hl);
    }
  }, [search.hl]);
  useEffect(() => {
    if (text === sent.current) return;
    const t = setTimeout(() => {
      sent.current = text;
      change({ hl: text }, true);
    }, DEBOUNCE_MS);
    return () => clearTimeout(t);
  }, [text, change]);
  return (
    <div className="search">
      <Search size={15} aria-hidden />
      <input
        id="flame-search"
        className="field"
        type="search"
        placeholder="Highlight functions: malloc|free or /regex/   (press /)"
        aria-label="Highlight functions"
        aria-invalid={props.error !== null}
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={(e) => setText(e.target.value)}
        onKeyDown={(e) => {
          if (e.key === 'Enter') props.cycle(e.shiftKey ? -1 : 1);
          if (e.key === 'Escape') {
            if (text === '') e.currentTarget.blur();
            setText('');
          }
        }}
      />
      <button
        type="button"
        className="btn"
        aria-pressed={search.hlm === 're'}
        aria-label="Regular expression"
        title="Regular expression"
        onClick={() => change({ hlm: search.hlm === 're' ? 'lit' : 're' }, true)}
      >
        .*
      </button>
    </div>
  );
}
