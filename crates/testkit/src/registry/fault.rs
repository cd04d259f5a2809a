//! What can go wrong with an answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Request, Response};

type Change = dyn Fn(&Request, &mut Response) + Send + Sync;

/// Turns a right answer into another.
#[derive(Clone)]
pub struct Fault(Arc<Change>);

impl Fault {
    /// Does anything to an answer.
    pub fn new(change: impl Fn(&Request, &mut Response) + Send + Sync + 'static) -> Fault {
        Fault(Arc::new(change))
    }

    pub(super) fn apply(&self, request: &Request, response: &mut Response) {
        (self.0)(request, response);
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fault")
    }
}

/// Another answer.
pub fn instead(response: Response) -> Fault {
    Fault::new(move |_, answer| *answer = response.clone())
}

/// Another status, and nothing else.
pub fn status(status: u16) -> Fault {
    instead(Response::status(status))
}

/// 429, asking to wait as `Retry-After` says.
pub fn too_many(retry_after: &str) -> Fault {
    let response = Response::error(429, "TOOMANYREQUESTS", "slow down");
    instead(response.with("Retry-After", retry_after).with("Date", "Sun, 06 Nov 1994 08:49:37 GMT"))
}

/// 307 to `location`.
pub fn redirect(location: &str) -> Fault {
    instead(Response::status(307).with("Location", location))
}

/// One header more, or another value for it.
pub fn header(name: &str, value: &str) -> Fault {
    let (name, value) = (name.to_string(), value.to_string());
    Fault::new(move |_, answer| answer.set(&name, &value))
}

/// The connection ends after so many bytes of the body.
pub fn cut(after: usize) -> Fault {
    Fault::new(move |_, answer| answer.delivery.cut = Some(after))
}

/// The connection is reset after so many bytes of the body.
pub fn reset(after: usize) -> Fault {
    Fault::new(move |_, answer| {
        answer.delivery.cut = Some(after);
        answer.delivery.reset = true;
    })
}

/// Nothing more comes after so many bytes of the body.
pub fn hang(after: usize) -> Fault {
    Fault::new(move |_, answer| answer.delivery.hang = Some(after))
}

/// Nothing comes at all for so long.
pub fn delay(delay: Duration) -> Fault {
    Fault::new(move |_, answer| answer.delivery.delay = delay)
}

/// The body comes byte by byte.
pub fn drip(every: Duration) -> Fault {
    Fault::new(move |_, answer| answer.delivery.drip = Some(every))
}

/// The body comes in pieces.
pub fn trickle(piece: usize, every: Duration) -> Fault {
    Fault::new(move |_, answer| {
        answer.delivery.drip = Some(every);
        answer.delivery.piece = piece;
    })
}

/// Even the head comes byte by byte.
pub fn drip_head(every: Duration) -> Fault {
    Fault::new(move |_, answer| {
        answer.delivery.drip = Some(every);
        answer.delivery.drip_head = true;
    })
}

/// The body comes in chunks.
pub fn chunked() -> Fault {
    Fault::new(|_, answer| answer.delivery.chunked = true)
}

/// `Content-Length` says something else.
pub fn length(stated: u64) -> Fault {
    Fault::new(move |_, answer| answer.delivery.stated_length = Some(stated))
}

/// Other bytes.
pub fn body(bytes: &[u8]) -> Fault {
    let bytes = bytes.to_vec();
    Fault::new(move |_, answer| answer.body.clone_from(&bytes))
}

/// The body that `change` makes of the right one.
pub fn change_body(change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Fault {
    Fault::new(move |_, answer| change(&mut answer.body))
}
