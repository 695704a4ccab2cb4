// Where the data comes from: what named the service, its CPUs and quota, notes of the collector,
// and everything else the client said of the process.
import { Info } from 'lucide-react';
import { Button, Dialog, DialogTrigger, Popover } from 'react-aria-components';
import { useProfileDetail } from '../../api/queries';
import { INFO_NAME_SOURCE, INFO_NOTE, type ProfileDetail } from '../../api/types';
import { CopyButton } from '../../components/States';
import { duration, plural } from '../../lib/format';
import type { ProfileSearch } from '../../lib/scope';
import { isoLocal } from '../../lib/time';

export function Origin({ search }: { search: ProfileSearch }) {
  const enabled = search.svc !== undefined || search.profile !== undefined;
  const query = useProfileDetail(search, search.profile, enabled);
  const d = query.data;
  if (!enabled || !d) return null;
  const named = d.info[INFO_NAME_SOURCE];
  const note = d.info[INFO_NOTE];
  return (
    <>
      {named && (
        <span className="chip" title="Where the collector took the service's name from">
          named by {named}
        </span>
      )}
      {d.cpu_count !== null && <span className="chip">{cpuText(d)}</span>}
      {note && <span className="chip warn">{noteText(note)}</span>}
      <DialogTrigger>
        <Button className="btn quiet">
          <Info size={14} aria-hidden />
          Process
        </Button>
        <Popover className="pop" placement="bottom start" isNonModal>
          <Dialog aria-label="Process information" className="origin">
            <Facts detail={d} single={search.profile !== undefined} />
          </Dialog>
        </Popover>
      </DialogTrigger>
    </>
  );
}

/** "2 CPUs, limited to 1.5 cores"; a missing quota may also mean that the client did not say. */
function cpuText(d: ProfileDetail): string {
  const quota = d.cpu_quota == null ? 'no CPU quota' : `limited to ${Number(d.cpu_quota.toFixed(2))} cores`;
  return `${plural(d.cpu_count ?? 0, 'CPU')}, ${quota}`;
}

function noteText(note: string): string {
  return note.startsWith('Python') ? `${note}: the interpreter's own stack is shown` : note;
}

function Facts({ detail: d, single }: { detail: ProfileDetail; single: boolean }) {
  const rows: [string, string][] = [
    ['Window', `${isoLocal(d.start_ms)}, ${duration((d.end_ms - d.start_ms) * 1e6)}`],
    ['Received', isoLocal(d.received_ms)],
    ['Client', d.client ?? 'did not say'],
    ['CPUs of the machine', d.cpu_count == null ? 'not known' : String(d.cpu_count)],
    ['CPU quota', d.cpu_quota == null ? 'none' : `${d.cpu_quota} cores`],
    ['Samples', String(d.samples)],
    ['Lost samples', String(d.lost)],
    ['Incomplete stacks', String(d.broken)],
    ['Frames without a name', `${d.unsymbolized} in all samples`],
    ...Object.entries(d.labels),
    ...Object.entries(d.info),
  ];
  return (
    <>
      <p className="soft">{single ? 'This profile' : 'The newest profile of this selection'}</p>
      <dl>
        {rows.map(([k, v]) => (
          <div key={k} className="fact">
            <dt>{k}</dt>
            <dd>{v}</dd>
          </div>
        ))}
      </dl>
      <CopyButton text={JSON.stringify(d, null, 2)} label="Copy as JSON" />
    </>
  );
}
