//! What the program says and writes, given recordings made by hand.

mod damage;
mod debuginfod;
mod diff;
mod made;
mod summary;
mod testdata;
