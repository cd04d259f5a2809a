//! Images, registries and judges for unlade's tests.

#[cfg(unix)]
pub mod alike;
#[cfg(unix)]
pub mod boot;
#[cfg(unix)]
pub mod containerd;
pub mod corpus;
pub mod dumps;
#[cfg(unix)]
pub mod erofs;
pub mod hello;
pub mod image;
#[cfg(unix)]
pub mod judge;
pub mod large;
pub mod layout;
pub mod line;
#[cfg(unix)]
pub mod listing;
pub mod proxy;
pub mod registry;
pub mod stack;
pub mod sums;
pub mod tarball;
pub mod tools;
pub mod ustar;
#[cfg(unix)]
pub mod wear;
