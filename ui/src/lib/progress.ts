// How far a question is, in words.

export interface RunningQuery {
  id: string;
  running_ms: number;
  rows_read: number;
  rows_to_read: number;
}

/** What to say of the question `id`; nothing when it is not running (any more). */
export function progressText(running: readonly RunningQuery[], id: string): string | undefined {
  const own = running.find((one) => one.id === id);
  if (!own) return undefined;
  const seconds = `${Math.floor(own.running_ms / 1000)} s`;
  if (own.rows_to_read === 0) return `Waiting for ${seconds}`;
  const percent = Math.floor((own.rows_read / own.rows_to_read) * 100);
  const of = `${own.rows_read.toLocaleString('en')} of ${own.rows_to_read.toLocaleString('en')}`;
  return `${of} samples looked through (${percent} %), ${seconds}`;
}
