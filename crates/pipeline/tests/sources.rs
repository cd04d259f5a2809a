//! Any text is a source or an error, and a source means the same when it is written in full.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use unlade_pipeline::source::Source;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn any_text(
        transport in prop_oneof![
            Just(""), Just("oci:"), Just("oci-archive:"), Just("docker-archive:"), Just("docker://"), Just("dir:"),
        ],
        rest in prop_oneof!["[a-z0-9./:@_\\-]{0,40}", any::<String>()],
    ) {
        match format!("{transport}{rest}").parse::<Source>() {
            Ok(source @ Source::Registry(_)) => {
                prop_assert_eq!(source.to_string().parse::<Source>(), Ok(source));
            }
            // A path ends at the first colon but a drive's, and no name is the same as an empty one.
            Ok(Source::Layout { path, reference } | Source::OciArchive { path, reference }
                | Source::DockerArchive { path, reference }) => {
                let path = path.to_str().unwrap();
                let drive = host::drive(path.as_bytes());
                prop_assert!(!path.is_empty() && !path[drive..].contains(':'));
                prop_assert_ne!(reference, Some(String::new()));
            }
            Err(error) => prop_assert!(!error.to_string().contains(char::is_control), "{error}"),
        }
    }
}
