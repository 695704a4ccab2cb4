//! The store as its users see it: what goes in comes out, through flushes, compactions, restarts
//! and power cuts.

mod behaviour;
mod chaos;
mod clients;
mod crash;
mod events;
mod fault;
mod faults;
mod golden;
mod keeping;
mod payloads;
mod picked;
mod power;
mod reading;
mod repeats;
mod rollup_golden;
mod rollups;
mod spans;
mod tracers;
