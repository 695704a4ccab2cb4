//! How much memory there is, and what of it may hold what questions read.

use std::path::Path;

/// Part of the memory that tables and lists of stored profiles may take while they are asked for.
const CACHE_SHARE: u64 = 16;
const CACHE_BYTES_MIN: u64 = 64 << 20;
const CACHE_BYTES_MAX: u64 = 512 << 20;

/// The cache's size where the settings name none.
pub(super) fn cache_bytes() -> u64 {
    cache_bytes_of(total_bytes(Path::new("/")))
}

fn cache_bytes_of(total: Option<u64>) -> u64 {
    total.map_or(CACHE_BYTES_MIN, |total| {
        (total / CACHE_SHARE).clamp(CACHE_BYTES_MIN, CACHE_BYTES_MAX)
    })
}

/// Bytes of memory of this machine or, where it has less, of this process's control group
/// (<https://docs.kernel.org/admin-guide/cgroup-v2.html>, `memory.max`).
fn total_bytes(root: &Path) -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let info = read("proc/meminfo")?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024);
    let groups = ["sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = groups.iter().filter_map(|path| read(path)?.trim().parse::<u64>().ok());
    Some(limits.fold(machine, u64::min))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_with_less_memory_than_the_machine_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(total_bytes(root.path()), None);
        put("proc/meminfo", "MemFree:   1 kB\nMemTotal:       16777216 kB\n");
        assert_eq!(total_bytes(root.path()), Some(16 << 30));
        put("sys/fs/cgroup/memory.max", "max\n");
        assert_eq!(total_bytes(root.path()), Some(16 << 30));
        put("sys/fs/cgroup/memory.max", "3221225472\n");
        assert_eq!(total_bytes(root.path()), Some(3 << 30));
    }

    #[test]
    fn a_sixteenth_of_the_memory_within_bounds_is_for_the_cache() {
        let mib = |total: Option<u64>| cache_bytes_of(total) >> 20;
        let found = [None, Some(512 << 20), Some(4 << 30), Some(64 << 30)].map(mib);
        assert_eq!(found, [64, 64, 256, 512]);
    }
}
