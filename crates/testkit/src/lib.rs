//! Images, registries and judges for unlade's tests.

pub mod alike;
pub mod boot;
pub mod containerd;
pub mod corpus;
pub mod dumps;
pub mod erofs;
pub mod hello;
pub mod image;
pub mod judge;
pub mod large;
pub mod layout;
pub mod line;
pub mod listing;
pub mod proxy;
pub mod registry;
pub mod stack;
pub mod tarball;
pub mod tools;
pub mod ustar;
pub mod wear;
