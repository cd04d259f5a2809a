//! stub
use crate::Error;
use tree::{Output, Tree};
/// stub
pub fn write(_tree: &Tree, _out: &mut dyn Output) -> Result<u64, Error> {
    Err(Error::unsupported("tar output"))
}
