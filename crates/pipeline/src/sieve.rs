//! Picking parts out of a layer's content space while it goes by.

use std::io::{self, Write};

use tree::Span;

/// Takes a content space, byte for byte from its start, and hands on what lies in some spans of it.
pub(crate) struct Sieve<'a, T, F> {
    /// What is still to come, or under way: in the order of the spans, which do not overlap.
    parts: &'a [T],
    span: fn(&T) -> Span,
    /// Takes bytes of a part, and how far into its span they are.
    pass: F,
    /// Bytes of the content space so far.
    position: u64,
}

impl<'a, T, F: FnMut(&T, u64, &[u8]) -> io::Result<()>> Sieve<'a, T, F> {
    pub(crate) fn new(parts: &'a [T], span: fn(&T) -> Span, pass: F) -> Sieve<'a, T, F> {
        Sieve { parts, span, pass, position: 0 }
    }
}

impl<T, F: FnMut(&T, u64, &[u8]) -> io::Result<()>> Write for Sieve<'_, T, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (start, end) = (self.position, self.position + bytes.len() as u64);
        while let [part, rest @ ..] = self.parts {
            let span = (self.span)(part);
            if span.offset >= end {
                break;
            }
            let span_end = span.offset + span.length;
            let (from, to) = (span.offset.max(start), span_end.min(end));
            if from < to {
                let bytes = &bytes[(from - start) as usize..(to - start) as usize];
                (self.pass)(part, from - span.offset, bytes)?;
            }
            if span_end > end {
                break;
            }
            self.parts = rest;
        }
        self.position = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
