//! What a registry asks for in `WWW-Authenticate` (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

/// One challenge: `Bearer realm="https://auth.example/token",service="registry.example"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Lower case.
    pub(crate) scheme: String,
    /// Under lower-case names.
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Challenge {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Reads the values of all `WWW-Authenticate` headers. One header may hold several challenges, and the comma
/// that parts them is the same as that which parts parameters: a word followed by `=` is a parameter, any
/// other starts a challenge. Values are meant to be quoted; those that are not end at a comma or space, so
/// that a bare URL is read as well. What cannot be read is left out.
pub(crate) fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for header in headers {
        let first = challenges.len();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if rest.is_empty() {
                break;
            }
            match after.trim_start_matches([' ', '\t']).strip_prefix('=') {
                // A stray sign with nothing before it.
                Some(after) if word.is_empty() => rest = after,
                Some(after) => {
                    let (value, after) = value(after.trim_start_matches([' ', '\t']));
                    rest = after;
                    // Parameters belong to the last challenge of this header, not of an earlier one.
                    if let Some(challenge) = challenges.get_mut(first..).and_then(<[Challenge]>::last_mut) {
                        challenge.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                    }
                }
                None => {
                    rest = after;
                    let scheme = word.to_ascii_lowercase();
                    challenges.push(Challenge { scheme, parameters: BTreeMap::new() });
                }
            }
        }
    }
    challenges
}

/// Splits a value off, quoted or not.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].into(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, character)| character)),
            character => value.push(character),
        }
    }
    // A quotation that is never closed goes to the end.
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scheme name=value …; scheme …`, parameters in alphabetical order.
    fn shown(headers: &[&str]) -> String {
        let one = |challenge: &Challenge| {
            let parameters = challenge.parameters.iter().map(|(name, value)| format!(" {name}={value}"));
            challenge.scheme.clone() + &parameters.collect::<String>()
        };
        parse(headers.iter().copied()).iter().map(one).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn challenges_as_registries_write_them() {
        for (headers, expected) in [
            (
                &[r#"Bearer realm="https://a/token",service="a",scope="repository:x/y:pull,push""#][..],
                "bearer realm=https://a/token scope=repository:x/y:pull,push service=a",
            ),
            (&[r#"bearer SCOPE="s", Realm="r""#], "bearer realm=r scope=s"),
            (&["Bearer realm=https://a/t?x=y,service=b"], "bearer realm=https://a/t?x=y service=b"),
            (&[r#"Bearer realm = "r" , service= b"#], "bearer realm=r service=b"),
            (&[r#"Basic realm="Registry", Bearer realm="r""#], "basic realm=Registry; bearer realm=r"),
            (
                &[r#"Basic realm="a""#, r#"Bearer realm="r",service="s""#],
                "basic realm=a; bearer realm=r service=s",
            ),
            (&[r#"Negotiate, Basic realm="a""#], "negotiate; basic realm=a"),
            (&[r#"NTLM TlRMTVNT==, Basic realm="a""#], "ntlm tlrmtvnt==; basic realm=a"),
            (
                &[r#"Bearer realm="a \"quoted\" \\ realm, with comma""#],
                r#"bearer realm=a "quoted" \ realm, with comma"#,
            ),
            (&[r#"Bearer realm="never closed"#], "bearer realm=never closed"),
            (&[r#"Bearer realm="first",realm="second""#], "bearer realm=first"),
            (&[r#"Basic realm="""#], "basic realm="),
            (&["Basic"], "basic"),
            (&[r#"realm="no scheme""#], ""),
            (&[r#"Basic realm="a""#, r#"realm="no scheme""#], "basic realm=a"),
            (&["", " , ,", "=", "=,="], ""),
        ] {
            assert_eq!(shown(headers), expected, "{headers:?}");
        }
    }
}
