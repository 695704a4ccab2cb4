// A long answer while it is waited for: how far it is, and a button that ends it.
import { useEffect, useState } from 'react';
import { cancelQuery, getJson, runningFlame } from '../api/client';
import { progressText, type RunningQuery } from '../lib/progress';

const SHOWN_AFTER_MS = 1000;
const SHOWN_EVERY_MS = 500;

export function WaitingForFlame() {
  const [text, setText] = useState<string>();
  useEffect(() => {
    const gone = new AbortController();
    let timer = setTimeout(look, SHOWN_AFTER_MS);
    async function look(): Promise<void> {
      try {
        const answer = await getJson<{ queries: RunningQuery[] }>('/queries', {}, gone.signal);
        setText(progressText(answer.queries, runningFlame()));
      } catch {
        // The answer itself says what is wrong with the server.
      }
      if (!gone.signal.aborted) timer = setTimeout(look, SHOWN_EVERY_MS);
    }
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, []);
  if (!text) return null;
  return (
    <div className="row" role="status">
      <span>{text}</span>
      <button type="button" className="btn" onClick={() => void cancelQuery(runningFlame())}>
        Cancel
      </button>
    </div>
  );
}
