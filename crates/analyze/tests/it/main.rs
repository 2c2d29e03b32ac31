//! What the program says and writes, given recordings made by hand.

mod bill;
mod cache;
mod cuts;
mod damage;
mod debuginfod;
mod diff;
mod exports;
mod kernel;
mod lookup;
mod made;
mod named;
mod perf_data;
mod pprof;
mod printed;
mod summary;
mod testdata;
mod unwind;
mod views;
