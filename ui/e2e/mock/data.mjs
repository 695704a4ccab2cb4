// A small made-up fleet for the end-to-end tests that run without the real server.
const CPU = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds';
const ALLOC = 'memory:alloc_space:bytes:space:bytes';

export const TYPES = [
  {
    id: CPU,
    name: 'CPU time',
    kind: 'cpu',
    measure: 'cpu',
    unit: 'nanoseconds',
    aggregation: 'sum',
    description: 'Time spent on a processor, sampled by the agent',
  },
  {
    id: ALLOC,
    name: 'Allocated memory',
    kind: 'alloc',
    measure: 'alloc_space',
    unit: 'bytes',
    aggregation: 'sum',
    description: 'Bytes allocated, freed or not',
  },
];

export function seeded(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const SERVICES = [
  ['checkout', ['go'], 0.61, 'OTEL_SERVICE_NAME', 3],
  ['search', ['jvm'], 0.42, 'DD_SERVICE', 2],
  ['recommendations', ['python'], 0.2, 'container name', 1],
  ['web', ['nodejs'], 0.14, 'systemd unit', 2],
  ['postgres', ['native'], 0.11, 'systemd unit', 1],
  ['kernel', ['kernel'], 0.04, 'executable', 1],
  ['<img src=x onerror=alert(1)>', ['native'], 0.02, 'executable', 1],
  ['sshd', ['native'], 0.001, 'executable', 1],
  ['cron', ['native'], 0.0004, 'executable', 1],
  ['systemd-journald', ['native'], 0.003, 'systemd unit', 1],
];

export function services(from, to) {
  const rows = SERVICES.map(([service, runtimes, cores, name_source, instances], k) => {
    const rnd = seeded(k + 5);
    return {
      service,
      runtimes,
      sources: k === 0 ? ['agent', 'ddtrace'] : ['agent'],
      name_source,
      hosts: Math.min(2, instances),
      instances,
      cpu_cores: cores,
      cpu_share: cores / 4,
      samples: Math.round((cores * 99 * (to - from)) / 1000),
      last_ms: to - 4000 - k * 900,
      types: [CPU],
      spark: Array.from({ length: 60 }, (_, i) => cores * (0.7 + 0.35 * Math.sin(i / 7 + k) + 0.3 * rnd())),
      lost: k === 3 ? 260 : 3,
      broken: Math.round(cores * 300),
      unsymbolized: k === 4 ? 9000 : Math.round(cores * 900),
      notes: k === 2 ? ['Python frames not read yet'] : [],
      sampling: { requested_hz: 99, lowest_hz: k === 3 ? 62 : 99, highest_hz: 99 },
    };
  });
  return { services: rows, range: { from_ms: from, to_ms: to }, cpu_count: 4, cpu_cores: 1.54 };
}

const NAMES = [
  ['main.main', 'checkout', 'cmd/main.go'],
  ['net/http.(*conn).serve', 'checkout', 'net/http/server.go'],
  ['shop.(*Checkout).ServeHTTP', 'checkout', 'shop/checkout.go'],
  ['shop.priceCart', 'checkout', 'shop/price.go'],
  ['shop.parseOrder', 'checkout', 'shop/order.go'],
  ['encoding/json.Unmarshal', 'checkout', 'encoding/json/decode.go'],
  ['encoding/json.(*decodeState).object', 'checkout', 'encoding/json/decode.go'],
  ['runtime.mallocgc', 'checkout', 'runtime/malloc.go'],
  ['runtime.gcBgMarkWorker', 'checkout', 'runtime/mgc.go'],
  ['runtime.scanobject', 'checkout', 'runtime/mgcmark.go'],
  ['crypto/sha256.block', 'checkout', 'crypto/sha256.go'],
  ['regexp.(*Regexp).doExecute', 'checkout', 'regexp/exec.go'],
  ['compress/flate.(*compressor).deflate', 'checkout', ''],
  ['__libc_start_main', '/usr/lib/x86_64-linux-gnu/libc.so.6', ''],
  ['__memmove_avx_unaligned_erms', '/usr/lib/libc.so.6', ''],
  ['do_syscall_64', '[kernel]', ''],
  ['tcp_sendmsg_locked', '[kernel]', ''],
  ['copy_user_enhanced_fast_string', '[kernel]', ''],
  ['std::collections::hash::map::HashMap<K,V>::insert', 'librules.so', 'map.rs'],
  ['0x00007f3a91c2', 'libunknown.so', ''],
  ['<b>not html</b>', 'checkout', ''],
];

/** Columns of a flame graph with about `size` nodes, deterministic per service and type. */
export function flame(service, unit, size = 3000) {
  const rnd = seeded(service.length * 31 + unit.length);
  const root = { name: 0, kids: new Map(), self: 0, total: 0 };
  const names = ['all'];
  const libraries = [''];
  const files = [''];
  const libOf = [0];
  const fileOf = [0];
  for (const [n, l, f] of NAMES) {
    names.push(n);
    if (!libraries.includes(l)) libraries.push(l);
    libOf.push(libraries.indexOf(l));
    if (!files.includes(f)) files.push(f);
    fileOf.push(files.indexOf(f));
  }
  let nodes = 1;
  const chains = [
    [1, 2, 3, 4],
    [1, 2, 3, 5, 6, 7],
    [1, 9, 10],
    [14, 1, 2, 3],
    [1, 2, 3, 12],
  ];
  while (nodes < size) {
    const path = [...chains[Math.floor(rnd() ** 1.5 * chains.length)]];
    const more = Math.floor(rnd() * 26);
    for (let i = 0; i < more; i++) path.push(4 + Math.floor(rnd() ** 1.6 * (NAMES.length - 3)));
    let at = root;
    for (const n of path) {
      let next = at.kids.get(n);
      if (!next) {
        next = { name: n, kids: new Map(), self: 0, total: 0 };
        at.kids.set(n, next);
        nodes++;
      }
      at = next;
    }
    at.self += Math.round(1 + 1 / (rnd() ** 1.3 + 0.002)) * 10_101_010;
  }
  const sum = (node) => {
    node.total = node.self;
    for (const k of node.kids.values()) node.total += sum(k);
    return node.total;
  };
  sum(root);
  const out = {
    depth: [],
    name: [],
    library: [],
    file: [],
    line: [],
    total: [],
    self: [],
    flags: [],
    class: [],
  };
  const walk = (node, d) => {
    out.depth.push(d);
    out.name.push(node.name);
    out.library.push(libOf[node.name]);
    out.file.push(fileOf[node.name]);
    out.line.push(fileOf[node.name] ? 10 + node.name : 0);
    out.total.push(node.total);
    out.self.push(node.self);
    const lib = libraries[libOf[node.name]];
    out.flags.push(lib === '[kernel]' ? 4 : names[node.name].startsWith('0x') ? 2 : 0);
    const text = names[node.name];
    const own = /^(main|shop)\.|<b>|<img/.test(text);
    out.class.push(d === 0 ? 0 : lib === '[kernel]' ? 4 : own ? 1 : lib.includes('.so') ? 2 : 3);
    for (const k of [...node.kids.values()].sort((a, b) => b.total - a.total)) walk(k, d + 1);
  };
  walk(root, 0);
  const classes = ['unknown', 'own', 'dependency', 'runtime', 'kernel'];
  return { ...out, names, libraries, files, classes };
}

export function meta(type, columns, from, to) {
  const samples = Math.round(columns.total[0] / 10_101_010);
  return {
    type,
    unit: type.unit,
    total: columns.total[0],
    trimmed: 0,
    nodes: columns.depth.length,
    profiles: 360,
    samples,
    series: 3,
    sources: [
      { source: 'agent', used: true, profiles: 360 },
      { source: 'ddtrace', used: false, profiles: 60 },
    ],
    quality: {
      lost: Math.round(samples * 0.002),
      broken: Math.round(samples * 0.011),
      unsymbolized: Math.round(samples * 0.03),
      samples,
    },
    range: { from_ms: from, to_ms: to },
  };
}

/** CPU time and its samples over time, by service if asked for; the rate falls in the second half. */
export function series(q, service, from, to) {
  const step = Number(q.get('step_ms') ?? 30_000);
  const samples = q.get('type')?.includes(':samples:');
  const line = (labels, scale) => {
    const rnd = seeded(service.length);
    const points = [];
    for (let t = Math.ceil(from / step) * step; t < to; t += step) {
      const nanos = step * 1e6 * scale * (0.4 + 0.2 * Math.sin(t / 4e5) + 0.15 * rnd());
      const hz = t > (from + to) / 2 ? 62 : 99;
      points.push([t, Math.round(samples ? (nanos / 1e9) * hz : nanos)]);
    }
    return { labels, points };
  };
  const lines = q.get('group_by')
    ? SERVICES.map(([name, , cores]) => line({ service_name: name }, cores))
    : [line({}, 1)];
  return {
    unit: samples ? 'count' : 'nanoseconds',
    aggregation: 'sum',
    step_ms: step,
    series: lines,
    left_out: 0,
  };
}

export function profiles(service, to) {
  return Array.from({ length: 40 }, (_, i) => ({
    id: `01J${String(i).padStart(8, '0')}`,
    start_ms: to - (i + 1) * 10_000,
    end_ms: to - i * 10_000,
    labels: {
      service_name: service === 'all' ? 'checkout' : service,
      env: 'prod',
      host: 'web-1',
      version: '2.14.1',
    },
    samples: 430 - i,
    totals: [{ type: CPU, value: 4.3e9, unit: 'nanoseconds' }],
    client: 'vesta-agent/0.1.0',
  }));
}

export function detail(id, to) {
  const found = profiles('checkout', to).find((p) => p.id === id) ?? profiles('checkout', to)[0];
  return {
    ...found,
    id,
    received_ms: found.end_ms + 300,
    cpu_count: 4,
    cpu_quota: 1.5,
    lost: 1,
    broken: 4,
    unsymbolized: 12,
    info: { 'vesta.service.name.source': 'OTEL_SERVICE_NAME', 'vesta.note': 'Python frames not read yet' },
  };
}
