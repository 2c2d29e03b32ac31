//! What the program says and writes, given recordings made by hand.

mod damage;
mod diff;
mod made;
mod summary;
mod testdata;
mod unwind;
