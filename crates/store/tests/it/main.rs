//! The store as its users see it: what goes in comes out, through flushes, compactions, restarts
//! and power cuts.

mod behaviour;
mod crash;
mod golden;
mod power;
mod reading;
