//! Where an image is to be asked for: mirrors first, then the place itself.

use std::path::{Path, PathBuf};

use oci::Reference;

use super::document::{MirrorTable, Table};
use super::{Registries, short};
use crate::Error;
use crate::error::quote;

/// Where an image is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// Its name there.
    pub(crate) reference: Reference,
    /// Whether this is a mirror: somebody else than whom the user named.
    pub(crate) mirror: bool,
}

/// A `[[registry]]` table: a part of all names, and what to do with it.
#[derive(Debug, Clone)]
pub(super) struct Namespace {
    prefix: String,
    /// Nothing where names stay as they are.
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
    pub(super) file: PathBuf,
}

#[derive(Debug, Clone)]
struct Mirror {
    location: String,
    insecure: bool,
    by_tag: bool,
    by_digest: bool,
}

impl Registries {
    /// Where to ask for an image, in this order: at least the last one is where it really is.
    pub(crate) fn sites(&self, reference: &Reference) -> Result<Vec<Site>, Error> {
        let name = reference.to_string();
        let named = Site { reference: reference.clone(), mirror: false };
        let Some(namespace) = self.namespace(&name) else { return Ok(vec![named]) };
        namespace.check(&name)?;
        let by_digest = reference.digest().is_some();
        let mirrors = namespace.mirrors.iter();
        let mirrors = mirrors.filter(|mirror| if by_digest { mirror.by_digest } else { mirror.by_tag });
        let mut sites = mirrors
            .map(|mirror| Ok(Site { reference: namespace.rewrite(&name, &mirror.location)?, mirror: true }))
            .collect::<Result<Vec<_>, Error>>()?;
        sites.push(match &namespace.location {
            Some(location) => Site { reference: namespace.rewrite(&name, location)?, mirror: false },
            None => named,
        });
        Ok(sites)
    }

    /// Whether a place may be spoken to at all.
    pub(crate) fn check(&self, reference: &Reference) -> Result<(), Error> {
        let name = reference.to_string();
        self.namespace(&name).map_or(Ok(()), |namespace| namespace.check(&name))
    }

    /// Whether HTTP, and certificates that nobody vouches for, are allowed at a place, which is what the
    /// longest location says that its name begins with.
    pub(crate) fn allows_insecure(&self, reference: &Reference) -> bool {
        let name = reference.to_string();
        let locations = self.namespaces.iter().flat_map(|namespace| {
            let itself = namespace.location.as_ref().unwrap_or(&namespace.prefix);
            let mirrors = namespace.mirrors.iter().map(|mirror| (&mirror.location, mirror.insecure));
            mirrors.chain([(itself, namespace.insecure)])
        });
        let locations = locations.filter(|(location, _)| matched(location, &name).is_some());
        // What is said both ways is allowed.
        locations
            .max_by_key(|(location, insecure)| (location.len(), *insecure))
            .is_some_and(|(_, insecure)| insecure)
    }

    fn namespace(&self, name: &str) -> Option<&Namespace> {
        let matching = self.namespaces.iter().filter(|namespace| matched(&namespace.prefix, name).is_some());
        matching.max_by_key(|namespace| namespace.prefix.len())
    }
}

impl Namespace {
    pub(super) fn new(table: Table, file: &Path) -> Result<Namespace, String> {
        let stated =
            |text: &str| Some(text.trim_end_matches('/').to_string()).filter(|text| !text.is_empty());
        let location = stated(&table.location);
        let prefix = stated(&table.prefix).or_else(|| location.clone());
        let prefix = prefix.ok_or("a [[registry]] table has neither a prefix nor a location")?;
        match prefix.strip_prefix("*.") {
            Some(domain) if !domain.contains(['*', '/', ':', '@']) => {}
            None if !prefix.contains('*') => check(&prefix)?,
            _ => {
                return Err(format!(
                    "{} is no prefix: *. may only stand before a host alone",
                    shown(&prefix)
                ));
            }
        }
        location.as_deref().map_or(Ok(()), check)?;
        if !table.pull_from_mirror.is_empty() {
            return Err(format!(
                "pull-from-mirror stands in the table of {prefix}, and belongs into those of its mirrors"
            ));
        }
        let only_digests = table.mirror_by_digest_only;
        let mirrors = table.mirror.into_iter().map(|mirror| Mirror::new(mirror, &prefix, only_digests));
        let mirrors = mirrors.collect::<Result<_, _>>()?;
        let Table { insecure, blocked, .. } = table;
        Ok(Namespace { location, insecure, blocked, mirrors, file: file.into(), prefix })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn has_prefix_of(&self, other: &Namespace) -> bool {
        self.prefix == other.prefix
    }

    /// Whether names of this table may be used.
    fn check(&self, name: &str) -> Result<(), Error> {
        if !self.blocked {
            return Ok(());
        }
        Err(Error::Blocked { what: name.into(), prefix: self.prefix.clone(), file: self.file.clone() })
    }

    /// The name at a location.
    fn rewrite(&self, name: &str, location: &str) -> Result<Reference, Error> {
        let matched = matched(&self.prefix, name).unwrap_or_default();
        let there = format!("{location}{}", &name[matched..]);
        there.parse().map_err(|error: oci::ReferenceError| Error::Elsewhere {
            what: name.into(),
            there: quote(&there),
            file: self.file.clone(),
            cause: error.to_string(),
        })
    }
}

impl Mirror {
    fn new(table: MirrorTable, registry: &str, only_digests: bool) -> Result<Mirror, String> {
        let location = table.location.trim_end_matches('/').to_string();
        if location.is_empty() {
            return Err(format!("a mirror of {registry} has no location"));
        }
        check(&location)?;
        if only_digests && !table.pull_from_mirror.is_empty() {
            return Err(format!(
                "{registry} has mirror-by-digest-only, and its mirror {location} pull-from-mirror: only one may be set"
            ));
        }
        let (by_tag, by_digest) = match table.pull_from_mirror.as_str() {
            "" => (!only_digests, true),
            "all" => (true, true),
            "digest-only" => (false, true),
            "tag-only" => (true, false),
            other => {
                let other = shown(other);
                return Err(format!(
                    "pull-from-mirror of {location} is {other}, and may be all, digest-only or tag-only"
                ));
            }
        };
        Ok(Mirror { location, insecure: table.insecure, by_tag, by_digest })
    }
}

/// How much of a full name a prefix or location is. It ends where a part of the name does, and a port is no part
/// of its own.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let authority = &name[..name.find('/').unwrap_or(name.len())];
        let host = authority.split(':').next().unwrap_or_default();
        return (host.len() > domain.len() && host.ends_with(domain)).then_some(authority.len());
    }
    let rest = name.strip_prefix(prefix)?;
    let ends = match prefix.contains('/') {
        true => rest.is_empty() || rest.starts_with(['/', ':', '@']),
        false => rest.starts_with('/'),
    };
    ends.then_some(prefix.len())
}

/// A location, or a prefix that is no pattern: it begins with a host.
fn check(place: &str) -> Result<(), String> {
    let wrong = |why| Err(format!("{} is no place: {why}", shown(place)));
    if place.contains("://") {
        return wrong("it has a scheme, which does not belong there");
    }
    if !short::is_host(place.split('/').next().unwrap_or_default()) {
        return wrong("it does not begin with a host, which has a dot or a port or is localhost");
    }
    Ok(())
}

fn shown(text: &str) -> String {
    format!("\"{}\"", quote(text))
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    fn registries(text: &str) -> Registries {
        let mut registries = Registries::default();
        registries.add(Document::parse(text).unwrap(), Path::new("/f")).unwrap();
        registries
    }

    /// Sites as text: an exclamation mark for those that are insecure.
    fn sites(registries: &Registries, name: &str) -> String {
        let sites = match registries.sites(&name.parse().unwrap()) {
            Ok(sites) => sites,
            Err(error) => return error.to_string(),
        };
        let shown = |site: &Site| {
            let insecure = if registries.allows_insecure(&site.reference) { "!" } else { "" };
            format!("{}{insecure}", site.reference)
        };
        sites.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_longest_prefix_decides() {
        let registries = registries(
            r#"
            [[registry]]
            location = "docker.io"
            [[registry.mirror]]
            location = "hub.example/cache"
            [[registry]]
            prefix = "docker.io/me"
            location = "own.example:5000/x"
            insecure = true
            [[registry]]
            prefix = "docker.io/me/app:1"
            location = "one.example/only"
            [[registry]]
            prefix = "*.wild.example"
            [[registry.mirror]]
            location = "m.example/wild"
            [[registry]]
            prefix = "*.moved.example"
            location = "new.example/old"
            [[registry]]
            prefix = "gone.example"
            blocked = true
            [[registry]]
            prefix = "port.example:5000"
            location = "port.example"
            [[registry]]
            prefix = "hub.corp"
            location = "docker.io"
            [[registry]]
            prefix = "long.example"
            location = "long.example/-x"
            "#,
        );
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (name, expected) in [
            ("alpine", "hub.example/cache/library/alpine:latest docker.io/library/alpine:latest".to_string()),
            (
                &format!("x/y:1@sha256:{hex}"),
                format!("hub.example/cache/x/y:1@sha256:{hex} docker.io/x/y:1@sha256:{hex}"),
            ),
            ("me/app", "own.example:5000/x/app:latest!".into()),
            ("me/app:1", "one.example/only:latest".into()),
            ("me/app:12", "own.example:5000/x/app:12!".into()),
            ("meme/app", "hub.example/cache/meme/app:latest docker.io/meme/app:latest".into()),
            ("a.wild.example/x", "m.example/wild/x:latest a.wild.example/x:latest".into()),
            ("a.b.wild.example:5000/x", "m.example/wild/x:latest a.b.wild.example:5000/x:latest".into()),
            ("wild.example/x", "wild.example/x:latest".into()),
            ("awild.example/x", "awild.example/x:latest".into()),
            ("other.example/a.wild.example/x", "other.example/a.wild.example/x:latest".into()),
            ("a.moved.example/x/y:1", "new.example/old/x/y:1".into()),
            (
                "gone.example/x",
                "gone.example/x:latest may not be used: /f blocks gone.example".into(),
            ),
            ("gone.example:5000/x", "gone.example:5000/x:latest".into()),
            ("gone.example.org/x", "gone.example.org/x:latest".into()),
            ("port.example:5000/x", "port.example/x:latest".into()),
            ("hub.corp/alpine", "docker.io/library/alpine:latest".into()),
            (
                "long.example/x",
                "long.example/x:latest is long.example/-x/x:latest by /f, which is no image name: invalid repository \
                 name \"long.example/-x/x\": it has lower-case letters, digits, and single . _ - or __ between them"
                    .into(),
            ),
        ] {
            assert_eq!(sites(&registries, name), expected, "{name}");
        }
    }

    #[test]
    fn the_longest_location_says_what_is_insecure() {
        let registries = registries(
            r#"
            [[registry]]
            location = "a.example/x"
            insecure = true
            [[registry]]
            location = "a.example/x/safe"
            [[registry]]
            prefix = "*.corp"
            insecure = true
            [[registry]]
            location = "b.example"
            [[registry.mirror]]
            location = "m.example:5000"
            insecure = true
            [[registry]]
            location = "c.example"
            [[registry.mirror]]
            location = "m.example:5000"
            "#,
        );
        for (name, insecure) in [
            ("a.example/x", true),
            ("a.example/x/y", true),
            ("a.example/xy", false),
            ("a.example/x/safe", false),
            ("a.example/y", false),
            ("r.corp/x", true),
            ("r.corp:5000/x", true),
            ("b.example/x", false),
            ("m.example:5000/x", true),
            ("m.example/x", false),
        ] {
            assert_eq!(registries.allows_insecure(&name.parse().unwrap()), insecure, "{name}");
        }
    }

    #[test]
    fn mirrors_for_tags_and_digests() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let mirror =
            |name: &str, rest: &str| format!("[[registry.mirror]]\nlocation = \"{name}.example\"\n{rest}\n");
        let registry = |rest: &str| format!("[[registry]]\nlocation = \"r.example\"\n{rest}\n");
        let pulls = |name: &str| mirror(name, &format!("pull-from-mirror = \"{name}\""));
        let each = registry("")
            + &pulls("all")
            + &pulls("digest-only")
            + &pulls("tag-only")
            + &mirror("x", "insecure = true");
        let digests = registry("mirror-by-digest-only = true") + &mirror("x", "");
        for (text, tag, digest) in
            [(&each, "all tag-only x! r", "all digest-only x! r"), (&digests, "r", "x r")]
        {
            let registries = registries(text);
            let tidy = |text: String, rest: &str| text.replace(&format!(".example/a{rest}"), "");
            assert_eq!(tidy(sites(&registries, "r.example/a:1"), ":1"), tag);
            let digested = format!("@sha256:{hex}");
            assert_eq!(tidy(sites(&registries, &format!("r.example/a{digested}")), &digested), digest);
        }
    }
}
