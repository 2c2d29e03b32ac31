//! Maps on a real disk, processes in a table of a test's own.
