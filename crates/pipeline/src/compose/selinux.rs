//! The labels that a tree's own SELinux policy gives to its files: `selabel_file(5)`, and `config` beside it.
//!
//! Rules are regular expressions of PCRE. Those that need what a finite automaton cannot do (lookaround, references to
//! groups) are refused, so that no file gets a label that it should not have.

use std::collections::BTreeMap;

use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use tree::escape;

/// Files of rules, of which a later one has the last word. Only the first must be there.
pub(super) const RULES: [&str; 3] = ["file_contexts", "file_contexts.local", "file_contexts.homedirs"];
/// Files that say which paths are labelled like which others.
pub(super) const ALIASES: [&str; 2] = ["file_contexts.subs", "file_contexts.subs_dist"];

/// Most bytes of memory that the rules take once they are compiled.
const AUTOMATON_MAX: usize = 64 << 20;
/// Room for the states that were met, which are thrown away when there are more.
const STATES: usize = 16 << 20;

/// Why there are no labels.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A line is not as it should be.
    #[error("{file}, line {line}: not a rule")]
    Line {
        /// The file.
        file: &'static str,
        /// The line's number, from 1.
        line: usize,
    },
    /// A rule needs more than a finite automaton.
    #[error("{file}, line {line}: the regular expression {pattern} is not supported")]
    Pattern {
        /// The file.
        file: &'static str,
        /// The line's number, from 1.
        line: usize,
        /// The expression.
        pattern: String,
    },
    /// The rules are too many, or too large.
    #[error("the rules take more than {AUTOMATON_MAX} bytes of memory")]
    TooLarge,
    /// A file of the policy is missing.
    #[error("there is no /{0}")]
    Missing(String),
    /// A file of the policy is no small regular file.
    #[error("/{0} is not a file of at most {1} bytes")]
    File(String, u64),
}

/// The name of the policy, if there is to be one: `SELINUXTYPE` of `/etc/selinux/config`.
pub(super) fn kind(config: &[u8]) -> Option<String> {
    let value = lines(config).find_map(|(_, line)| {
        let at = line.iter().position(|&b| b == b'=')?;
        let is_kind = line[..at].trim_ascii().eq_ignore_ascii_case(b"SELINUXTYPE");
        is_kind.then(|| line[at + 1..].trim_ascii())
    })?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Which label a path gets.
pub(super) struct Policy {
    aliases: BTreeMap<Vec<u8>, Vec<u8>>,
    automaton: DFA,
    cache: Cache,
    /// The labels of the rules, the last rule first; `None` for "no label".
    labels: Vec<Option<Box<[u8]>>>,
}

/// A rule, as it is compiled.
struct Rule {
    file: &'static str,
    line: usize,
    pattern: String,
    label: Option<Box<[u8]>>,
}

impl Policy {
    /// Compiles a policy: its files, in the order of [`RULES`] and [`ALIASES`].
    pub(super) fn new(
        rules: &[(&'static str, Vec<u8>)],
        aliases: &[(&'static str, Vec<u8>)],
    ) -> Result<Policy, PolicyError> {
        let mut all = Vec::new();
        for (file, text) in rules {
            all.extend(parse_rules(file, text)?);
        }
        // The last one that fits has its say.
        all.reverse();
        let mut known = BTreeMap::new();
        for (file, text) in aliases {
            for (line, words) in words(text) {
                match &words[..] {
                    [alias, original] => known.insert(alias.to_vec(), original.to_vec()),
                    _ => return Err(PolicyError::Line { file, line }),
                };
            }
        }
        // Bytes, not characters; a name has every byte but one.
        let syntax = syntax::Config::new().unicode(false).utf8(false).line_terminator(0);
        for rule in &all {
            if syntax::parse_with(&rule.pattern, &syntax).is_err() {
                let pattern = escape(rule.pattern.as_bytes()).to_string();
                return Err(PolicyError::Pattern { file: rule.file, line: rule.line, pattern });
            }
        }
        let patterns: Vec<&str> = all.iter().map(|rule| &*rule.pattern).collect();
        let automaton = DFA::builder()
            .syntax(syntax)
            .thompson(thompson::Config::new().nfa_size_limit(Some(AUTOMATON_MAX)))
            .configure(Config::new().cache_capacity(STATES).skip_cache_capacity_check(true))
            .build_many(&patterns)
            .map_err(|_| PolicyError::TooLarge)?;
        let cache = automaton.create_cache();
        let labels = all.into_iter().map(|rule| rule.label).collect();
        Ok(Policy { aliases: known, automaton, cache, labels })
    }

    /// The label of a file; `kind` is its type in one letter, as in rules. The path has no slash in front.
    pub(super) fn label(&mut self, path: &[u8], kind: u8) -> Option<&[u8]> {
        let mut text = self.resolved(path);
        text.push(kind);
        let input = Input::new(&text).anchored(Anchored::Yes);
        // It gives up on nothing, as it was not told to.
        let found = self.automaton.try_search_fwd(&mut self.cache, &input).ok().flatten()?;
        self.labels.get(found.pattern().as_usize())?.as_deref()
    }

    /// The path that is labelled in place of this one. What lies below an alias lies below what that stands for.
    fn resolved(&self, path: &[u8]) -> Vec<u8> {
        let mut resolved = Vec::new();
        for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
            if resolved != b"/" {
                resolved.push(b'/');
            }
            resolved.extend_from_slice(name);
            if let Some(original) = self.aliases.get(&resolved) {
                resolved = original.clone();
            }
        }
        if resolved.is_empty() {
            resolved.push(b'/');
        }
        resolved
    }
}

/// `REGEX [-TYPE] LABEL`, a rule a line.
fn parse_rules(file: &'static str, text: &[u8]) -> Result<Vec<Rule>, PolicyError> {
    let mut rules = Vec::new();
    for (line, words) in words(text) {
        let wrong = || PolicyError::Line { file, line };
        let (regex, kind, label) = match &words[..] {
            [regex, label] if !label.starts_with(b"-") => (regex, '.', label),
            [regex, kind, label] => match kind.strip_prefix(b"-") {
                Some([kind @ (b'b' | b'c' | b'd' | b'p' | b'l' | b's' | b'-')]) => {
                    (regex, char::from(*kind), label)
                }
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        let regex = str::from_utf8(regex).map_err(|_| wrong())?;
        let label = (*label != b"<<none>>").then(|| Box::from(*label));
        rules.push(Rule { file, line, pattern: format!("^({regex}){kind}$"), label });
    }
    Ok(rules)
}

/// The words of each line that has any, and is no comment.
fn words(text: &[u8]) -> impl Iterator<Item = (usize, Vec<&[u8]>)> {
    lines(text).filter_map(|(number, line)| {
        let words: Vec<&[u8]> =
            line.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty()).collect();
        let says_something = words.first().is_some_and(|word| !word.starts_with(b"#"));
        says_something.then_some((number, words))
    })
}

fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..).zip(text.split(|&b| b == b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &str, aliases: &str) -> Result<Policy, PolicyError> {
        Policy::new(&[(RULES[0], rules.into())], &[(ALIASES[0], aliases.into())])
    }

    #[test]
    fn labels() {
        let rules = "\
            # a comment\n\
            /.* a:default\n\
            /  -d a:root\n\
            \n\
            /usr/bin(/.*)?\ta:bin\n\
            /usr/bin/[^/]* -l a:link\n\
            /home/[^/]+ -d a:home\n\
            /proc <<none>>\n\
            /usr/bin/special -- a:special\n\
            /dev/.* -c a:device\n\
            /x\\.y a:dot\n";
        let mut policy = policy(rules, "/usr/local /usr\n/var/home /home\n# c\n").unwrap();
        for (path, kind, label) in [
            ("", b'd', Some("a:root")),
            ("etc", b'd', Some("a:default")),
            ("usr/bin", b'd', Some("a:bin")),
            ("usr/bin/sh", b'-', Some("a:bin")),
            ("usr/bin/sh", b'l', Some("a:link")),
            ("usr/bin/special", b'-', Some("a:special")),
            ("usr/bin/special", b'd', Some("a:bin")),
            ("usr/local/bin/x", b'-', Some("a:bin")),
            ("var/home/me", b'd', Some("a:home")),
            ("home/me", b'-', Some("a:default")),
            ("proc", b'd', None),
            ("proc/1", b'd', Some("a:default")),
            ("dev/null", b'c', Some("a:device")),
            ("x.y", b'-', Some("a:dot")),
            ("xzy", b'-', Some("a:default")),
            ("odd\nname", b'-', Some("a:default")),
        ] {
            let found = policy.label(path.as_bytes(), kind).map(String::from_utf8_lossy);
            assert_eq!(found.as_deref(), label, "{path}");
        }
        assert_eq!(policy.label(b"odd\xff", b'-'), Some(&b"a:default"[..]));
    }

    #[test]
    fn what_is_refused() {
        for (rules, aliases, said) in [
            ("/a\n", "", "file_contexts, line 1: not a rule"),
            ("\n/a -x l\n", "", "file_contexts, line 2: not a rule"),
            ("/a -d\n", "", "file_contexts, line 1: not a rule"),
            ("/a -d l more\n", "", "file_contexts, line 1: not a rule"),
            ("/a l\n", "/b\n", "file_contexts.subs, line 1: not a rule"),
            (
                "/a(?!b).* l\n",
                "",
                "file_contexts, line 1: the regular expression ^(/a(?!b).*).$ is not supported",
            ),
            ("/((a{900}){900}){900} l\n", "", "the rules take more than 67108864 bytes of memory"),
        ] {
            assert_eq!(policy(rules, aliases).err().unwrap().to_string(), said);
        }
    }

    #[test]
    fn kinds() {
        for (config, expected) in [
            ("# SELINUXTYPE=old\nSELINUX=enforcing\n selinuxtype = targeted \n", Some("targeted")),
            ("SELINUX=disabled\n", None),
            ("", None),
        ] {
            assert_eq!(kind(config.as_bytes()).as_deref(), expected);
        }
    }
}
