//! Bounds.

use std::mem::size_of;

use zerocopy::FromBytes;

use super::Corrupt;

/// The bytes of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn new(image: &'a [u8]) -> Bytes<'a> {
        Bytes(image)
    }

    pub(super) fn length(self) -> u64 {
        self.0.len() as u64
    }

    /// `length` bytes from `offset` on.
    pub(super) fn slice(self, offset: u64, length: u64) -> Result<&'a [u8], Corrupt> {
        let outside = Corrupt { offset, what: "what should be here lies behind the image's end" };
        let start = usize::try_from(offset).ok().and_then(|start| self.0.get(start..));
        let length = usize::try_from(length).ok();
        start.zip(length).and_then(|(bytes, length)| bytes.get(..length)).ok_or(outside)
    }

    /// A structure at `offset`.
    pub(super) fn get<T: FromBytes>(self, offset: u64) -> Result<T, Corrupt> {
        let bytes = self.slice(offset, size_of::<T>() as u64)?;
        Ok(T::read_from_bytes(bytes).expect("the slice has the structure's length"))
    }
}
