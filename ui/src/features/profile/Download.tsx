// The flame graph as a file: for other tools, for a ticket, for a spreadsheet.
import { useMutation } from '@tanstack/react-query';
import { Download as Icon } from 'lucide-react';
import { Button, Menu, MenuItem, MenuTrigger, Popover } from 'react-aria-components';
import { ApiError, download } from '../../api/client';
import { flameParams } from '../../api/queries';
import { MOST_NODES, type ProfileSearch } from '../../lib/scope';

const FORMS = [
  { id: 'pprof', ending: 'pb.gz', text: 'pprof', note: 'for go tool pprof and others' },
  { id: 'speedscope', ending: 'speedscope.json', text: 'speedscope', note: 'for speedscope.app' },
  { id: 'folded', ending: 'folded.txt', text: 'Folded text', note: 'a line a stack' },
  { id: 'svg', ending: 'svg', text: 'SVG', note: 'a picture that can be zoomed' },
  { id: 'csv', ending: 'csv', text: 'CSV', note: 'a row a frame' },
  { id: 'json', ending: 'json', text: 'JSON', note: 'as the API answers' },
];

export function Download({ search }: { search: ProfileSearch }) {
  const saving = useMutation({
    mutationFn: ({ id, ending }: { id: string; ending: string }) => {
      // All of it, not only what fits on the screen; a picture is of what is there.
      const maxNodes = id === 'svg' ? search.nodes : MOST_NODES;
      const asked = { type: search.type, maxNodes, profile: search.profile };
      const name = `${search.svc ?? 'all'}-${search.type.split(':')[1] ?? 'profile'}`;
      const file = `${name.replace(/[^\w.-]+/g, '_')}.${ending}`;
      return download('/flamegraph', { ...flameParams(search, asked), format: id }, file);
    },
  });
  const problem = saving.error instanceof ApiError ? saving.error.problem : null;
  return (
    <>
      <MenuTrigger>
        <Button className="btn icon" aria-label="Download" isDisabled={saving.isPending}>
          <Icon size={16} aria-hidden />
        </Button>
        <Popover className="pop" placement="bottom end" isNonModal>
          <Menu className="list" items={FORMS} aria-label="Download as">
            {(form) => (
              <MenuItem className="opt" textValue={form.text} onAction={() => saving.mutate(form)}>
                <span>
                  {form.text}
                  <small>{form.note}</small>
                </span>
              </MenuItem>
            )}
          </Menu>
        </Popover>
      </MenuTrigger>
      {saving.isError && (
        <span className="bad" role="alert">
          Not saved: {problem?.detail ?? problem?.title ?? 'the answer broke off'}
        </span>
      )}
    </>
  );
}
