//! Archives are written, cut, damaged and read again.

mod damage;
mod embed;
mod golden;
mod recipe;
mod round_trip;
mod slices;
mod stored;
mod tools;
