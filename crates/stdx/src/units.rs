//! Numbers as people read them: `1.5 GiB`, `2.3 s`, `12.3 k`.

/// `value` of `unit` (`nanoseconds`, `bytes`, `count`, anything else) for people.
pub fn format_value(value: i64, unit: &str) -> String {
    match unit {
        "nanoseconds" => format_nanos(value),
        "bytes" => format_bytes(value),
        "count" => format_count(value),
        other => format!("{} {other}", format_count(value)),
    }
}

/// Nanoseconds as `ns`, `µs`, `ms`, `s`, `min` or `h`.
pub fn format_nanos(nanos: i64) -> String {
    const STEPS: [(f64, &str); 6] =
        [(3.6e12, "h"), (6e10, "min"), (1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    scaled(nanos as f64, &STEPS)
}

/// Bytes in IEC units.
pub fn format_bytes(bytes: i64) -> String {
    const STEPS: [(f64, &str); 5] = [
        (1_099_511_627_776.0, "TiB"),
        (1_073_741_824.0, "GiB"),
        (1_048_576.0, "MiB"),
        (1024.0, "KiB"),
        (1.0, "B"),
    ];
    scaled(bytes as f64, &STEPS)
}

/// Counts with SI suffixes.
pub fn format_count(count: i64) -> String {
    const STEPS: [(f64, &str); 4] = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    scaled(count as f64, &STEPS).trim_end().to_owned()
}

fn scaled(value: f64, steps: &[(f64, &str)]) -> String {
    let (scale, suffix) = steps
        .iter()
        .find(|(scale, _)| value.abs() >= *scale)
        .or(steps.last())
        .unwrap_or(&(1.0, ""));
    let shown = value / scale;
    if shown.fract() == 0.0 {
        format!("{shown:.0} {suffix}")
    } else {
        format!("{shown:.2} {suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(format_value(1_500_000_000, "nanoseconds"), "1.50 s");
        assert_eq!(format_value(1536, "bytes"), "1.50 KiB");
        assert_eq!(format_value(12_345, "count"), "12.35 k");
        assert_eq!(format_value(0, "count"), "0");
        assert_eq!(format_value(-2048, "bytes"), "-2 KiB");
        assert_eq!(format_value(3, "widgets"), "3 widgets");
    }
}
