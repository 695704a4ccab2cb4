//! tmp
#![allow(warnings)]
use crate::fixture::run;
use arrow::array::*; use arrow::datatypes::*;
use profile::*; use std::sync::Arc; use stdx::*; use store::*; use views::*;
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/schedstat").unwrap(); 
 let mut t=0u64; for e in std::fs::read_dir("/proc/self/task").unwrap() { let p=e.unwrap().path().join("schedstat"); if let Ok(s)=std::fs::read_to_string(p) { t+=s.split(' ').next().unwrap().parse::<u64>().unwrap_or(0);} } let _=s; t as f64/1e9 }
fn gen(rng: &mut Rng, svc: u64, at: i64, rows: u64) -> Profile {
  let mut p = Profile::default();
  p.labels = [("service_name", format!("svc{svc}")), ("instance", format!("i{svc}")), ("source","agent".into())].into_iter().collect();
  let start = Timestamp::from_millis(1_795_219_200_000 + at*10_000);
  p.window = TimeRange::new(start, start.plus_nanos(10_000_000_000));
  let k = p.intern_kind(&SampleKind::from_id("stack").unwrap());
  let names: Vec<LocationId> = (0..2000).map(|i| p.tables.named_location(&format!("svc{}::function_{i}", svc%5))).collect();
  for _ in 0..rows {
    let leaf = rng.below(3000); let mut h = Rng::seeded(leaf);
    let depth = 10 + h.below(20); let mut st = StackId(0);
    for d in 0..depth { let pick = if d < 8 { h.below(3) + d*7 } else { h.below(2000) }; st = p.tables.stacks.intern(st, names[pick as usize]); }
    p.samples.push(Sample { kind: k, stack: st, time: Some(start.plus_nanos((rng.below(10_000_000_000)) as i64)), values: [10_101_010,0,0,0], ..Sample::default() });
  }
  p
}
#[test]
fn bench() { run(async {
  let dir = tempfile::tempdir().unwrap();
  let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_795_219_200_000 + 30*3_600_000)));
  let store = Store::open(dir.path(), Options::default(), clock, Rng::seeded(1)).await.unwrap();
  let mut rng = Rng::seeded(7);
  for at in 0..100 { for chunk in 0..1 { let _=chunk; let ps: Vec<Profile> = (0..10).map(|s| gen(&mut rng, s, at, 1000)).collect(); store.append("default", ps).await.unwrap(); } if at % 10 == 9 { store.flush().await.unwrap(); } }
  while store.compact_once().await.unwrap() {}
  let range = TimeRange::new(Timestamp::from_millis(1_795_219_200_000), Timestamp::from_millis(1_795_219_200_000+1_000_000));
  let stats = store.stats(); eprintln!("segments {} rows {}", stats.segments, stats.segment_rows);
  let engine = query::Engine::new(store.clone(), query::Settings { scans_max: 2, ..Default::default() });
  let ty = Some(ProfileTypeId("process_cpu:cpu:nanoseconds:cpu:nanoseconds".into()));
  let all = Selection { profile_type: ty.clone(), ..Selection::everything("default", range) };
  let one = Selection { matchers: parse_matchers("{service_name=\"svc3\"}").unwrap(), ..all.clone() };
  let cut = Selection { range: TimeRange::new(range.start.plus_nanos(123_456_789_012), range.end.plus_nanos(-123_456_789_012)), ..all.clone() };
  for (name, sel) in [("flame all", &all), ("flame one of ten", &one), ("flame cut range", &cut)] { for _ in 0..3 { let c = cpu(); let g = engine.flamegraph(sel, 8192).await.unwrap(); eprintln!("{name}: cpu {:.4} samples {} nodes {}", cpu()-c, g.meta.samples, g.len()); } }
  for step in [7_000, 60_000] { let q = SeriesQuery { step_ms: step, group_by: vec!["service_name".into()] }; for _ in 0..2 { let c = cpu(); let s = engine.series(&all, &q).await.unwrap(); eprintln!("series step {step}: cpu {:.4} lines {}", cpu()-c, s.series.len()); } }
  let c = cpu(); let n = engine.label_values(&all, "service_name").await.unwrap().len(); eprintln!("label values: cpu {:.5} {n}", cpu()-c);
  for _ in 0..3 { let c = cpu(); let mut rows=0; let mut groups=0;
    for part in store.snapshot("default", range).parts { if let Samples::Parquet { path, .. } = part.samples() {
      let f = std::fs::File::open(dir.path().join(path.as_ref())).unwrap();
      let b = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(f).unwrap();
      let m = parquet::arrow::ProjectionMask::columns(b.parquet_schema(), ["stack","v0"]);
      let mut sums = vec![0i64; 1<<20];
      for batch in b.with_projection(m).with_batch_size(8192).build().unwrap() { let batch = batch.unwrap();
        let s = batch.column_by_name("stack").unwrap().as_primitive::<UInt32Type>(); let v = batch.column_by_name("v0").unwrap().as_primitive::<Int64Type>();
        for (s,v) in s.values().iter().zip(v.values()) { sums[*s as usize] += v; } rows += batch.num_rows(); }
      groups += sums.iter().filter(|v| **v != 0).count(); } }
    eprintln!("hand loop step 1: cpu {:.4} rows {rows} groups {groups}", cpu()-c); }
}) }
