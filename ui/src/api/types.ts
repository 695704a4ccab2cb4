// Shapes of the answers under /api/v1. Times are epoch milliseconds.

export interface Config {
  version: string;
  build: string;
  retention_days: number | null;
  auth: 'local' | 'token';
  now_ms: number;
  note?: string | null;
}

export interface ServiceRow {
  service: string;
  runtimes: string[];
  sources: string[];
  name_source: string | null;
  hosts: number;
  instances: number;
  cpu_cores: number | null;
  /** `cpu_cores` of host CPUs, 0..1. */
  cpu_share: number | null;
  samples: number;
  last_ms: number;
  types: string[];
  spark: number[];
  lost: number;
  broken: number;
  unsymbolized: number;
  /** Remarks of collectors. */
  notes: string[];
  sampling: Sampling | null;
}

/** Samples per second of CPU time: what was asked for, and what was done. */
export interface Sampling {
  requested_hz: number | null;
  lowest_hz: number;
  highest_hz: number;
}

export interface TimeRange {
  from_ms: number;
  to_ms: number;
}

export interface ServicesAnswer {
  services: ServiceRow[];
  range: TimeRange;
  cpu_count: number | null;
  /** Mean cores in use on these hosts, each over the time it was seen. */
  cpu_cores: number | null;
}

export interface ProfileType {
  id: string;
  name: string;
  kind: string;
  measure: string;
  unit: string;
  aggregation: 'sum' | 'gauge';
  description: string;
}

export interface Quality {
  lost: number;
  broken: number;
  unsymbolized: number;
  samples: number;
}

export interface SourceUse {
  source: string;
  used: boolean;
  profiles: number;
}

/** What part of an answer came from hourly rollups. */
export interface Rollups {
  hours: number;
  from_ms: number;
  to_ms: number;
  pruned: number;
}

export interface FlameMeta {
  type: ProfileType;
  unit: string;
  total: number;
  trimmed: number;
  nodes: number;
  profiles: number;
  samples: number;
  series: number;
  sources: SourceUse[];
  quality: Quality;
  range: TimeRange;
  /** Absent where all is made of samples. */
  rollups?: Rollups;
}

export interface TopFunction {
  name: string;
  library: string;
  file: string;
  /** Whose code it is. */
  class?: string;
  self: number;
  total: number;
}

export interface TopAnswer {
  meta: FlameMeta;
  functions: TopFunction[];
}

export interface SeriesAnswer {
  unit: string;
  aggregation: 'sum' | 'gauge';
  step_ms: number;
  series: { labels: Record<string, string>; points: [number, number | null][] }[];
}

export interface ProfileRow {
  id: string;
  start_ms: number;
  end_ms: number;
  labels: Record<string, string>;
  samples: number;
  totals: { type: string; value: number; unit: string }[];
  client: string | null;
}

export interface ProfileDetail extends ProfileRow {
  received_ms: number;
  cpu_count: number | null;
  /** In cores; null: not limited, or not known. */
  cpu_quota: number | null;
  lost: number;
  broken: number;
  unsymbolized: number;
  /** What else the client said, as it said it. */
  info: Record<string, string>;
}

export interface ProfilesAnswer {
  profiles: ProfileRow[];
  next_cursor: string | null;
}

export const CPU_TIME = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds';
export const CPU_SAMPLES = 'process_cpu:samples:count:cpu:nanoseconds';
/** Attributes of our agent in `ProfileDetail.info`. */
export const INFO_NAME_SOURCE = 'vesta.service.name.source';
export const INFO_NOTE = 'vesta.note';
