//! **Tests against the real binary** live in `tests/`; this library is empty on purpose.
#![forbid(unsafe_code)]
