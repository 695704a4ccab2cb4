// What a page shows when it has no data: why, and what to do next.
import { useQueryClient } from '@tanstack/react-query';
import { Check, CircleAlert, Copy, Inbox } from 'lucide-react';
import { type ReactNode, useEffect, useState } from 'react';
import { ApiError, setToken } from '../api/client';
import { sentence } from '../lib/format';

export function EmptyState(props: { title: string; why: ReactNode; children?: ReactNode }) {
  return (
    <section className="panel card" aria-label={props.title}>
      <h2>
        <Inbox size={18} aria-hidden /> {props.title}
      </h2>
      <p>{props.why}</p>
      {props.children && <div className="row">{props.children}</div>}
    </section>
  );
}

export function ErrorPanel(props: { error: unknown; retry?: () => void; children?: ReactNode }) {
  const { error, retry } = props;
  const problem =
    error instanceof ApiError
      ? error.problem
      : {
          title: 'This part of the page failed',
          status: 0,
          detail: error instanceof Error ? error.message : String(error),
        };
  const details = JSON.stringify(
    { ...problem, url: error instanceof ApiError ? error.url : undefined },
    null,
    2,
  );
  return (
    <section className="panel card error" role="alert">
      <h2>
        <CircleAlert size={18} aria-hidden /> {problem.title}
      </h2>
      {problem.detail && <p>{sentence(problem.detail)}</p>}
      {'hint' in problem && problem.hint && <p>{sentence(problem.hint)}</p>}
      {problem.status === 401 && <TokenForm />}
      {problem.status === 403 && (
        <p>Your token does not allow this. An administrator can give you a role that does.</p>
      )}
      <div className="row">
        {retry && (
          <button type="button" className="btn primary" onClick={retry}>
            Retry
          </button>
        )}
        {props.children}
        <CopyButton text={details} label="Copy details" />
        {'request_id' in problem && problem.request_id && (
          <span className="faint">
            request <code>{problem.request_id}</code>
          </span>
        )}
      </div>
    </section>
  );
}

function TokenForm() {
  const client = useQueryClient();
  const [text, setText] = useState('');
  return (
    <form
      className="row"
      onSubmit={(e) => {
        e.preventDefault();
        setToken(text.trim());
        void client.resetQueries();
      }}
    >
      <label htmlFor="token">Access token</label>
      <input
        id="token"
        className="field"
        type="password"
        autoComplete="current-password"
        value={text}
        onChange={(e) => setText(e.target.value)}
      />
      <button type="submit" className="btn primary" disabled={text.trim() === ''}>
        Sign in
      </button>
    </form>
  );
}

/** Copies a text; says so for two seconds, to screen readers too. */
export function CopyButton(props: {
  /** Or what makes it, when it is copied. */
  text: string | (() => string);
  label?: string;
  name?: string;
  tabIndex?: number;
}) {
  const [done, setDone] = useState<'no' | 'yes' | 'failed'>('no');
  useEffect(() => {
    if (done === 'no') return;
    const t = setTimeout(() => setDone('no'), 2000);
    return () => clearTimeout(t);
  }, [done]);
  const copy = (e: React.MouseEvent): void => {
    e.stopPropagation();
    const text = typeof props.text === 'string' ? props.text : props.text();
    copyText(text).then((ok) => setDone(ok ? 'yes' : 'failed'));
  };
  const said = done === 'yes' ? 'Copied' : done === 'failed' ? 'Not copied: the browser refused' : '';
  return (
    <>
      <button
        type="button"
        className={props.label ? 'btn' : 'btn icon quiet'}
        aria-label={props.label ? undefined : (props.name ?? 'Copy')}
        tabIndex={props.tabIndex}
        onClick={copy}
      >
        {done === 'yes' ? <Check size={14} aria-hidden /> : <Copy size={14} aria-hidden />}
        {props.label && (said || props.label)}
      </button>
      <span className="sr" aria-live="polite">
        {said}
      </span>
    </>
  );
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

export function Command({ text }: { text: string }) {
  return (
    <div className="cmd">
      <code>{text}</code>
      <CopyButton text={text} name={`Copy: ${text}`} />
    </div>
  );
}

export function Skeleton({ height, label }: { height: number; label: string }) {
  return <div className="skel" role="status" aria-label={label} style={{ height }} />;
}
