//! **What must never get through**, line by line, against the running program. Tests carry the
//! number of the line they hold.

mod shared;
