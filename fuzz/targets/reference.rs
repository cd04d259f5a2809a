//! Names that users type and manifests bring: any text is refused, or means the same when it is written in full and
//! read again. No part of a name leads to another directory, and no error holds what a terminal would obey.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use hash::Digest;
use libfuzzer_sys::fuzz_target;
use oci::{MediaType, Platform, Reference};

fuzz_target!(|text: &str| {
    if let Some(reference) = parsed::<Reference>(text) {
        let path = |part: &str| part.split('/').any(|name| matches!(name, "" | "." | ".."));
        assert!(!path(reference.registry()) && !reference.registry().contains('/'), "{reference}");
        assert!(!path(reference.repository()), "{reference}");
        assert!(!path(&reference.identifier()) && !reference.identifier().contains('/'), "{reference}");
    }
    if let Some(digest) = parsed::<Digest>(text) {
        assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    }
    parsed::<Platform>(text);
    assert!(!MediaType::parse(text).to_string().contains(char::is_control));
});

fn parsed<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T>
where
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(value) => {
            let full = value.to_string();
            assert!(!full.contains(char::is_control), "{full:?}");
            assert_eq!(full.parse::<T>().ok().as_ref(), Some(&value), "{full}");
            Some(value)
        }
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error}");
            None
        }
    }
}
