//! Calls of C libraries that no safe crate offers. The only crate with `unsafe` in it: small functions, each of which
//! is safe for whatever it is given.

pub mod lz4;
