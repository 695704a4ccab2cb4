//! Ctrl-C, SIGTERM and the end of the terminal: noted instead of ending us, so that whatever runs
//! stops what it started.

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Notes signals from now on.
pub(crate) fn watch() -> anyhow::Result<()> {
    let mut registered = Ok(());
    STOP.get_or_init(|| {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let one = signal_hook::flag::register(signal, Arc::clone(&stop));
            registered = one.map(drop).context("cannot watch signals");
        }
        stop
    });
    registered
}

/// Whether the user asked us to stop.
pub(crate) fn stop_asked() -> bool {
    STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed))
}
