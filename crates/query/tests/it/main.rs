//! The engine answers as the oracle does, wherever the data lies.

mod agree;
mod asks;
mod damage;
mod deleted;
mod dots;
mod duckdb;
mod edges;
mod events;
mod fixture;
mod further;
mod late;
mod limits;
mod reads;
mod requests;
mod rollups;
mod slices;
mod spans;
