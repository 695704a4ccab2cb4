// The docked pane: everything about one frame, each percentage with its base.
import type { FlameMeta } from '../../api/types';
import { CopyButton } from '../../components/States';
import {
  ancestorsOf,
  FLAG_KERNEL,
  FLAG_TRIMMED,
  FLAG_UNSYMBOLISED,
  type FlameTree,
} from '../../flame-core/tree';
import { percent, plural, value } from '../../lib/format';

export function Details(props: {
  tree: FlameTree;
  node: number;
  focus: number;
  meta: FlameMeta;
  fn: string[];
  toggleFn: (name: string) => void;
}) {
  const { tree: t, node: i, meta, focus } = props;
  if (i < 0 || i >= t.n) return null;
  const name = t.names[t.name[i]];
  const trimmed = (t.flags[i] & FLAG_TRIMMED) !== 0;
  const stack = [i, ...ancestorsOf(t, i).reverse()].map((n) => t.names[t.name[n]]).join('\n');
  const file = t.files[t.file[i]];
  const all = `of all ${meta.type.name || 'values'} here (${value(t.total[0], meta.unit)})`;
  const chosen = props.fn.includes(name);
  return (
    <section className="details card" aria-label="Frame details" data-testid="details">
      <div className="nm">
        <h2>{trimmed ? 'Stacks too small to draw' : name}</h2>
        {!trimmed && i > 0 && (
          <button type="button" className="btn" aria-pressed={chosen} onClick={() => props.toggleFn(name)}>
            All call sites
          </button>
        )}
        <CopyButton text={name} name="Copy function name" />
        <CopyButton text={stack} label="Stack" />
      </div>
      <dl>
        <div>
          <dt>Total</dt>
          <dd>
            <strong>{value(t.total[i], meta.unit)}</strong> · {percent(t.total[i], t.total[0])}{' '}
            <span className="faint">{all}</span>
          </dd>
        </div>
        <div>
          <dt>Self</dt>
          <dd>
            <strong>{value(t.self[i], meta.unit)}</strong> · {percent(t.self[i], t.total[0])}{' '}
            <span className="faint">of all</span> · {percent(t.self[i], t.total[i])}{' '}
            <span className="faint">of this frame</span>
          </dd>
        </div>
        {focus > 0 && i !== focus && (
          <div>
            <dt>Within the focused frame</dt>
            <dd>
              {percent(Math.min(t.total[i], t.total[focus]), t.total[focus])}{' '}
              <span className="faint">of {value(t.total[focus], meta.unit)}</span>
            </dd>
          </div>
        )}
        <div>
          <dt>Library</dt>
          <dd>
            {t.libraries[t.library[i]] || '–'}
            {t.flags[i] & FLAG_KERNEL ? ' (kernel)' : ''}
            {t.flags[i] & FLAG_UNSYMBOLISED ? ' (no symbol found)' : ''}
          </dd>
        </div>
        <div>
          <dt>File</dt>
          <dd>{file ? `${file}${t.line[i] > 0 ? `:${t.line[i]}` : ''}` : '–'}</dd>
        </div>
        <div>
          <dt>Depth</dt>
          <dd>{plural(t.depth[i], 'frame')} below the root</dd>
        </div>
      </dl>
    </section>
  );
}
