//! Images, registries and judges for unlade's tests.

pub mod boot;
pub mod corpus;
pub mod judge;
pub mod listing;
pub mod tools;
