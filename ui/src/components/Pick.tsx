// Drop-downs: one of a few, and a multi-select of label values with counts.
import { ChevronDown } from 'lucide-react';
import { memo, useState } from 'react';
import {
  Button,
  Dialog,
  DialogTrigger,
  ListBox,
  ListBoxItem,
  Popover,
  Select,
  SelectValue,
} from 'react-aria-components';
import { type LabelValue, useLabelValues } from '../api/queries';
import { compact } from '../lib/format';
import { matchOf, type Scope } from '../lib/scope';

export interface Option {
  id: string;
  text: string;
  note?: string;
  disabled?: boolean;
}

export const Pick = memo(function Pick(props: {
  label: string;
  value: string;
  options: Option[];
  onChange: (id: string) => void;
  showLabel?: boolean;
}) {
  return (
    <Select
      aria-label={props.label}
      value={props.value}
      onChange={(k) => k !== null && props.onChange(String(k))}
      disabledKeys={props.options.filter((o) => o.disabled).map((o) => o.id)}
    >
      <Button className="btn">
        {props.showLabel && <span className="k">{props.label}</span>}
        <SelectValue className="v">
          {() => props.options.find((o) => o.id === props.value)?.text ?? props.value}
        </SelectValue>
        <ChevronDown size={14} aria-hidden />
      </Button>
      <Popover className="pop" isNonModal>
        <ListBox className="list" items={props.options}>
          {(o) => (
            <ListBoxItem id={o.id} className="opt" textValue={o.text}>
              <span>
                {o.text}
                {o.note && <small>{o.note}</small>}
              </span>
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </Select>
  );
});

const SHOWN = 300;

/** A label's values as a filter; loads them when it is opened. */
export function LabelPick(props: {
  title: string;
  label: string;
  scope: Scope;
  selected: string[];
  single?: boolean;
  /** What stands for "no filter". */
  all: string;
  onChange: (values: string[]) => void;
}) {
  const [open, setOpen] = useState(false);
  const { selected } = props;
  const text =
    selected.length === 0 ? props.all : selected.length === 1 ? selected[0] : `${selected.length} chosen`;
  return (
    <DialogTrigger isOpen={open} onOpenChange={setOpen}>
      <Button className={selected.length > 0 ? 'btn on' : 'btn'}>
        <span className={selected.length > 0 ? '' : 'k'}>{props.title}</span>
        <span className="v">{text}</span>
        <ChevronDown size={14} aria-hidden />
      </Button>
      <Popover className="pop" placement="bottom start" isNonModal>
        <Dialog aria-label={`Filter by ${props.title.toLowerCase()}`}>
          <Values {...props} close={() => setOpen(false)} />
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}

function Values(props: Parameters<typeof LabelPick>[0] & { close: () => void }) {
  const [find, setFind] = useState('');
  // Counts under the other filters: this label's own filter is left out.
  const rest: Scope = { ...props.scope };
  if (props.single) rest.svc = undefined;
  const key = ({ env: 'env', version: 'ver', role: 'role', host: 'host' } as const)[props.label as 'env'];
  if (key) rest[key] = [];
  const query = useLabelValues(props.scope, props.label, matchOf(rest), true);
  const wanted = find.toLowerCase();
  const items: LabelValue[] = (query.data ?? [])
    .filter((v) => v.value.toLowerCase().includes(wanted))
    .slice(0, SHOWN);
  return (
    <>
      <input
        className="field"
        placeholder={`Find ${props.title.toLowerCase()}…`}
        aria-label={`Find ${props.title.toLowerCase()}`}
        value={find}
        onChange={(e) => setFind(e.target.value)}
      />
      <ListBox
        className="list"
        aria-label={props.title}
        items={items.map((v) => ({ ...v, id: v.value }))}
        selectionMode={props.single ? 'single' : 'multiple'}
        selectedKeys={props.selected}
        onSelectionChange={(keys) => {
          props.onChange(keys === 'all' ? items.map((v) => v.value) : [...keys].map(String));
          if (props.single) props.close();
        }}
        renderEmptyState={() => (
          <p className="opt faint">
            {query.isLoading ? 'Loading…' : query.error ? 'Could not be loaded' : 'No values here'}
          </p>
        )}
      >
        {(v) => (
          <ListBoxItem className="opt" textValue={v.value}>
            {v.value}
            <span className="n">{compact(v.profiles)}</span>
          </ListBoxItem>
        )}
      </ListBox>
      {props.selected.length > 0 && (
        <Button
          className="btn quiet"
          onPress={() => {
            props.onChange([]);
            props.close();
          }}
        >
          Clear: {props.all}
        </Button>
      )}
    </>
  );
}
