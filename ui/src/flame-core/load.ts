// Hands bytes to the worker and waits for the tree; without workers it does the
// work here. One worker serves the page.
import { decodeArrow } from './decode';
import { type FlameTree, layout } from './tree';
import type { WorkerReply } from './worker';

let worker: Worker | null = null;
let broken = false;
let next = 1;
const waiting = new Map<number, { resolve: (r: Loaded) => void; reject: (e: Error) => void }>();

export interface Loaded {
  tree: FlameTree;
  meta: unknown;
}

function start(): Worker | null {
  if (worker || broken || typeof Worker === 'undefined') return worker;
  try {
    worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  } catch {
    broken = true;
    return null;
  }
  worker.onmessage = (e: MessageEvent<WorkerReply>) => {
    const slot = waiting.get(e.data.id);
    waiting.delete(e.data.id);
    if (!slot) return;
    if (e.data.ok) slot.resolve({ tree: e.data.tree, meta: e.data.meta });
    else slot.reject(new Error(`the server's answer cannot be read: ${e.data.error}`));
  };
  worker.onerror = () => {
    broken = true;
    worker = null;
    for (const slot of waiting.values()) slot.reject(new Error('the decoder stopped; try again'));
    waiting.clear();
  };
  return worker;
}

export function loadFlame(bytes: ArrayBuffer): Promise<Loaded> {
  const w = start();
  if (!w) {
    const { columns, meta } = decodeArrow(bytes);
    return Promise.resolve({ tree: layout(columns), meta });
  }
  const id = next++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    w.postMessage({ id, bytes }, [bytes]);
  });
}
