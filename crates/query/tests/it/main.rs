//! The engine answers as the oracle does, wherever the data lies.

mod agree;
mod damage;
mod deleted;
mod edges;
mod fixture;
