//! How much memory there is, and what of it may be taken for what.

use std::path::Path;

/// A part of the memory, within bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    divisor: u64,
    bytes_min: u64,
    bytes_max: u64,
}

/// For tables and lists of stored profiles while they are asked for.
pub(super) const CACHE: Share = Share { divisor: 16, bytes_min: 64 << 20, bytes_max: 512 << 20 };
/// For profiles that wait to be written to segments: the more at a time, the more of their stacks
/// are the same, and the fewer segments are merged later.
pub(super) const MEMTABLE: Share = Share { divisor: 64, bytes_min: 64 << 20, bytes_max: 256 << 20 };

impl Share {
    /// Its size where the settings name none.
    pub(super) fn bytes(self) -> u64 {
        self.bytes_of(total_bytes(Path::new("/")))
    }

    fn bytes_of(self, total: Option<u64>) -> u64 {
        total.map_or(self.bytes_min, |total| {
            (total / self.divisor).clamp(self.bytes_min, self.bytes_max)
        })
    }
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
    fn a_share_grows_with_the_memory_within_its_bounds() {
        let mib = |share: Share| {
            let of = |total: Option<u64>| share.bytes_of(total) >> 20;
            [None, Some(512 << 20), Some(4 << 30), Some(8 << 30), Some(64 << 30)].map(of)
        };
        assert_eq!(mib(CACHE), [64, 64, 256, 512, 512]);
        assert_eq!(mib(MEMTABLE), [64, 64, 64, 128, 256]);
    }
}
