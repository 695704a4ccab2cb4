// The canvas: two layers (boxes; hover, selection and focus ring), zoom, pan and
// vertical scroll. Knows nothing of React; the page listens to its events.
import { hitBelow, hitTest, scan, type Viewport } from './geometry';
import { cut, fitting, frameName, labelForms } from './names';
import { type ColorMode, colouring, colourTable, PALETTES, type Theme } from './palette';
import { EMPTY_TREE, FLAG_TRIMMED, FLAG_UNSYMBOLISED, type FlameTree, OWN } from './tree';

export interface FlameElements {
  base: HTMLCanvasElement;
  overlay: HTMLCanvasElement;
  /** Scrolls vertically; takes all pointer and wheel events. */
  scroller: HTMLElement;
  /** Gives the scroller its height. */
  spacer: HTMLElement;
}

export interface FlameEvents {
  hover(node: number, clientX: number, clientY: number): void;
  /** A frame was clicked or chosen. */
  pick(node: number): void;
}

const ROW_HEIGHT_PX = 20;
const FONT =
  '12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace';
const MAX_ZOOM = 2 ** 40;
const ANIMATION_MS = 150;
/** Wider boxes leave a gap of one pixel at their right. */
const GAP_FROM_PX = 2;
const LABEL_MIN_CHARS = 3;
const DRAG_SLOP_PX = 4;

export class FlameView {
  private tree: FlameTree = EMPTY_TREE;
  private theme: Theme = 'dark';
  private mode: ColorMode = 'pkg';
  private ownOnly = false;
  /** Forms of each distinct name, made when first drawn. */
  private forms: (string[] | undefined)[] = [];
  private colours: Uint8Array = new Uint8Array();
  private match: Uint8Array | null = null;
  private below: Uint8Array | null = null;
  private focus = 0;
  private selected = -1;
  private hovered = -1;
  private overlayIsClear = true;
  private x0 = 0;
  private x1 = 1;
  private width = 0;
  private height = 0;
  /** Vertical scroll position; kept, as reading it while painting would force a layout. */
  private top = 0;
  private dpr = 1;
  private charWidth = 7.2;
  private frame = 0;
  private animation = 0;
  private readonly base: CanvasRenderingContext2D;
  private readonly overlay: CanvasRenderingContext2D;
  private readonly resize: ResizeObserver;
  private readonly abort = new AbortController();
  private drag: { x: number; y: number; x0: number; x1: number; top: number; moved: boolean } | null = null;

  constructor(
    private readonly el: FlameElements,
    private readonly events: FlameEvents,
  ) {
    this.base = el.base.getContext('2d', { alpha: false })!;
    this.overlay = el.overlay.getContext('2d')!;
    this.resize = new ResizeObserver(() => this.fit());
    this.resize.observe(el.scroller);
    const on = { signal: this.abort.signal };
    el.scroller.addEventListener('scroll', () => this.scrolled(), on);
    el.scroller.addEventListener('wheel', (e) => this.onWheel(e), { ...on, passive: false });
    el.scroller.addEventListener('pointerdown', (e) => this.onDown(e), on);
    el.scroller.addEventListener('pointermove', (e) => this.onMove(e), on);
    el.scroller.addEventListener('pointerup', (e) => this.onUp(e), on);
    el.scroller.addEventListener('pointercancel', () => this.endDrag(), on);
    el.scroller.addEventListener('pointerleave', () => this.setHover(-1, 0, 0), on);
    this.fit();
  }

  destroy(): void {
    this.abort.abort();
    this.resize.disconnect();
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.animation);
  }

  setTree(tree: FlameTree, focus: number): void {
    this.tree = tree;
    this.colours = colouring(tree, this.mode).index;
    this.forms = new Array(tree.names.length);
    this.match = null;
    this.below = null;
    this.hovered = -1;
    this.selected = -1;
    this.focus = focus >= 0 && focus < tree.n ? focus : 0;
    this.el.spacer.style.height = `${(tree.maxDepth + 2) * ROW_HEIGHT_PX}px`;
    this.jump(...this.rangeOf(this.focus));
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.draw();
  }

  setColours(mode: ColorMode): void {
    this.mode = mode;
    this.colours = colouring(this.tree, mode).index;
    this.draw();
  }

  /** Dims what is not of the profiled program's own code. */
  setOwnOnly(ownOnly: boolean): void {
    this.ownOnly = ownOnly;
    this.draw();
  }

  /** Highlights the frames of these names (a byte per distinct name); null shows all alike. */
  setMatch(match: Uint8Array | null): void {
    this.match = match;
    this.below = hitBelow(this.tree, match);
    this.draw();
  }

  setSelected(node: number): void {
    this.selected = node;
    this.drawOverlay();
  }

  /** Zooms so that the sub-tree of `node` fills the width; its ancestors stay as dimmed bars. */
  setFocus(node: number): void {
    this.focus = node >= 0 && node < this.tree.n ? node : 0;
    this.reveal(this.focus);
    this.animate(...this.rangeOf(this.focus));
  }

  /** Scrolls so that the row of `node` is visible, and widens the view if it lies outside. */
  reveal(node: number): void {
    if (node < 0 || node >= this.tree.n) return;
    const y = this.tree.depth[node] * ROW_HEIGHT_PX;
    const top = this.top;
    if (y < top + ROW_HEIGHT_PX) this.el.scroller.scrollTop = Math.max(0, y - 2 * ROW_HEIGHT_PX);
    else if (y + 2 * ROW_HEIGHT_PX > top + this.height) {
      this.el.scroller.scrollTop = y - this.height + 4 * ROW_HEIGHT_PX;
    } else return;
    this.top = this.el.scroller.scrollTop;
    this.draw();
  }

  /** Makes a frame wide enough to be read without changing the focused sub-tree. */
  bringIntoView(node: number): void {
    const t = this.tree;
    if (node < 0 || node >= t.n) return;
    const span = this.x1 - this.x0;
    const inside = t.x[node] >= this.x0 && t.x[node] + t.total[node] <= this.x1;
    const widthPx = (t.total[node] / span) * this.width;
    if (!inside || widthPx < 24) {
      const want = Math.max(t.total[node] * 4, 1e-9);
      const [f0, f1] = this.rangeOf(this.focus);
      const whole = node >= this.focus && node < t.end[this.focus] ? f1 - f0 : t.total[0];
      const next = widthPx < 24 ? Math.min(want, whole) : span;
      const mid = t.x[node] + t.total[node] / 2;
      this.reveal(node);
      this.animate(...this.clampRange(mid - next / 2, mid + next / 2));
    } else this.reveal(node);
  }

  zoomBy(factor: number, atFraction = 0.5): void {
    const at = this.x0 + (this.x1 - this.x0) * atFraction;
    const whole = this.tree.total[0] || 1;
    const span = Math.min(whole, Math.max((this.x1 - this.x0) / factor, whole / MAX_ZOOM));
    this.jump(...this.clampRange(at - span * atFraction, at + span * (1 - atFraction)));
  }

  panBy(fraction: number): void {
    const shift = (this.x1 - this.x0) * fraction;
    this.jump(...this.clampRange(this.x0 + shift, this.x1 + shift));
  }

  reset(): void {
    this.animate(...this.rangeOf(this.focus));
  }

  /** Pixel box of a node relative to the scroller, if visible. */
  boxOf(node: number): { x: number; y: number; w: number } | null {
    const t = this.tree;
    if (node < 0 || node >= t.n) return null;
    const scale = this.width / (this.x1 - this.x0);
    const left = Math.max(0, (t.x[node] - this.x0) * scale);
    const right = Math.min(this.width, (t.x[node] + t.total[node] - this.x0) * scale);
    const y = t.depth[node] * ROW_HEIGHT_PX - this.top;
    if (right < 0 || left > this.width || y < -ROW_HEIGHT_PX || y > this.height) return null;
    return { x: left, y, w: Math.max(1, right - left) };
  }

  private rangeOf(node: number): [number, number] {
    const t = this.tree;
    if (t.n === 0) return [0, 1];
    const w = t.total[node] || t.total[0] || 1;
    return [t.x[node], t.x[node] + w];
  }

  private clampRange(x0: number, x1: number): [number, number] {
    const whole = this.tree.total[0] || 1;
    const span = Math.min(x1 - x0, whole);
    const from = Math.min(Math.max(0, x0), whole - span);
    return [from, from + span];
  }

  private jump(x0: number, x1: number): void {
    cancelAnimationFrame(this.animation);
    this.x0 = x0;
    this.x1 = x1;
    this.draw();
  }

  private animate(x0: number, x1: number): void {
    cancelAnimationFrame(this.animation);
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
      this.jump(x0, x1);
      return;
    }
    const from: [number, number] = [this.x0, this.x1];
    const start = performance.now();
    let wide: [number, number] | null = null;
    const step = (now: number): void => {
      const f = Math.min(1, Math.max(0, (now - start) / ANIMATION_MS));
      const e = 1 - (1 - f) ** 3;
      wide ??= this.paintBoth(from, [x0, x1]);
      this.x0 = f === 1 ? x0 : from[0] + (x0 - from[0]) * e;
      this.x1 = f === 1 ? x1 : from[1] + (x1 - from[1]) * e;
      if (f === 1) this.paint();
      else this.stretch(wide);
      if (f < 1) this.animation = requestAnimationFrame(step);
    };
    this.animation = requestAnimationFrame(step);
  }

  /** Paints the range that holds both, once: frames in between only stretch its picture. */
  private paintBoth(from: [number, number], to: [number, number]): [number, number] {
    this.x0 = Math.min(from[0], to[0]);
    this.x1 = Math.max(from[1], to[1]);
    this.paint(false);
    return [this.x0, this.x1];
  }

  private stretch(wide: [number, number]): void {
    const span = this.x1 - this.x0;
    const left = ((wide[0] - this.x0) / span) * this.width;
    this.el.base.style.transform = `matrix(${(wide[1] - wide[0]) / span}, 0, 0, 1, ${left}, 0)`;
    this.drawOverlay(false);
  }

  private fit(): void {
    const { scroller, base, overlay } = this.el;
    this.width = scroller.clientWidth;
    this.height = scroller.clientHeight;
    this.top = scroller.scrollTop;
    this.dpr = Math.min(window.devicePixelRatio || 1, 3);
    for (const c of [base, overlay]) {
      c.width = Math.max(1, Math.round(this.width * this.dpr));
      c.height = Math.max(1, Math.round(this.height * this.dpr));
      c.style.width = `${this.width}px`;
      c.style.height = `${this.height}px`;
    }
    this.base.font = FONT;
    this.charWidth = this.base.measureText('MMMMMMMMMM').width / 10 || 7.2;
    this.paint();
  }

  private viewport(): Viewport {
    return {
      x0: this.x0,
      x1: this.x1,
      width: this.width,
      height: this.height,
      top: this.top,
      rowHeight: ROW_HEIGHT_PX,
    };
  }

  private scrolled(): void {
    const top = this.el.scroller.scrollTop;
    // `reveal` knows already.
    if (top === this.top) return;
    this.top = top;
    this.draw();
  }

  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  /** `still`: nothing moves, so there is time for what only helps a reader. */
  private paint(still = true): void {
    const g = this.base;
    const p = PALETTES[this.theme];
    const t = this.tree;
    this.el.base.style.transform = '';
    g.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    g.fillStyle = p.background;
    g.fillRect(0, 0, this.width, this.height);
    if (t.n === 0 || this.width === 0) return;
    const table = colourTable(this.theme);
    const DIM = table.length;
    const HIT = DIM + 1;
    const RUN = DIM + 2;
    const fills = [...table, p.dim, p.hit, p.run];
    const buckets: number[][] = fills.map(() => []);
    const labels: { i: number; x: number; y: number; w: number; kind: number }[] = [];
    const minLabel = this.charWidth * LABEL_MIN_CHARS + 8;
    scan(t, this.viewport(), this.match, this.below, {
      box: (i, x, y, w) => {
        const dimmed = i < this.focus && t.end[i] > this.focus;
        const hit = this.match !== null && this.match[t.name[i]] === 1;
        const other = i > 0 && (this.match !== null || (this.ownOnly && t.class[i] !== OWN));
        const bucket = hit ? HIT : dimmed || other ? DIM : this.colours[i];
        buckets[bucket].push(x, y, w);
        if (w >= minLabel) labels.push({ i, x, y, w, kind: bucket });
      },
      run: (x, y, w, hit) => {
        buckets[hit ? HIT : this.match ? DIM : RUN].push(x, y, hit ? Math.max(w, 2) + 1 : w + 1);
      },
    });
    for (let b = 0; b < buckets.length; b++) {
      const list = buckets[b];
      if (list.length === 0) continue;
      g.fillStyle = fills[b];
      for (let k = 0; k < list.length; k += 3) {
        // On whole pixels: sharp edges, and the rasteriser need not blend them.
        const left = Math.round(list[k] * this.dpr) / this.dpr;
        const w = Math.round((list[k] + list[k + 2]) * this.dpr) / this.dpr - left;
        g.fillRect(left, Math.round(list[k + 1]), w > GAP_FROM_PX ? w - 1 : w, ROW_HEIGHT_PX - 1);
      }
    }
    g.font = FONT;
    g.textBaseline = 'middle';
    for (const { i, x, y, w, kind } of labels) {
      g.fillStyle = kind === HIT ? p.hitText : kind === DIM || kind === 0 ? p.dimText : p.text;
      const room = Math.floor((w - 9) / this.charWidth);
      g.fillText(this.labelOf(i, room), x + 4, y + ROW_HEIGHT_PX / 2);
    }
    this.drawOverlay(still);
  }

  /** The longest form of a frame's name that fits, else its shortest one, cut. */
  private labelOf(i: number, room: number): string {
    const t = this.tree;
    if (t.flags[i] & FLAG_TRIMMED) return cut('(trimmed)', room);
    if (t.flags[i] & FLAG_UNSYMBOLISED) return cut(frameName(t, i), room);
    let forms = this.forms[t.name[i]];
    if (!forms) {
      forms = labelForms(t.names[t.name[i]]);
      this.forms[t.name[i]] = forms;
    }
    return fitting(forms, room);
  }

  private drawOverlay(still = true): void {
    const isEmpty = this.hovered < 0 && this.selected < 0;
    // Even clearing makes the browser compose the whole layer anew.
    if (isEmpty && this.overlayIsClear) return;
    this.overlayIsClear = isEmpty;
    const g = this.overlay;
    const p = PALETTES[this.theme];
    g.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    g.clearRect(0, 0, this.width, this.height);
    const outline = (node: number, colour: string, width: number): void => {
      const b = this.boxOf(node);
      if (!b) return;
      g.strokeStyle = colour;
      g.lineWidth = width;
      const inset = width / 2;
      g.strokeRect(b.x + inset - 1, b.y + inset - 1, Math.max(2, b.w - width + 1), ROW_HEIGHT_PX - width + 1);
    };
    if (this.hovered >= 0) {
      const v = this.viewport();
      const name = this.tree.name[this.hovered];
      g.fillStyle = this.theme === 'dark' ? 'rgba(255,255,255,0.16)' : 'rgba(0,0,0,0.12)';
      const b = this.boxOf(this.hovered);
      if (b) g.fillRect(b.x, b.y, b.w, ROW_HEIGHT_PX - 1);
      // Other visible places of the same function get a thin outline.
      let left = 400;
      if (still)
        scan(this.tree, v, null, null, {
          box: (i) => {
            if (left > 0 && i !== this.hovered && this.tree.name[i] === name && this.tree.depth[i] > 0) {
              left--;
              outline(i, p.hover, 1);
            }
          },
          run: () => {},
        });
      outline(this.hovered, p.hover, 1.5);
    }
    if (this.selected >= 0) {
      outline(this.selected, this.theme === 'dark' ? '#000000' : '#ffffff', 4);
      outline(this.selected, p.focusRing, 2);
    }
  }

  private at(e: PointerEvent | WheelEvent): { x: number; y: number } {
    const r = this.el.scroller.getBoundingClientRect();
    return { x: e.clientX - r.left, y: e.clientY - r.top };
  }

  private onWheel(e: WheelEvent): void {
    if (e.ctrlKey || e.metaKey) {
      e.preventDefault();
      this.zoomBy(Math.exp(-e.deltaY * 0.004), this.at(e).x / this.width);
    } else if (Math.abs(e.deltaX) > Math.abs(e.deltaY) || e.shiftKey) {
      e.preventDefault();
      this.panBy((e.shiftKey ? e.deltaY || e.deltaX : e.deltaX) / this.width);
    }
  }

  private onDown(e: PointerEvent): void {
    const { x } = this.at(e);
    if (e.button !== 0 || x > this.width) return;
    this.drag = { x: e.clientX, y: e.clientY, x0: this.x0, x1: this.x1, top: this.top, moved: false };
  }

  private onMove(e: PointerEvent): void {
    const d = this.drag;
    if (d) {
      const dx = e.clientX - d.x;
      const dy = e.clientY - d.y;
      if (!d.moved && Math.hypot(dx, dy) < DRAG_SLOP_PX) return;
      if (!d.moved) {
        d.moved = true;
        this.el.scroller.setPointerCapture(e.pointerId);
        this.el.scroller.classList.add('dragging');
        this.setHover(-1, 0, 0);
      }
      const shift = (-dx / this.width) * (d.x1 - d.x0);
      this.el.scroller.scrollTop = d.top - dy;
      this.jump(...this.clampRange(d.x0 + shift, d.x1 + shift));
      return;
    }
    const { x, y } = this.at(e);
    this.setHover(hitTest(this.tree, this.viewport(), x, y), e.clientX, e.clientY);
  }

  private onUp(e: PointerEvent): void {
    const d = this.drag;
    this.endDrag();
    if (!d || d.moved) return;
    const { x, y } = this.at(e);
    const node = hitTest(this.tree, this.viewport(), x, y);
    if (node >= 0) this.events.pick(node);
  }

  private endDrag(): void {
    this.drag = null;
    this.el.scroller.classList.remove('dragging');
  }

  private setHover(node: number, x: number, y: number): void {
    this.events.hover(node, x, y);
    if (node === this.hovered) return;
    this.hovered = node;
    this.drawOverlay();
  }
}
