// Decodes and lays out an answer off the main thread; buffers are transferred.
import { decodeArrow } from './decode';
import { type FlameTree, layout } from './tree';

export interface WorkerRequest {
  id: number;
  bytes: ArrayBuffer;
}
export type WorkerReply =
  | { id: number; ok: true; tree: FlameTree; meta: unknown }
  | { id: number; ok: false; error: string };

/** The buffers of a tree that can move between threads without a copy. */
function buffersOf(t: FlameTree): ArrayBuffer[] {
  return [
    t.depth,
    t.name,
    t.library,
    t.file,
    t.line,
    t.total,
    t.self,
    t.flags,
    t.class,
    t.x,
    t.end,
    t.parent,
  ].map((a) => a.buffer as ArrayBuffer);
}

if (typeof self !== 'undefined' && 'importScripts' in self) {
  const scope = self as unknown as {
    onmessage: ((e: MessageEvent<WorkerRequest>) => void) | null;
    postMessage(reply: WorkerReply, transfer?: ArrayBuffer[]): void;
  };
  scope.onmessage = (e) => {
    const { id, bytes } = e.data;
    try {
      const { columns, meta } = decodeArrow(bytes);
      const tree = layout(columns);
      scope.postMessage({ id, ok: true, tree, meta }, buffersOf(tree));
    } catch (error) {
      scope.postMessage({ id, ok: false, error: error instanceof Error ? error.message : String(error) });
    }
  };
}
