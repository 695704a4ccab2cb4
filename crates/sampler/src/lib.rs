//! Perf events: the only code that talks to the kernel.
