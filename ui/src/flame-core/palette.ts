// Colours of the flame graph, made in OKLCH so that every hue has the same
// lightness: the text on every box keeps a contrast of at least 4.5:1.
import { packageOf } from './names';
import { CLASSES, FLAG_KERNEL, FLAG_TRIMMED, FLAG_UNSYMBOLISED, type FlameTree } from './tree';

export type Theme = 'dark' | 'light';
export type ColorMode = 'lib' | 'pkg' | 'self' | 'class';
export type Rgb = [number, number, number];

export interface Palette {
  boxes: string[];
  text: string;
  /** Kernel frames, frames without a name, trimmed remainders, everything dimmed, merged runs. */
  kernel: string;
  unnamed: string;
  trimmed: string;
  dim: string;
  dimText: string;
  run: string;
  hit: string;
  hitText: string;
  root: string;
  background: string;
  focusRing: string;
  hover: string;
  heat: string[];
}

/** OKLCH → sRGB, chroma lowered until the colour is inside the gamut. */
function oklch(l: number, c: number, hue: number): Rgb {
  for (let chroma = c; chroma > 0; chroma -= 0.004) {
    const rgb = toSrgb(l, chroma, hue);
    if (rgb.every((v) => v >= -0.0005 && v <= 1.0005)) return toBytes(rgb);
  }
  return toBytes(toSrgb(l, 0, hue));
}

function toBytes(rgb: number[]): Rgb {
  return rgb.map((v) => Math.round(Math.min(1, Math.max(0, v)) * 255)) as Rgb;
}

function toSrgb(l: number, c: number, hue: number): number[] {
  const a = c * Math.cos((hue * Math.PI) / 180);
  const b = c * Math.sin((hue * Math.PI) / 180);
  const l3 = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m3 = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s3 = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l3 - 3.3077115913 * m3 + 0.2309699292 * s3,
    -1.2684380046 * l3 + 2.6097574011 * m3 - 0.3413193965 * s3,
    -0.0041960863 * l3 - 0.7034186147 * m3 + 1.707614701 * s3,
  ];
  return linear.map((v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
}

const css = (rgb: Rgb): string => `#${rgb.map((v) => v.toString(16).padStart(2, '0')).join('')}`;

/** WCAG contrast ratio of two `#rrggbb` colours. */
export function contrast(a: string, b: string): number {
  const lum = (hex: string): number => {
    const ch = [1, 3, 5].map((i) => {
      const v = Number.parseInt(hex.slice(i, i + 2), 16) / 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * ch[0] + 0.7152 * ch[1] + 0.0722 * ch[2];
  };
  const [hi, lo] = [lum(a), lum(b)].sort((p, q) => q - p);
  return (hi + 0.05) / (lo + 0.05);
}

// A family is one library or package; its variants tell neighbouring functions apart.
// Family 0, the flame's own, is for the library in which most time is spent.
const FAMILIES = [42, 252, 160, 312, 205, 345, 185, 282, 135, 228];
const VARIANTS = 5;
const HUE_STEP_DEG = 7;

function makePalette(theme: Theme): Palette {
  const dark = theme === 'dark';
  const l = dark ? 0.43 : 0.81;
  const boxes: string[] = [];
  for (const hue of FAMILIES) {
    for (let v = 0; v < VARIANTS; v++) {
      const shade = (dark ? 0.018 : 0.02) * ((v * 2) % VARIANTS) - 0.03;
      const turn = (v - (VARIANTS - 1) / 2) * HUE_STEP_DEG;
      boxes.push(css(oklch(l + shade, dark ? 0.108 : 0.1, hue + turn)));
    }
  }
  const heat: string[] = [];
  for (let i = 0; i < 12; i++) {
    const f = i / 11;
    heat.push(css(oklch(dark ? 0.34 + 0.1 * f : 0.9 - 0.12 * f, 0.02 + 0.13 * f, 60 - 35 * f)));
  }
  return {
    boxes,
    heat,
    text: dark ? '#ffffff' : '#111111',
    kernel: css(oklch(dark ? 0.4 : 0.84, dark ? 0.035 : 0.035, 260)),
    unnamed: css(oklch(dark ? 0.36 : 0.87, 0.006, 60)),
    trimmed: css(oklch(dark ? 0.31 : 0.91, 0.006, 60)),
    dim: css(oklch(dark ? 0.28 : 0.93, 0.008, 60)),
    dimText: dark ? '#b9b4ae' : '#55504a',
    run: css(oklch(dark ? 0.37 : 0.85, 0.03, 40)),
    hit: dark ? '#ffd84d' : '#ffc400',
    hitText: '#111111',
    root: css(oklch(dark ? 0.33 : 0.89, 0.012, 60)),
    background: dark ? '#151311' : '#ffffff',
    focusRing: dark ? '#ffffff' : '#111111',
    hover: dark ? '#ffffff' : '#111111',
  };
}

export const PALETTES: Record<Theme, Palette> = { dark: makePalette('dark'), light: makePalette('light') };

function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h ^= h >>> 15;
  return Math.imul(h, 0x2c1b3c6d) >>> 0;
}

/** A group per node: its package if asked for and known, else its library, else its own name. */
function grouping(t: FlameTree, mode: ColorMode): { texts: string[]; of: (i: number) => number } {
  const ids = new Map<string, number>();
  const texts: string[] = [];
  const id = (text: string): number => {
    let n = ids.get(text);
    if (n === undefined) {
      n = texts.length;
      ids.set(text, n);
      texts.push(text);
    }
    return n;
  };
  const lib = Int32Array.from(t.libraries, (s) => (s === '' ? -1 : id(s.slice(s.lastIndexOf('/') + 1))));
  const pkg = Int32Array.from(t.names, (s) => {
    const text = mode === 'pkg' ? packageOf(s) : '';
    return text === '' ? -1 : id(text);
  });
  const own = Int32Array.from(t.names, (s) => id(s));
  const of = (i: number): number => {
    const name = t.name[i];
    if (pkg[name] >= 0) return pkg[name];
    const l = lib[t.library[i]];
    return l >= 0 ? l : own[name];
  };
  return { texts, of };
}

/** What the colours of a tree stand for. */
export interface LegendEntry {
  text: string;
  /** Position in `colourTable`. */
  colour: number;
  /** Own value of its frames. */
  self: number;
}

export interface Colouring {
  /** The colour of every node as a position in `colourTable`. */
  index: Uint8Array;
  /** Largest first. */
  legend: LegendEntry[];
}

const TRIMMED = 0;
const UNNAMED = 1;
const KERNEL = 2;
const ROOT = 3;
const FIRST_BOX = 4;
const FIRST_HEAT = FIRST_BOX + FAMILIES.length * VARIANTS;

function bySelf(t: FlameTree): Colouring {
  const index = new Uint8Array(t.n);
  for (let i = 1; i < t.n; i++) {
    const share = t.total[i] > 0 ? t.self[i] / t.total[i] : 0;
    index[i] = t.flags[i] & FLAG_TRIMMED ? TRIMMED : FIRST_HEAT + Math.round(share * 11);
  }
  if (t.n > 0) index[0] = ROOT;
  return { index, legend: [] };
}

/**
 * The heaviest group gets the flame's colour, the next ones a hue each while there are any left. Among
 * these the name decides, not the weight, so that a colour stays while the figures move.
 */
function familiesOf(texts: string[], weight: Float64Array): Uint8Array {
  const others = FAMILIES.length - 1;
  const own = (group: number): number => 1 + (hash(texts[group]) % others);
  const family = Uint8Array.from(texts, (_, group) => own(group));
  const order = Array.from(texts.keys()).sort((a, b) => weight[b] - weight[a] || a - b);
  const taken = new Uint8Array(FAMILIES.length);
  for (const group of order.slice(1, 1 + others).sort((a, b) => (texts[a] < texts[b] ? -1 : 1))) {
    let f = own(group);
    while (taken[f]) f = 1 + (f % others);
    taken[f] = 1;
    family[group] = f;
  }
  if (order.length > 0) family[order[0]] = 0;
  return family;
}

const known = new WeakMap<FlameTree, Map<ColorMode, Colouring>>();

/** Colours a tree by library or package, or by the share of own time in each frame; once a tree. */
export function colouring(t: FlameTree, mode: ColorMode): Colouring {
  const modes = known.get(t) ?? new Map<ColorMode, Colouring>();
  known.set(t, modes);
  const found =
    modes.get(mode) ?? (mode === 'self' ? bySelf(t) : mode === 'class' ? byClass(t) : byGroup(t, mode));
  modes.set(mode, found);
  return found;
}

/** Words of the legend for each class. */
export const CLASS_TEXTS: Record<(typeof CLASSES)[number], string> = {
  unknown: 'not known whose',
  own: 'your code',
  dependency: 'dependencies',
  runtime: 'runtime',
  kernel: 'kernel',
};
/** Families of your code, dependencies and runtime; what is neither is grey. */
const CLASS_FAMILIES: Record<string, number> = { own: 0, dependency: 1, runtime: 2 };

function byClass(t: FlameTree): Colouring {
  const index = new Uint8Array(t.n);
  const variant = t.names.map((s) => hash(s) % VARIANTS);
  const own = new Float64Array(CLASSES.length);
  for (let i = 0; i < t.n; i++) {
    const family = CLASS_FAMILIES[CLASSES[t.class[i]]];
    if (t.flags[i] & FLAG_TRIMMED) index[i] = TRIMMED;
    else if (i === 0) index[i] = ROOT;
    else {
      own[t.class[i]] += t.self[i];
      const grey = CLASSES[t.class[i]] === 'kernel' ? KERNEL : UNNAMED;
      index[i] = family === undefined ? grey : FIRST_BOX + family * VARIANTS + variant[t.name[i]];
    }
  }
  const legend = CLASSES.map((name, at) => {
    const family = CLASS_FAMILIES[name];
    const grey = name === 'kernel' ? KERNEL : UNNAMED;
    const colour = family === undefined ? grey : FIRST_BOX + family * VARIANTS + 2;
    return { text: CLASS_TEXTS[name], colour, self: own[at] };
  });
  return { index, legend: legend.filter((e) => e.self > 0).sort((a, b) => b.self - a.self) };
}

function byGroup(t: FlameTree, mode: ColorMode): Colouring {
  const index = new Uint8Array(t.n);
  const { texts, of } = grouping(t, mode);
  const weight = new Float64Array(texts.length);
  const special = new Float64Array(FIRST_BOX);
  const slot = (i: number): number => {
    const f = t.flags[i];
    if (f & FLAG_TRIMMED) return TRIMMED;
    if (i === 0) return ROOT;
    if (f & FLAG_KERNEL) return KERNEL;
    return f & FLAG_UNSYMBOLISED ? UNNAMED : FIRST_BOX;
  };
  for (let i = 0; i < t.n; i++) {
    const s = slot(i);
    if (s === FIRST_BOX) weight[of(i)] += t.self[i];
    else special[s] += t.self[i];
  }
  const family = familiesOf(texts, weight);
  const variant = t.names.map((s) => hash(s) % VARIANTS);
  for (let i = 0; i < t.n; i++) {
    const s = slot(i);
    index[i] = s === FIRST_BOX ? FIRST_BOX + family[of(i)] * VARIANTS + variant[t.name[i]] : s;
  }
  const legend = texts.map((text, g) => ({
    text,
    colour: FIRST_BOX + family[g] * VARIANTS + 2,
    self: weight[g],
  }));
  legend.push({ text: 'kernel', colour: KERNEL, self: special[KERNEL] });
  legend.push({ text: 'no name found', colour: UNNAMED, self: special[UNNAMED] });
  legend.push({ text: 'trimmed', colour: TRIMMED, self: special[TRIMMED] });
  return { index, legend: legend.filter((e) => e.self > 0).sort((a, b) => b.self - a.self) };
}

export function colourTable(theme: Theme): string[] {
  const p = PALETTES[theme];
  return [p.trimmed, p.unnamed, p.kernel, p.root, ...p.boxes, ...p.heat];
}
