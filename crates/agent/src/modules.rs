//! Files of code, opened once for all processes that map them.

use crate::limits;
use crate::process::open_regular;
use rustc_hash::FxHashMap;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use unwind::Module;

/// What stands for a path in the mapping of the vdso.
pub(crate) const VDSO: &str = "[vdso]";

/// Number of a module, never used twice.
pub(crate) type ModuleId = u32;

/// An open file of code.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) id: ModuleId,
    pub(crate) module: Arc<Module>,
    /// Path as its first process saw it.
    pub(crate) path: Arc<str>,
    file: Option<File>,
}

impl Loaded {
    /// A path that names this very file, even after it was replaced or its process ended.
    pub(crate) fn stable_path(&self) -> Option<PathBuf> {
        let file = self.file.as_ref()?;
        Some(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
    }

    /// Gives back the memory of what was read of the file if much is in memory.
    pub(crate) fn release_pages(&self) {
        if has_many_pages() {
            self.module.release_pages();
        }
    }
}

/// Whether so much of mapped files is in memory that it should be given back. Doing it always would
/// cost more than what is read: all CPUs that run this process are interrupted and waited for,
/// which was measured to be a tenth of what the agent uses on a busy virtual machine.
fn has_many_pages() -> bool {
    let Ok(statm) = std::fs::read_to_string("/proc/self/statm") else { return true };
    let pages = statm.split_ascii_whitespace().nth(2).and_then(|it| it.parse::<u64>().ok());
    pages.is_none_or(|it| it > limits::FILE_PAGES_MAX)
}

/// Device, inode, and time of change in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u64, u64, i64);

/// The modules in use.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    loaded: FxHashMap<Key, Option<Arc<Loaded>>>,
    vdso: Option<Arc<Loaded>>,
    next: ModuleId,
}

/// What a mapping says of its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileHint<'a> {
    pub(crate) pid: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) inode: u64,
    pub(crate) path: &'a str,
}

fn candidates(hint: FileHint<'_>) -> [String; 3] {
    let FileHint { pid, start, end, path, .. } = hint;
    [
        format!("/proc/{pid}/root{path}"),
        format!("/proc/{pid}/map_files/{start:x}-{end:x}"),
        path.to_owned(),
    ]
}

impl Modules {
    /// The module of a mapping, opened if it is new; none if its file cannot be had or is no ELF.
    pub(crate) fn get(&mut self, hint: FileHint<'_>) -> Option<Arc<Loaded>> {
        for path in candidates(hint) {
            let Some((file, meta)) = open_regular(&path) else { continue };
            if hint.inode != 0 && meta.ino() != hint.inode {
                continue;
            }
            let changed = meta.mtime().wrapping_mul(1_000_000_000).wrapping_add(meta.mtime_nsec());
            let key = Key(meta.dev(), meta.ino(), changed);
            if let Some(known) = self.loaded.get(&key) {
                return known.clone();
            }
            if self.loaded.len() >= limits::MODULES_MAX {
                self.drop_unused();
            }
            let module = match Module::from_file(&file) {
                Ok(module) if self.loaded.len() < limits::MODULES_MAX => {
                    Some(self.wrap(module, hint.path, Some(file)))
                }
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(path = hint.path, %error, "no module");
                    None
                }
            };
            if self.loaded.len() < limits::MODULES_MAX {
                self.loaded.insert(key, module.clone());
            }
            return module;
        }
        None
    }

    /// The vdso, the same for all 64-bit processes, read from our own memory.
    pub(crate) fn vdso(&mut self) -> Option<Arc<Loaded>> {
        if self.vdso.is_none() {
            let bytes = own_vdso()?;
            let module = Module::from_bytes(bytes).ok()?;
            self.vdso = Some(self.wrap(module, VDSO, None));
        }
        self.vdso.clone()
    }

    fn wrap(&mut self, module: Module, path: &str, file: Option<File>) -> Arc<Loaded> {
        self.next += 1;
        Arc::new(Loaded { id: self.next, module: Arc::new(module), path: path.into(), file })
    }

    /// How many were opened so far.
    pub(crate) fn opened(&self) -> u32 {
        self.next
    }

    /// Gives back the memory of what was read of the files if it is much.
    pub(crate) fn release_pages(&self) {
        if !has_many_pages() {
            return;
        }
        self.loaded.values().flatten().for_each(|it| it.module.release_pages());
    }

    /// Closes what no process and no batch uses.
    pub(crate) fn drop_unused(&mut self) {
        self.loaded.retain(|_, it| it.as_ref().is_some_and(|it| Arc::strong_count(it) > 1));
    }
}

fn own_vdso() -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    let mut bytes = vec![0; usize::try_from(end.checked_sub(start)?).ok()?.min(1 << 20)];
    File::open("/proc/self/mem").ok()?.read_exact_at(&mut bytes, start).ok()?;
    Some(bytes)
}
