// The docked pane: everything about one frame, each percentage with its base.
import type { FlameMeta } from '../../api/types';
import { CopyButton } from '../../components/States';
import { frameName } from '../../flame-core/names';
import { CLASS_TEXTS } from '../../flame-core/palette';
import { ancestorsOf, CLASSES, FLAG_TRIMMED, FLAG_UNSYMBOLISED, type FlameTree } from '../../flame-core/tree';
import { percent, plural, value } from '../../lib/format';

interface Props {
  tree: FlameTree;
  node: number;
  focus: number;
  meta: FlameMeta;
  fn: string[];
  toggleFn: (name: string) => void;
}

export function Details(props: Props) {
  const { tree: t, node: i, meta, focus } = props;
  if (i < 0 || i >= t.n) return null;
  if (i === 0) return <Everything tree={t} meta={meta} />;
  const name = t.names[t.name[i]];
  const trimmed = (t.flags[i] & FLAG_TRIMMED) !== 0;
  const file = t.files[t.file[i]];
  const chosen = props.fn.includes(name);
  return (
    <section className="details card" aria-label="Frame details" data-testid="details">
      <div className="nm">
        <h2>{trimmed ? 'Stacks too small to draw' : frameName(t, i)}</h2>
        {!trimmed && (
          <>
            <button type="button" className="btn" aria-pressed={chosen} onClick={() => props.toggleFn(name)}>
              All call sites
            </button>
            <CopyButton text={name} label="Name" />
            <CopyButton text={stackOf(t, i)} label="Stack" />
          </>
        )}
      </div>
      <dl>
        <div>
          <dt>Total, with callees</dt>
          <dd>
            <strong>{value(t.total[i], meta.unit)}</strong>
            <span>{percent(t.total[i], t.total[0])} of all</span>
          </dd>
        </div>
        <div>
          <dt>Self, its own code</dt>
          <dd>
            <strong>{value(t.self[i], meta.unit)}</strong>
            <span>{percent(t.self[i], t.total[0])} of all</span>
            <span>{percent(t.self[i], t.total[i])} of this frame</span>
          </dd>
        </div>
        {focus > 0 && i !== focus && (
          <div>
            <dt>Within the focused frame</dt>
            <dd>
              <strong>{percent(Math.min(t.total[i], t.total[focus]), t.total[focus])}</strong>
              <span>of {value(t.total[focus], meta.unit)}</span>
            </dd>
          </div>
        )}
        <div>
          <dt>Library</dt>
          <dd>
            {t.libraries[t.library[i]] || 'not known'}
            {t.flags[i] & FLAG_UNSYMBOLISED ? ' (no symbol found)' : ''}
          </dd>
        </div>
        <div>
          <dt>Whose code</dt>
          <dd>{CLASS_TEXTS[CLASSES[t.class[i]]]}</dd>
        </div>
        {file && (
          <div>
            <dt>File</dt>
            <dd>
              {file}
              {t.line[i] > 0 ? `:${t.line[i]}` : ''}
            </dd>
          </div>
        )}
      </dl>
    </section>
  );
}

/** Leaf first, one frame a line, as stack traces are read. */
function stackOf(t: FlameTree, i: number): string {
  return [i, ...ancestorsOf(t, i).reverse()].map((n) => t.names[t.name[n]]).join('\n');
}

/** Nothing is chosen: what the whole is, and how to go on. */
function Everything({ tree, meta }: { tree: FlameTree; meta: FlameMeta }) {
  return (
    <section className="details card" aria-label="Frame details" data-testid="details">
      <div className="nm">
        <h2>
          All stacks: {value(tree.total[0], meta.unit)} {meta.type.name}, {plural(tree.n - 1, 'frame')}
        </h2>
      </div>
      <p className="hintline">
        A frame's width is its part of the whole; what it calls lies below it. Click a frame to zoom into it;{' '}
        <kbd>Esc</kbd> steps out. <kbd>Ctrl</kbd> + wheel or <kbd>+</kbd> <kbd>-</kbd> zooms, dragging or{' '}
        <kbd>a</kbd> <kbd>d</kbd> moves, <kbd>/</kbd> searches, <kbd>n</kbd> goes to the next match, arrow
        keys walk from frame to frame.
      </p>
    </section>
  );
}
