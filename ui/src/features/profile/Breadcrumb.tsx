// The path to the focused frame, and the functions chosen in the table.
import { X } from 'lucide-react';
import type { FlameTree } from '../../flame-core/tree';
import { plural } from '../../lib/format';

const SHOWN = 6;

export function Breadcrumb(props: {
  tree: FlameTree;
  path: number[];
  lost: boolean;
  fn: string[];
  focusOn: (node: number) => void;
  clearFn: () => void;
}) {
  const { tree, path } = props;
  const hidden = Math.max(0, path.length - SHOWN);
  const shown = hidden > 0 ? [path[0], ...path.slice(path.length - SHOWN + 1)] : path;
  return (
    <nav className="crumbs" aria-label="Focused path">
      <ol>
        {shown.map((node, i) => (
          <li key={node}>
            {hidden > 0 && i === 1 && <span className="faint">… {hidden} more ›&nbsp;</span>}
            <button
              type="button"
              className="c"
              aria-current={node === path[path.length - 1] ? 'true' : undefined}
              onClick={() => props.focusOn(node)}
            >
              {node === 0 ? tree.names[tree.name[0]] || 'all' : tree.names[tree.name[node]]}
            </button>
          </li>
        ))}
      </ol>
      {path.length > 1 && (
        <button
          type="button"
          className="btn icon quiet"
          aria-label="Show the whole graph"
          onClick={() => props.focusOn(0)}
        >
          <X size={14} aria-hidden />
        </button>
      )}
      {props.lost && (
        <span className="chip warn" role="status">
          The focused frame is not in this selection: showing everything.
        </span>
      )}
      {props.fn.length > 0 && (
        <span className="chip">
          {plural(props.fn.length, 'function')} chosen
          <button type="button" className="c" onClick={props.clearFn}>
            Clear
          </button>
        </span>
      )}
    </nav>
  );
}
