// The frame around every page: navigation rail, notices, progress.
import { useIsFetching } from '@tanstack/react-query';
import { type ErrorComponentProps, Link, Outlet, useSearch } from '@tanstack/react-router';
import { Flame, LayoutGrid, ListTree, Moon, Sun, X } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useConfig } from '../api/queries';
import { ErrorPanel } from '../components/States';
import { sentence } from '../lib/format';
import { type Scope, scopeOnly } from '../lib/scope';
import { setTheme, useTheme } from '../lib/theme';

function Rail() {
  const theme = useTheme();
  const config = useConfig();
  const scope = scopeOnly(useSearch({ strict: false }) as Scope) as never;
  const other = theme === 'dark' ? 'light' : 'dark';
  return (
    <nav className="rail" aria-label="Main">
      <img className="logo" src={new URL('favicon.svg', document.baseURI).pathname} alt="Vesta" />
      <Link
        to="/"
        search={scope}
        activeOptions={{ exact: true, includeSearch: false }}
        aria-label="Services"
        title="Services"
      >
        <LayoutGrid size={19} aria-hidden />
        Services
      </Link>
      <Link
        to="/profiles/view"
        search={scope}
        activeOptions={{ exact: true, includeSearch: false }}
        aria-label="Flame graph"
        title="Flame graph"
      >
        <Flame size={19} aria-hidden />
        Flame
      </Link>
      <Link
        to="/profiles"
        search={scope}
        activeOptions={{ exact: true, includeSearch: false }}
        aria-label="Profiles"
        title="Profiles"
      >
        <ListTree size={19} aria-hidden />
        Profiles
      </Link>
      <span className="spring" />
      <button
        type="button"
        onClick={() => setTheme(other)}
        aria-label={`Switch to ${other} theme`}
        title={`Switch to ${other} theme`}
      >
        {theme === 'dark' ? <Sun size={18} aria-hidden /> : <Moon size={18} aria-hidden />}
        {other === 'dark' ? 'Dark' : 'Light'}
      </button>
      {config.data && (
        <span className="version" title={`build ${config.data.build}`}>
          v{config.data.version}
        </span>
      )}
    </nav>
  );
}

const NOTICE_KEY = 'vesta.notice.local';

function LocalNotice() {
  const config = useConfig();
  const [hidden, setHidden] = useState(() => {
    try {
      return sessionStorage.getItem(NOTICE_KEY) === '1';
    } catch {
      return false;
    }
  });
  if (hidden || config.data?.auth !== 'local') return null;
  const hide = (): void => {
    setHidden(true);
    try {
      sessionStorage.setItem(NOTICE_KEY, '1');
    } catch {
      // Shown again after a reload then.
    }
  };
  return (
    <div className="notice" role="note">
      {sentence(config.data.note ?? 'open on loopback: whoever is on this machine is admin')}
      <button type="button" className="btn icon quiet" aria-label="Hide this notice" onClick={hide}>
        <X size={14} aria-hidden />
      </button>
    </div>
  );
}

/** `/` goes to the search box from anywhere, except while text is being typed. */
function useSlash(): void {
  useEffect(() => {
    const onKey = (e: KeyboardEvent): void => {
      const typing =
        e.target instanceof HTMLElement && e.target.closest('input, textarea, select, [contenteditable]');
      const box = document.getElementById('flame-search');
      if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey || typing || !box) return;
      e.preventDefault();
      box.focus();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}

export function Shell() {
  useSlash();
  const busy = useIsFetching() > 0;
  return (
    <div className="shell">
      <button type="button" className="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to content
      </button>
      {busy && <div className="topbar-progress" aria-hidden />}
      <Rail />
      <div className="body">
        <LocalNotice />
        <Outlet />
      </div>
    </div>
  );
}

export function Crash({ error, reset }: ErrorComponentProps) {
  return (
    <main id="main" tabIndex={-1}>
      <ErrorPanel error={error} retry={reset} />
    </main>
  );
}
