// The canvas in React: owns the view object, the keyboard, the tooltip and the accessible mirror.
// Hovering changes no React state; only selection and focus do.
import { Maximize2, Minus, Plus } from 'lucide-react';
import { forwardRef, useEffect, useId, useImperativeHandle, useRef } from 'react';
import { copyText } from '../../components/States';
import { frameName } from '../../flame-core/names';
import type { ColorMode } from '../../flame-core/palette';
import { ancestorsOf, childrenOf, FLAG_TRIMMED, type FlameTree } from '../../flame-core/tree';
import { FlameView } from '../../flame-core/view';
import { percent, value } from '../../lib/format';
import { useTheme } from '../../lib/theme';

export interface FlameHandle {
  /** Brings a frame into view without focusing its sub-tree. */
  show(node: number): void;
}

interface Props {
  tree: FlameTree;
  unit: string;
  typeName: string;
  focus: number;
  selected: number;
  match: Uint8Array | null;
  color: ColorMode;
  ownOnly: boolean;
  select: (node: number) => void;
  focusOn: (node: number) => void;
  stepOut: () => void;
  cycle: (step: 1 | -1) => void;
}

export const FlameGraph = forwardRef<FlameHandle, Props>(function FlameGraph(props, ref) {
  const { tree, focus, selected } = props;
  const base = useRef<HTMLCanvasElement>(null);
  const overlay = useRef<HTMLCanvasElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const spacer = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const view = useRef<FlameView | null>(null);
  const shownTree = useRef<FlameTree | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const theme = useTheme();
  const id = useId();

  useEffect(() => {
    const v = new FlameView(
      {
        base: base.current!,
        overlay: overlay.current!,
        scroller: scroller.current!,
        spacer: spacer.current!,
      },
      {
        hover: (node, x, y) => showTip(tip.current!, latest.current, node, x, y),
        pick: (node) => latest.current.focusOn(node),
      },
    );
    view.current = v;
    // A new view has no tree yet, even if an older one showed it.
    shownTree.current = null;
    return () => {
      v.destroy();
      view.current = null;
    };
  }, []);

  useEffect(() => {
    const v = view.current;
    if (!v) return;
    if (shownTree.current !== tree) {
      shownTree.current = tree;
      v.setTree(tree, focus);
      v.setMatch(latest.current.match);
    } else v.setFocus(focus);
  }, [tree, focus]);
  useEffect(() => view.current?.setMatch(props.match), [props.match]);
  useEffect(() => view.current?.setTheme(theme), [theme]);
  useEffect(() => view.current?.setColours(props.color), [props.color]);
  useEffect(() => view.current?.setOwnOnly(props.ownOnly), [props.ownOnly]);
  useEffect(() => view.current?.setSelected(selected), [selected]);
  useImperativeHandle(ref, () => ({ show: (node) => view.current?.bringIntoView(node) }), []);

  const label = `Flame graph, ${props.typeName}, ${value(tree.total[0] ?? 0, props.unit)}, ${tree.n} frames`;
  return (
    <section className="flamebox card" aria-label="Flame graph">
      <canvas ref={base} />
      <canvas ref={overlay} data-testid="flame-overlay" />
      <div
        ref={scroller}
        className="flame-scroll"
        role="tree"
        tabIndex={0}
        aria-label={label}
        aria-describedby={`${id}-help`}
        aria-activedescendant={`${id}-n${selected >= 0 ? selected : focus}`}
        data-testid="flame"
        onKeyDown={(e) => onKey(e, props, view.current)}
      >
        <div ref={spacer} aria-hidden="true" />
        <Mirror tree={tree} at={selected >= 0 ? selected : focus} unit={props.unit} id={id} />
      </div>
      <p className="sr" id={`${id}-help`}>
        Arrow keys move between frames, Enter focuses one, Escape steps out, plus and minus zoom, 0 resets,
        slash searches, n and capital N go through the matches. The table of functions has the same content.
      </p>
      {/* biome-ignore lint/a11y/useSemanticElements: buttons over the canvas, not a form */}
      <div className="flame-zoom" role="group" aria-label="Zoom">
        <button
          type="button"
          className="btn icon quiet"
          aria-label="Zoom in"
          onClick={() => view.current?.zoomBy(1.5)}
        >
          <Plus size={15} aria-hidden />
        </button>
        <button
          type="button"
          className="btn icon quiet"
          aria-label="Zoom out"
          onClick={() => view.current?.zoomBy(1 / 1.5)}
        >
          <Minus size={15} aria-hidden />
        </button>
        <button
          type="button"
          className="btn icon quiet"
          aria-label="Reset zoom"
          onClick={() => view.current?.reset()}
        >
          <Maximize2 size={14} aria-hidden />
        </button>
      </div>
      <div ref={tip} className="tip" role="presentation">
        <b />
        <span />
        <span />
        <span />
      </div>
    </section>
  );
});

/** Only text nodes are written: names come from outside. */
function showTip(el: HTMLElement, p: Props, node: number, x: number, y: number): void {
  const t = p.tree;
  if (node < 0 || node >= t.n) {
    el.classList.remove('on');
    return;
  }
  const [name, numbers, ofFocus, where] = el.children;
  const trimmed = t.flags[node] & FLAG_TRIMMED;
  name.textContent = trimmed ? 'Stacks too small to draw' : frameName(t, node);
  const whole = t.total[0];
  numbers.textContent = `total ${value(t.total[node], p.unit)} (${percent(t.total[node], whole)} of all) · self ${value(
    t.self[node],
    p.unit,
  )} (${percent(t.self[node], whole)} of all)`;
  ofFocus.textContent =
    p.focus > 0 && node >= p.focus
      ? `${percent(t.total[node], t.total[p.focus])} of the focused ${frameName(t, p.focus)}`
      : '';
  const file = t.files[t.file[node]];
  where.textContent = [
    t.libraries[t.library[node]],
    file && `${file}${t.line[node] ? `:${t.line[node]}` : ''}`,
  ]
    .filter(Boolean)
    .join(' · ');
  el.classList.add('on');
  const { offsetWidth: w, offsetHeight: h } = el;
  const left = x + 16 + w > window.innerWidth ? Math.max(4, x - w - 12) : x + 16;
  const top = y + 18 + h > window.innerHeight ? Math.max(4, y - h - 12) : y + 18;
  el.style.transform = `translate(${left}px, ${top}px)`;
}

/** Siblings of a node under its parent, in order. */
function siblingOf(t: FlameTree, node: number, step: 1 | -1): number {
  const p = t.parent[node];
  if (p < 0) return -1;
  if (step > 0) return t.end[node] < t.end[p] ? t.end[node] : -1;
  let before = -1;
  for (let c = p + 1; c < node; c = t.end[c]) before = c;
  return before;
}

function onKey(e: React.KeyboardEvent, p: Props, view: FlameView | null): void {
  if (!view || e.ctrlKey || e.metaKey || e.altKey) return;
  const at = p.selected >= 0 ? p.selected : p.focus;
  const t = p.tree;
  const move = (node: number): void => {
    if (node < 0 || node >= t.n) return;
    p.select(node);
    view.bringIntoView(node);
  };
  const keys: Record<string, () => void> = {
    ArrowDown: () => move(childrenOf(t, at, 1)[0] ?? -1),
    ArrowUp: () => move(t.parent[at]),
    ArrowRight: () => move(siblingOf(t, at, 1)),
    ArrowLeft: () => move(siblingOf(t, at, -1)),
    Home: () => move(p.focus),
    Enter: () => p.focusOn(at),
    ' ': () => p.focusOn(at),
    Escape: () => p.stepOut(),
    Backspace: () => p.focusOn(Math.max(0, t.parent[p.focus])),
    '0': () => (p.focus === 0 ? view.reset() : p.focusOn(0)),
    '+': () => view.zoomBy(1.5, fractionOf(view, at)),
    '=': () => view.zoomBy(1.5, fractionOf(view, at)),
    '-': () => view.zoomBy(1 / 1.5, fractionOf(view, at)),
    w: () => view.zoomBy(1.5),
    s: () => view.zoomBy(1 / 1.5),
    a: () => view.panBy(-0.2),
    d: () => view.panBy(0.2),
    n: () => p.cycle(1),
    N: () => p.cycle(-1),
    y: () => void copyText(t.names[t.name[at]]),
    '/': () => document.getElementById('flame-search')?.focus(),
  };
  const run = keys[e.key];
  if (!run) return;
  e.preventDefault();
  run();
}

function fractionOf(view: FlameView, node: number): number {
  const b = view.boxOf(node);
  const width = document.querySelector('.flame-scroll')?.clientWidth ?? 0;
  return b && width > 0 ? (b.x + b.w / 2) / width : 0.5;
}

const MIRRORED_CHILDREN = 100;

/** The part of the tree around the current frame as real elements, for assistive technology. */
function Mirror({ tree: t, at, unit, id }: { tree: FlameTree; at: number; unit: string; id: string }) {
  if (t.n === 0) return null;
  const kids = childrenOf(t, at, MIRRORED_CHILDREN);
  const item = (n: number, pos: number, size: number) => (
    <div
      key={n}
      id={`${id}-n${n}`}
      role="treeitem"
      tabIndex={-1}
      aria-level={t.depth[n] + 1}
      aria-posinset={pos}
      aria-setsize={size}
      aria-selected={n === at}
      aria-expanded={t.end[n] > n + 1 ? n <= at : undefined}
    >
      {`${frameName(t, n)}, ${value(t.total[n], unit)}, ${percent(t.total[n], t.total[0])} of all, self ${percent(
        t.self[n],
        t.total[0],
      )}`}
    </div>
  );
  const p = t.parent[at];
  const siblings = p < 0 ? [at] : childrenOf(t, p, 10_000);
  return (
    <div className="sr" role="presentation" data-testid="mirror">
      {ancestorsOf(t, at).map((n) => item(n, 1, 1))}
      {item(at, Math.max(1, siblings.indexOf(at) + 1), siblings.length)}
      {kids.map((n, k) => item(n, k + 1, kids.length))}
    </div>
  );
}
