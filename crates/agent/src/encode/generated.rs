//! Names of generated code: the perf maps of runtimes, `/tmp/perf-PID.map`.

use crate::limits;
use crate::process::{Identity, open_regular};
use rustc_hash::FxHashMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use symbols::{Frame, PerfMap};

#[derive(Debug)]
struct Known {
    state: (u64, u64, i64, i64),
    map: PerfMap,
    last_batch: u64,
}

/// Perf maps by process, read again when they changed.
#[derive(Debug, Default)]
pub(crate) struct PerfMaps {
    maps: FxHashMap<u32, Known>,
    batch: u64,
}

impl PerfMaps {
    /// Begins a batch; maps unused for a while are dropped.
    pub(crate) fn begin(&mut self) {
        self.batch += 1;
        self.maps.retain(|_, it| it.last_batch + 6 >= self.batch);
    }

    /// Reads the map of a process if it has one that is new.
    pub(crate) fn refresh(&mut self, identity: &Identity) {
        let (pid, inner) = (identity.pid, identity.inner_pid);
        let inside = format!("/proc/{pid}/root/tmp/perf-{inner}.map");
        let outside = format!("/tmp/perf-{pid}.map");
        let Some((file, meta)) = [inside, outside].iter().find_map(|path| open_regular(path))
        else {
            return;
        };
        let state = (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
        if let Some(known) = self.maps.get_mut(&pid)
            && known.state == state
        {
            known.last_batch = self.batch;
            return;
        }
        let mut bytes = Vec::new();
        if file.take(limits::PERF_MAP_BYTES_MAX).read_to_end(&mut bytes).is_ok() {
            let map = PerfMap::read(&bytes);
            self.maps.insert(pid, Known { state, map, last_batch: self.batch });
        }
    }

    /// The function of process `pid` at `address`.
    pub(crate) fn find(&self, pid: u32, address: u64) -> Option<Frame> {
        let mut frame = self.maps.get(&pid)?.map.find(address)?;
        if let Some(script) = symbols::v8_function(&frame.function) {
            frame = script;
        }
        Some(frame)
    }
}
