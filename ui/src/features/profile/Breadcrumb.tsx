// One line of constant height over the graph: the path to the focused frame, or what the colours
// mean while nothing is focused; and the functions chosen in the table.
import { X } from 'lucide-react';
import { frameName, labelForms } from '../../flame-core/names';
import { colourTable, type LegendEntry } from '../../flame-core/palette';
import type { FlameTree } from '../../flame-core/tree';
import { percent, plural } from '../../lib/format';
import { useTheme } from '../../lib/theme';

const SHOWN = 5;

export function Breadcrumb(props: {
  tree: FlameTree;
  path: number[];
  lost: boolean;
  fn: string[];
  legend: LegendEntry[];
  focusOn: (node: number) => void;
  clearFn: () => void;
}) {
  const { tree, path } = props;
  return (
    <nav className="crumbs" aria-label="Focused path">
      {path.length > 1 ? (
        <Path tree={tree} path={path} focusOn={props.focusOn} />
      ) : (
        <Legend entries={props.legend} whole={tree.total[0] ?? 0} />
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

function Path({ tree, path, focusOn }: { tree: FlameTree; path: number[]; focusOn: (node: number) => void }) {
  const hidden = Math.max(0, path.length - SHOWN);
  const shown = hidden > 0 ? [path[0], ...path.slice(path.length - SHOWN + 1)] : path;
  const short = (node: number): string => {
    if (node === 0) return 'all stacks';
    const forms = labelForms(frameName(tree, node));
    return forms[Math.min(forms.length - 1, node === path[path.length - 1] ? 1 : 2)];
  };
  return (
    <>
      <ol>
        {shown.map((node, i) => (
          <li key={node}>
            {hidden > 0 && i === 1 && <span className="faint">… {hidden} more ›&nbsp;</span>}
            <button
              type="button"
              className="c"
              title={frameName(tree, node)}
              aria-current={node === path[path.length - 1] ? 'true' : undefined}
              onClick={() => focusOn(node)}
            >
              {short(node)}
            </button>
          </li>
        ))}
      </ol>
      <button
        type="button"
        className="btn icon quiet"
        aria-label="Show the whole graph"
        title="Show the whole graph"
        onClick={() => focusOn(0)}
      >
        <X size={14} aria-hidden />
      </button>
    </>
  );
}

const LEGEND_MOST = 9;
/** Smaller parts are among the others. */
const LEGEND_LEAST = 0.001;

/** Colour, group and the group's own share of everything, largest first. */
function Legend({ entries, whole }: { entries: LegendEntry[]; whole: number }) {
  const theme = useTheme();
  const table = colourTable(theme);
  const named = entries.slice(0, LEGEND_MOST).filter((e, at) => at === 0 || e.self >= LEGEND_LEAST * whole);
  const rest = entries.slice(named.length).reduce((sum, e) => sum + e.self, 0);
  if (entries.length === 0)
    return (
      <span className="faint">The stronger the colour, the larger the part of a frame that is its own.</span>
    );
  return (
    <ul className="legend" aria-label="Colours, with the share of own time of each group">
      {named.map((e) => (
        <li key={`${e.colour} ${e.text}`}>
          <svg width="10" height="10" aria-hidden="true">
            <rect width="10" height="10" rx="2" fill={table[e.colour]} />
          </svg>
          {e.text} <span className="faint">{percent(e.self, whole)}</span>
        </li>
      ))}
      {rest > 0 && <li className="faint">others {percent(rest, whole)}</li>}
    </ul>
  );
}
