//! User-space unwinding of sampled stacks.
