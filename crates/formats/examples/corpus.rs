use std::collections::BTreeMap;
fn main() {
    for path in std::env::args().skip(1) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let format = formats::sniff(&bytes).map_or("-", |f| f.name);
        let d = formats::decode(&bytes, &formats::Options::default());
        let mut out = format!(
            "{{\"file\":{path:?},\"format\":{format:?},\"issues\":{:?},\"profiles\":[",
            d.issues.iter().map(|i| i.to_string()).collect::<Vec<_>>()
        );
        for (n, p) in d.profiles.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            out += &format!(
                "{{\"rows\":{},\"labels\":{},\"types\":[",
                p.profile.samples.len(),
                p.profile.labels.len()
            );
            for (m, t) in p.type_map.iter().enumerate() {
                if m > 0 {
                    out.push(',');
                }
                let total: i128 = p
                    .profile
                    .samples
                    .iter()
                    .filter(|s| s.kind == t.kind)
                    .map(|s| i128::from(s.values[t.measure]))
                    .sum();
                let mut selfs: BTreeMap<String, i64> = BTreeMap::new();
                for s in p.profile.samples.iter().filter(|s| s.kind == t.kind) {
                    let tb = &p.profile.tables;
                    let Some(l) = tb.stacks.leaf_first(s.stack).next() else { continue };
                    let name =
                        profile::folded::frame_names(tb, tb.locations.get(l).unwrap())[0].clone();
                    *selfs.entry(name).or_default() += s.values[t.measure];
                }
                let mut top: Vec<_> = selfs.into_iter().collect();
                top.sort_by_key(|x| -x.1);
                top.truncate(8);
                out += &format!(
                    "{{\"type\":{:?},\"unit\":{:?},\"id\":{:?},\"total\":{total},\"top\":[{}]}}",
                    t.sample_type,
                    t.unit,
                    t.profile_type.0,
                    top.iter().map(|(k, v)| format!("[{k:?},{v}]")).collect::<Vec<_>>().join(",")
                );
            }
            out += "]}";
        }
        println!("{out}]}}");
    }
}
