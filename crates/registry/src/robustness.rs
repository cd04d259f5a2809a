//! Whatever a host answers is an answer or an error: no panic, and nothing that a terminal would obey.

use proptest::prelude::*;

use crate::url::Url;
use crate::{blob, challenge, error, retry};

/// Header values, rather of what headers are made of.
fn header() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("Bearer "),
        Just("basic "),
        Just("realm="),
        Just("scope=\"repository:a/b:pull\""),
        Just("https://a.example:5000/b/../c?d=e#f"),
        Just("//"),
        Just("\""),
        Just("\\"),
        Just(","),
        Just("="),
        Just("bytes "),
        Just("0-18446744073709551615/*"),
        Just("Sun, 06 Nov 1994 08:49:37 GMT"),
        Just("99999999999999999999"),
        Just("é\u{1b}"),
    ];
    let piece = prop_oneof![word.prop_map(String::from), "[ -~]{0,3}", any::<String>()];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn challenges(headers in proptest::collection::vec(header(), 0..3)) {
        for challenge in challenge::parse(headers.iter().map(String::as_str)) {
            prop_assert!(!challenge.scheme.is_empty());
            prop_assert!(!challenge.scheme.contains([' ', '\t', ',', '=']));
            prop_assert!(challenge.parameters.keys().all(|name| !name.is_empty()));
        }
    }

    /// What is a URL stays one, names its host as one word, and never leads to another scheme.
    #[test]
    fn urls(text in header(), reference in header()) {
        let base = Url::parse("https://a.example/v2/b/manifests/c").expect("it is one");
        for url in [Url::parse(&text), base.join(&reference)].into_iter().flatten() {
            let again = Url::parse(&url.full());
            prop_assert_eq!(again.as_ref(), Ok(&url));
            prop_assert!(!url.full().contains(|c: char| c.is_control() || c == ' ' || !c.is_ascii()));
            prop_assert!(!url.authority().contains(['/', '?', '#', '@']));
            prop_assert!(url.full().parse::<ureq::http::Uri>().is_ok(), "{}", url.full());
        }
    }

    #[test]
    fn waits(value in header(), date in header()) {
        let _ = retry::retry_after(&value, Some(&date));
    }

    #[test]
    fn ranges(value in header()) {
        if let Some((start, Some(total))) = blob::content_range(&value) {
            prop_assert!(start < total);
        }
    }

    #[test]
    fn words(text in any::<String>(), body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let quoted = serde_json::json!({"errors": [{"message": text}]}).to_string();
        for body in [quoted.as_bytes(), &body] {
            prop_assert!(!error::Said::parse(body).to_string().contains(char::is_control));
        }
    }
}
