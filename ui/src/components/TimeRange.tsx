// The time range: quick ranges, absolute or typed, step back and forth, zoom out, live.
import { useQueryClient } from '@tanstack/react-query';
import { ChevronLeft, ChevronRight, Clock, RotateCw, ZoomOut } from 'lucide-react';
import { useState } from 'react';
import { Button, Dialog, DialogTrigger, Popover } from 'react-aria-components';
import { refreshAll, useConfig } from '../api/queries';
import { LIVE_SECONDS, type Scope } from '../lib/scope';
import { isoLocal, normaliseTime, QUICK_RANGES, rangeLabel, resolveTime } from '../lib/time';
import { Pick } from './Pick';

type Change = (next: Partial<Scope>) => void;

export function TimeRange({ scope, change }: { scope: Scope; change: Change }) {
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  const now = Date.now();
  const a = resolveTime(scope.from, now) ?? now - 36e5;
  const b = resolveTime(scope.to, now) ?? now;
  const move = (from: number, to: number): void =>
    change({ from: String(Math.round(from)), to: String(Math.round(Math.min(to, now))), live: undefined });
  const span = b - a;
  return (
    <>
      <div className="seg">
        <Button className="btn icon" aria-label="Earlier" onPress={() => move(a - span / 2, b - span / 2)}>
          <ChevronLeft size={16} aria-hidden />
        </Button>
        <DialogTrigger isOpen={open} onOpenChange={setOpen}>
          <Button className="btn" data-testid="time-range">
            <Clock size={14} aria-hidden />
            <span className="sr">Time range: </span>
            {rangeLabel(scope.from, scope.to, now)}
          </Button>
          <Popover className="pop" placement="bottom end" isNonModal>
            <Dialog aria-label="Time range" className="timepop">
              <Chooser
                scope={scope}
                change={(next) => {
                  change(next);
                  setOpen(false);
                }}
              />
            </Dialog>
          </Popover>
        </DialogTrigger>
        <Button
          className="btn icon"
          aria-label="Later"
          isDisabled={scope.to === 'now'}
          onPress={() => move(a + span / 2, b + span / 2)}
        >
          <ChevronRight size={16} aria-hidden />
        </Button>
        <Button
          className="btn icon"
          aria-label="Zoom out: twice the range"
          onPress={() => move(a - span / 2, b + span / 2)}
        >
          <ZoomOut size={15} aria-hidden />
        </Button>
      </div>
      <div className="seg">
        <Button className="btn icon" aria-label="Refresh" onPress={() => refreshAll(client)}>
          <RotateCw size={15} aria-hidden />
        </Button>
        <Pick
          label="Refresh"
          value={String(scope.live ?? 0)}
          options={[
            { id: '0', text: 'Live off' },
            ...LIVE_SECONDS.map((s) => ({ id: String(s), text: `Live ${s} s` })),
          ]}
          onChange={(v) => {
            const live = Number(v) || undefined;
            change(live && scope.to !== 'now' ? { from: 'now-15m', to: 'now', live } : { live });
          }}
        />
      </div>
    </>
  );
}

function Chooser({ scope, change }: { scope: Scope; change: Change }) {
  const now = Date.now();
  const config = useConfig();
  const text = (v: string): string => (/^\d+$/.test(v) ? isoLocal(Number(v)) : v);
  const [from, setFrom] = useState(text(scope.from));
  const [to, setTo] = useState(text(scope.to));
  const a = normaliseTime(from, now);
  const b = normaliseTime(to, now);
  let why = '';
  if (a === null) why = '“From” is not a time.';
  else if (b === null) why = '“To” is not a time.';
  else if (resolveTime(a, now)! >= resolveTime(b, now)!) why = '“From” must be before “To”.';
  return (
    <>
      <div className="quick">
        {QUICK_RANGES.map((q) => (
          <button
            key={q.from}
            type="button"
            aria-pressed={scope.to === 'now' && scope.from === q.from}
            onClick={() => change({ from: q.from, to: 'now' })}
          >
            {q.label}
          </button>
        ))}
      </div>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (!why) change({ from: a!, to: b!, live: b === 'now' ? scope.live : undefined });
        }}
      >
        <strong>Absolute or typed</strong>
        <label htmlFor="range-from">From</label>
        <input
          id="range-from"
          className="field"
          value={from}
          aria-invalid={a === null}
          aria-describedby="range-why"
          onChange={(e) => setFrom(e.target.value)}
        />
        <label htmlFor="range-to">To</label>
        <input
          id="range-to"
          className="field"
          value={to}
          aria-invalid={b === null}
          aria-describedby="range-why"
          onChange={(e) => setTo(e.target.value)}
        />
        <p className="why" id="range-why" aria-live="polite">
          {why}
        </p>
        <button type="submit" className="btn primary" disabled={why !== ''}>
          Apply
        </button>
        <p className="faint hintline">
          <br />
          <code>2026-11-20 15:00</code>, <code>now-2h</code> or epoch milliseconds; your time zone.
          {config.data?.retention_days != null && ` Profiles are kept ${config.data.retention_days} days.`}
        </p>
      </form>
    </>
  );
}
