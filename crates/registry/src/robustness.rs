//! Whatever a host answers is an answer or an error: no panic, and nothing that a terminal would obey.

use proptest::prelude::*;

use crate::fuzzing;

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
        fuzzing::challenges(&headers.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn urls(text in header()) {
        fuzzing::url(&text);
        fuzzing::redirect(text.as_bytes());
    }

    #[test]
    fn waits(value in header(), date in header()) {
        fuzzing::wait(&value, &date);
    }

    #[test]
    fn ranges(value in header()) {
        fuzzing::range(&value);
    }

    #[test]
    fn words(text in any::<String>(), body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let quoted = serde_json::json!({"errors": [{"message": text}], "token": text}).to_string();
        for body in [quoted.as_bytes(), &body] {
            fuzzing::words(body);
            fuzzing::token(body);
        }
    }
}
