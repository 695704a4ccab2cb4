// One place for query keys and fetchers; components only say what they want.
import { keepPreviousData, type QueryClient, useQuery } from '@tanstack/react-query';
import { type Rate, rateOf } from '../lib/rate';
import { matchOf, type Scope } from '../lib/scope';
import { resolveTime } from '../lib/time';
import { getFlame, getJson, type Params } from './client';
import {
  type Config,
  CPU_SAMPLES,
  CPU_TIME,
  type ProfileDetail,
  type ProfilesAnswer,
  type ProfileType,
  type SeriesAnswer,
  type ServicesAnswer,
  type TopAnswer,
} from './types';

function every(scope: Scope): { refetchInterval: number | false; placeholderData: typeof keepPreviousData } {
  return { refetchInterval: scope.live ? scope.live * 1000 : false, placeholderData: keepPreviousData };
}
const WAITING_MS = 3_000;
const range = (s: Scope) => ({ from: s.from, to: s.to });

export function useConfig() {
  return useQuery({
    queryKey: ['config'],
    queryFn: ({ signal }) => getJson<Config>('/config', {}, signal),
    staleTime: 300_000,
  });
}

export function useServices(s: Scope) {
  return useQuery({
    queryKey: ['services', s.from, s.to],
    queryFn: ({ signal }) => getJson<ServicesAnswer>('/services', range(s), signal),
    placeholderData: keepPreviousData,
    // An empty install is waiting for its first profile: look often, so that it appears by itself.
    refetchInterval: (query) =>
      query.state.data?.services.length === 0 && s.to === 'now' ? WAITING_MS : s.live ? s.live * 1000 : false,
  });
}

export function useTypes(s: Scope) {
  const match = matchOf(s);
  return useQuery({
    queryKey: ['types', s.from, s.to, match],
    queryFn: async ({ signal }) =>
      (await getJson<{ types: ProfileType[] }>('/profile-types', { ...range(s), match }, signal)).types,
    ...every(s),
  });
}

export function useLabels(s: Scope) {
  const match = matchOf({ ...s, env: [], ver: [], role: [], host: [] });
  return useQuery({
    queryKey: ['labels', s.from, s.to, match],
    queryFn: async ({ signal }) =>
      (await getJson<{ labels: string[] }>('/labels', { ...range(s), match }, signal)).labels,
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
}

export interface LabelValue {
  value: string;
  profiles: number;
}

export function useLabelValues(s: Scope, name: string, match: string, enabled: boolean) {
  return useQuery({
    queryKey: ['values', name, s.from, s.to, match],
    queryFn: async ({ signal }) =>
      (
        await getJson<{ values: LabelValue[] }>(
          `/labels/${encodeURIComponent(name)}/values`,
          { ...range(s), match },
          signal,
        )
      ).values,
    enabled,
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
}

export interface FlameQuery {
  type: string;
  maxNodes: number;
  profile?: string;
}

/** What a flame graph is asked with. */
export function flameParams(s: Scope, q: FlameQuery): Params {
  const { type, maxNodes: max_nodes, profile } = q;
  return { type, ...range(s), match: matchOf(s), source: s.src, max_nodes, profile };
}

export function useFlame(s: Scope, q: FlameQuery) {
  const match = matchOf(s);
  return useQuery({
    queryKey: ['flame', s.from, s.to, match, s.src, q.type, q.maxNodes, q.profile],
    queryFn: ({ signal }) => getFlame(flameParams(s, q), signal),
    structuralSharing: false,
    ...every(s),
  });
}

export function useTop(s: Scope, type: string, enabled: boolean) {
  const match = matchOf(s);
  return useQuery({
    queryKey: ['top', s.from, s.to, match, s.src, type],
    queryFn: ({ signal }) =>
      getJson<TopAnswer>(
        '/top',
        { type, ...range(s), match, source: s.src, limit: 5000, sort: 'self' },
        signal,
      ),
    enabled,
    ...every(s),
  });
}

export function useSeries(s: Scope, type: string, stepMs: number, groupBy?: string) {
  const match = matchOf(s);
  return useQuery({
    queryKey: ['series', s.from, s.to, match, s.src, type, stepMs, groupBy],
    queryFn: ({ signal }) =>
      getJson<SeriesAnswer>(
        '/series',
        { type, ...range(s), match, source: s.src, step_ms: stepMs, group_by: groupBy },
        signal,
      ),
    ...every(s),
  });
}

export function useProfiles(s: Scope, type: string | undefined, cursor: string | undefined) {
  const match = matchOf(s);
  return useQuery({
    queryKey: ['profiles', s.from, s.to, match, type, cursor],
    queryFn: ({ signal }) =>
      getJson<ProfilesAnswer>('/profiles', { ...range(s), match, type, limit: 200, cursor }, signal),
    ...every(s),
  });
}

/** One profile without its samples; without an id, the newest one of the selection. */
export function useProfileDetail(s: Scope, id: string | undefined, enabled: boolean) {
  const match = matchOf(s);
  return useQuery({
    queryKey: ['detail', id, id ? undefined : [s.from, s.to, match]],
    queryFn: async ({ signal }): Promise<ProfileDetail | null> => {
      let wanted = id;
      if (!wanted) {
        const newest = await getJson<ProfilesAnswer>('/profiles', { ...range(s), match, limit: 1 }, signal);
        wanted = newest.profiles[0]?.id;
      }
      return wanted ? getJson<ProfileDetail>(`/profiles/${encodeURIComponent(wanted)}`, {}, signal) : null;
    },
    enabled,
    ...every(s),
  });
}

/** How often samples of CPU time were taken, from two measures of the same events and range. */
export function useRate(s: Scope, stepMs: number) {
  const match = matchOf(s);
  return useQuery({
    queryKey: ['rate', s.from, s.to, match, s.src, stepMs],
    queryFn: async ({ signal }): Promise<Rate | null> => {
      const now = Date.now();
      const from_ms = resolveTime(s.from, now) ?? now;
      const to_ms = resolveTime(s.to, now) ?? now;
      const ask = (type: string) =>
        getJson<SeriesAnswer>(
          '/series',
          { type, from: from_ms, to: to_ms, match, source: s.src, step_ms: stepMs },
          signal,
        );
      const [time, samples] = await Promise.all([ask(CPU_TIME), ask(CPU_SAMPLES)]);
      return rateOf(time, samples, { from_ms, to_ms });
    },
    ...every(s),
  }).data;
}

/** Asks for everything on the page again. */
export function refreshAll(client: QueryClient): void {
  void client.invalidateQueries({ refetchType: 'active' });
}
