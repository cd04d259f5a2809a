//! Reading a layer whose files' bytes stay where they are: in its tarball, expanded.

use std::io::{BufRead, Write};

use tree::{Content, Span};

use crate::error::Error;
use crate::read::content::Contents;
use crate::read::{Keep, Layer, ReadOptions, Reading};
use crate::tar::{Entry, Reader};

/// Reads a layer as [`read`](crate::read()) does, but for files that the tarball holds as they are: each is a span of
/// the layer `tarball_number`, whose content space is the tarball itself, byte for byte. What follows a file there is not
/// zero.
///
/// Files of which it holds the data without the holes seldom lie at whole blocks: their bytes go to `contents`, the content
/// space of the layer `number`.
///
/// # Errors
///
/// As [`read`](crate::read()).
pub fn read_in_place(
    (number, tarball_number): (u32, u32),
    tarball: impl BufRead,
    contents: impl Write,
    options: &ReadOptions,
) -> Result<Layer, Error> {
    let keep = InPlace { tarball: tarball_number, others: Contents::new(number, contents) };
    let mut reading = Reading::with(number, tarball, keep, options);
    while reading.step()? {}
    reading.finish()
}

struct InPlace<W> {
    tarball: u32,
    others: Contents<W>,
}

impl<R: BufRead, W: Write> Keep<R> for InPlace<W> {
    fn content(&mut self, tar: &mut Reader<R>, entry: &Entry) -> Result<Content, Error> {
        if let Some(sparse) = &entry.sparse {
            return self.others.sparse(tar, sparse);
        }
        tar.skip_content()?;
        Ok(match entry.size {
            0 => Content::Empty,
            length => Content::Whole(Span { layer: self.tarball, offset: entry.content_offset, length }),
        })
    }

    fn length(&self) -> u64 {
        self.others.length()
    }
}
