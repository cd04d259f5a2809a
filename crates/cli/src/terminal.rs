//! The doors to whoever runs the command: standard output, which answers, and standard error, which talks.
//!
//! Strangers' texts are escaped where they are put into a sentence, so that they can be read back. What passes
//! here is looked at once more: a path typed by somebody else's script, or a cause that a library words, must
//! not move a cursor either. And a closed or full output is an error, or nothing, but never a panic.

use std::io::{self, Write};

use serde_json::Value;
use tree::escape;

/// Most characters of a line for people. A path may have 64 KiB and an image a thousand of them.
const LINE_MAX: usize = 4096;

/// Prints text on standard output. What is in it keeps its lines.
pub(crate) fn answer(text: &str) -> io::Result<()> {
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    let mut out = io::stdout().lock();
    out.write_all(lines.join("\n").as_bytes()).and_then(|()| out.flush()).map_err(unanswered)
}

/// The same for text in columns: tabs between them stay, too.
pub(crate) fn answer_columns(text: &str) -> io::Result<()> {
    let line = |line: &str| line.split('\t').map(visible).collect::<Vec<_>>().join("\t");
    let lines: Vec<String> = text.split('\n').map(line).collect();
    let mut out = io::stdout().lock();
    out.write_all(lines.join("\n").as_bytes()).and_then(|()| out.flush()).map_err(unanswered)
}

/// Prints a JSON document on standard output.
pub(crate) fn answer_json(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(json(&format!("{value:#}\n")).as_bytes()).and_then(|()| out.flush()).map_err(unanswered)
}

/// Says which of all files could not be written to. The kind stays: a closed pipe is no failure.
pub(crate) fn unanswered(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}

/// Prints a line on standard error. Nobody could be told that this failed.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", shortened(&visible(line)));
}

/// The beginning and the end of a line that nobody would read to its end, where the cause stands.
pub(crate) fn shortened(line: &str) -> String {
    let Some(left_out) = line.chars().count().checked_sub(LINE_MAX + 1) else { return line.into() };
    let start: String = line.chars().take(LINE_MAX / 2).collect();
    let end: String = line.chars().skip(LINE_MAX / 2 + left_out + 1).collect();
    format!("{start}[… {} characters …]{end}", left_out + 1)
}

/// Text that a terminal shows in one line and does not obey. What is escaped already stays as it is.
pub(crate) fn visible(text: &str) -> String {
    replaced(text, |c, hidden| hidden.push_str(&escape(c.encode_utf8(&mut [0; 4]).as_bytes()).to_string()))
}

/// The same document in characters that a terminal does not obey: JSON has a spelling for the others.
pub(crate) fn json(document: &str) -> String {
    replaced(document, |c, hidden| match c {
        // Strings hold none: these are between the lines of the document.
        '\n' => hidden.push('\n'),
        c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| *hidden += &format!("\\u{unit:04x}")),
    })
}

/// Lets `hide` write what stands for each character that is not to be seen as it is.
fn replaced(text: &str, hide: impl Fn(char, &mut String)) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let is_plain =
            c == '\\' || escape(c.encode_utf8(&mut [0; 4]).as_bytes()).to_string().len() == c.len_utf8();
        if (' '..='~').contains(&c) || is_plain { shown.push(c) } else { hide(c, &mut shown) }
    }
    shown
}

/// Shows a stranger's bytes on a terminal: lines and tabs stay, what the terminal would obey is escaped.
pub(crate) struct Screen<W> {
    out: W,
    /// The beginning of a character of which the rest is still to come.
    begun: Vec<u8>,
}

impl<W: Write> Screen<W> {
    pub(crate) fn new(out: W) -> Screen<W> {
        Screen { out, begun: Vec::new() }
    }

    /// Shows what is left.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        write!(self.out, "{}", escape(&self.begun))?;
        self.out.flush()
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = std::mem::take(&mut self.begun);
        text.extend_from_slice(bytes);
        // "incomplete", not wrong: there are bytes that could follow.
        let incomplete =
            |end: &[u8]| std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none());
        let whole = (1..=3).find(|&count| text.len() >= count && incomplete(&text[text.len() - count..]));
        self.begun = text.split_off(text.len() - whole.unwrap_or(0));
        for chunk in text.utf8_chunks() {
            let shown = replaced(chunk.valid(), |c, shown| match c {
                '\n' | '\t' => shown.push(c),
                c => *shown += &escape(c.encode_utf8(&mut [0; 4]).as_bytes()).to_string(),
            });
            write!(self.out, "{shown}{}", escape(chunk.invalid()))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_somewhere() {
        for (length, shown) in [(0, 0), (LINE_MAX, LINE_MAX), (LINE_MAX + 1, LINE_MAX + 18), (1 << 20, 4120)]
        {
            let line = shortened(&"é".repeat(length));
            assert_eq!(line.chars().count(), shown, "{length}");
        }
        let line = shortened(&format!("first{}last", "x".repeat(10_000)));
        assert!(line.starts_with("firstx") && line.ends_with("xlast"), "{line}");
        assert!(line.contains("x[… 5913 characters …]x"), "{line}");
    }

    #[test]
    fn a_file_on_a_screen() {
        let bytes = "a\tb\\n\r\n\u{1b}[31m é 漢 \u{202e}".as_bytes();
        let bytes = [bytes, b"\xff\xe6\xbc"].concat();
        for size in 1..bytes.len() {
            let mut shown = Vec::new();
            let mut screen = Screen::new(&mut shown);
            bytes.chunks(size).for_each(|chunk| screen.write_all(chunk).unwrap());
            screen.finish().unwrap();
            let shown = String::from_utf8(shown).unwrap();
            assert_eq!(shown, "a\tb\\n\\r\n\\x1b[31m é 漢 \\xe2\\x80\\xae\\xff\\xe6\\xbc", "{size}");
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_spelled_out() {
        for (text, shown, spelled) in [
            ("plain \\x1b é", "plain \\x1b é", "plain \\x1b é"),
            ("\x1b[31m", "\\x1b[31m", "\\u001b[31m"),
            ("a\nb\r\t\x08\x7f", "a\\nb\\r\\t\\x08\\x7f", "a\nb\\u000d\\u0009\\u0008\\u007f"),
            ("\u{9b}1m", "\\xc2\\x9b1m", "\\u009b1m"),
            ("\u{202e}\u{61c}", "\\xe2\\x80\\xae\\xd8\\x9c", "\\u202e\\u061c"),
            ("\u{e0041}", "\\xf3\\xa0\\x81\\x81", "\\udb40\\udc41"),
        ] {
            assert_eq!((visible(text).as_str(), json(text).as_str()), (shown, spelled), "{text:?}");
        }
    }
}
