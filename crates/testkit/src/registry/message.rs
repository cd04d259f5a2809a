//! Requests and responses of HTTP/1.1, no more of it than tests need.

use std::io::{self, BufRead, Read as _, Write};
use std::time::Duration;

use serde_json::{Value, json};

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// What stands before the question mark.
    pub path: String,
    /// What stands behind it.
    pub query: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one; of one that was cut, the part that was read.
    pub body: Vec<u8>,
    /// Whether no more of the body is read, and the connection ends.
    pub cut: bool,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let fields = self.query.split('&').filter_map(|field| field.split_once('='));
        fields.filter(|(known, _)| *known == name).map(|(_, value)| decoded(value)).next()
    }

    /// Reads the next request of a connection; `None` at its end. `most` says of how many bytes of the body no
    /// more are read.
    pub(super) fn read(
        reader: &mut impl BufRead,
        most: impl FnOnce(&Request) -> Option<usize>,
    ) -> io::Result<Option<Request>> {
        let mut line = || -> io::Result<Option<String>> {
            let mut line = String::new();
            let count = reader.read_line(&mut line)?;
            Ok((count > 0).then(|| line.trim_end().to_string()))
        };
        let Some(start) = line()? else { return Ok(None) };
        let mut words = start.split(' ').map(String::from);
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut request = Request { method, path: path.into(), query: query.into(), ..Request::default() };
        while let Some(line) = line()?.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            request.headers.push((name.to_ascii_lowercase(), value.trim().into()));
        }
        let most = most(&request);
        let room = most.unwrap_or(usize::MAX);
        if request
            .header("transfer-encoding")
            .is_some_and(|encoding| encoding.eq_ignore_ascii_case("chunked"))
        {
            read_chunks(reader, &mut request.body, room)?;
        } else {
            let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            reader.take(length.min(room as u64)).read_to_end(&mut request.body)?;
        }
        request.cut = most.is_some();
        Ok(Some(request))
    }
}

/// Reads a body in chunks, up to about `room` bytes.
fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>, room: usize) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let left = (room - body.len()) as u64;
        reader.take(size.min(left)).read_to_end(body)?;
        if body.len() >= room {
            return Ok(());
        }
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// Without its percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let pair = more.get(..2).and_then(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        match (first, pair) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A response, and how it goes over the wire.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// All headers but `Content-Length` and `Transfer-Encoding`, which follow from the delivery.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How it is sent.
    pub delivery: Delivery,
}

/// How a response goes over the wire; by default soundly.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// Wait so long before the first byte.
    pub delay: Duration,
    /// Send the body in chunks, without stating its length.
    pub chunked: bool,
    /// State this length instead of the body's.
    pub stated_length: Option<u64>,
    /// After so many bytes of the body, close the connection.
    pub cut: Option<usize>,
    /// When closing the connection like that, do it with a reset.
    pub reset: bool,
    /// After so many bytes of the body, say nothing more until the client leaves.
    pub hang: Option<usize>,
    /// Send the body in pieces, each after this time.
    pub drip: Option<Duration>,
    /// How large those pieces are; at least one byte.
    pub piece: usize,
    /// Send the head byte by byte as well.
    pub drip_head: bool,
    /// Send no body: what was asked for is the head alone.
    pub head_only: bool,
}

impl Response {
    /// A response with a body.
    pub fn new(status: u16, body: Vec<u8>) -> Response {
        Response { status, headers: Vec::new(), body, delivery: Delivery::default() }
    }

    /// A response without one.
    pub fn status(status: u16) -> Response {
        Response::new(status, Vec::new())
    }

    /// A response of JSON.
    pub fn json(status: u16, value: &Value) -> Response {
        Response::new(status, value.to_string().into_bytes()).with("Content-Type", "application/json")
    }

    /// An error as the distribution specification has it.
    pub fn error(status: u16, code: &str, message: &str) -> Response {
        Response::json(status, &json!({"errors": [{"code": code, "message": message, "detail": null}]}))
    }

    /// The same with one header more, in place of any other of its name.
    pub fn with(mut self, name: &str, value: &str) -> Response {
        self.set(name, value);
        self
    }

    /// Sets a header.
    pub fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
    }

    /// What precedes the body.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} -\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &match self.delivery.chunked {
            true => "Transfer-Encoding: chunked\r\n".to_string(),
            false => {
                let length = self.delivery.stated_length.unwrap_or(self.body.len() as u64);
                format!("Content-Length: {length}\r\n")
            }
        };
        (head + "\r\n").into_bytes()
    }

    /// One piece of the body as it goes over the wire.
    pub(super) fn write_piece(&self, out: &mut impl Write, piece: &[u8]) -> io::Result<()> {
        if self.delivery.chunked {
            write!(out, "{:x}\r\n", piece.len())?;
        }
        out.write_all(piece)?;
        if self.delivery.chunked {
            out.write_all(b"\r\n")?;
        }
        out.flush()
    }
}
