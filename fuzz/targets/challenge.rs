//! What a registry, its token server and their redirects say: any header and any body is an answer or an error. A
//! redirect never leads from HTTPS to HTTP, the host that was checked is the host that is called, a token fits a
//! header, and what a stranger says of an error is safe on a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use registry::fuzzing;

fuzz_target!(|data: &[u8]| {
    // Headers and bodies are lines, so that every seed is legible.
    let mut lines = data.splitn(3, |&byte| byte == b'\n').chain([&b""[..]; 2]);
    let [first, second] = [lines.next(), lines.next()].map(|line| line.unwrap_or_default());
    fuzzing::redirect(first);
    fuzzing::words(data);
    fuzzing::token(data);
    if let (Ok(first), Ok(second)) = (str::from_utf8(first), str::from_utf8(second)) {
        fuzzing::challenges(&[first, second]);
        fuzzing::url(first);
        fuzzing::wait(first, second);
        fuzzing::range(first);
    }
});
