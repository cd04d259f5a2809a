//! `registries.conf`: what a short name means, and where the images of a registry really are
//! (containers-registries.conf(5), containers-registries.conf.d(5)).
//!
//! Nothing but [`Configuration::from_env`] looks at the environment.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

mod document;
mod short;
mod site;

pub use short::ShortNameError;
pub(crate) use site::Site;

use document::Document;
use site::Namespace;

/// A file of this kind that is longer is none.
const FILE_MAX: u64 = 4 << 20;

/// Which files say where images are. The default is none.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// The file to start with.
    pub file: Option<PathBuf>,
    /// Whether that file has to exist.
    pub required: bool,
    /// Directories whose `*.conf` files come after it, each in the order of their names. What is said later
    /// replaces what was said before. They need not exist.
    pub directories: Vec<PathBuf>,
}

impl Configuration {
    /// Where Podman and skopeo look: the file that `CONTAINERS_REGISTRIES_CONF` names, else
    /// `$XDG_CONFIG_HOME/containers/registries.conf` (`~/.config`) if there is one, else
    /// `/etc/containers/registries.conf`. Then `/etc/containers/registries.conf.d`, unless the user has a file
    /// of their own, and `$XDG_CONFIG_HOME/containers/registries.conf.d`; or the one directory that
    /// `CONTAINERS_REGISTRIES_CONF_DIR` names. Nothing in `/etc` on Windows.
    pub fn from_env() -> Configuration {
        Configuration::from_variables(|name| env::var_os(name), Path::is_file, host::CONFIGURATION)
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        exists: impl Fn(&Path) -> bool,
        system: Option<&str>,
    ) -> Configuration {
        let variable = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let own = variable("XDG_CONFIG_HOME")
            .or_else(|| Some(variable("HOME").or_else(|| variable("USERPROFILE"))?.join(".config")))
            .map(|directory| directory.join("containers"));
        let own_file = own.as_ref().map(|own| own.join("registries.conf"));
        let in_system = |name: &str| Some(Path::new(system?).join("containers").join(name));
        let named = variable("CONTAINERS_REGISTRIES_CONF");
        let required = named.is_some();
        let own_file = own_file.filter(|file| named.is_none() && exists(file));
        let system = own_file.is_none().then(|| in_system("registries.conf.d")).flatten();
        let directories = match variable("CONTAINERS_REGISTRIES_CONF_DIR") {
            Some(only) => vec![only],
            None => system.into_iter().chain(own.map(|own| own.join("registries.conf.d"))).collect(),
        };
        let file = named.or(own_file).or_else(|| in_system("registries.conf"));
        Configuration { file, required, directories }
    }
}

/// What the files say, all together.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    namespaces: Vec<Namespace>,
    /// Registries in which short names are looked for, and the file that says so.
    search: Option<(Vec<String>, PathBuf)>,
    /// What short names stand for.
    aliases: BTreeMap<String, String>,
}

impl Registries {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or says what makes no sense.
    pub fn read(configuration: &Configuration) -> Result<Registries, RegistriesError> {
        let mut registries = Registries::default();
        let mut read = |path: &Path, required: bool| -> Result<(), RegistriesError> {
            let malformed = |cause| RegistriesError::Malformed { file: path.into(), cause };
            let Some(text) = text(path, required)? else { return Ok(()) };
            let document = Document::parse(&text).map_err(malformed)?;
            registries.add(document, path).map_err(malformed)
        };
        if let Some(file) = &configuration.file {
            read(file, configuration.required)?;
        }
        for directory in &configuration.directories {
            for file in drop_ins(directory)? {
                read(&file, true)?;
            }
        }
        Ok(registries)
    }

    /// Lets a file replace what those before it said.
    fn add(&mut self, document: Document, path: &Path) -> Result<(), String> {
        for table in document.registry {
            let namespace = Namespace::new(table, path)?;
            self.namespaces.retain(|known| !(known.has_prefix_of(&namespace) && known.file != path));
            if self.namespaces.iter().any(|known| known.has_prefix_of(&namespace)) {
                return Err(format!("there are two tables for {}", namespace.prefix()));
            }
            self.namespaces.push(namespace);
        }
        if !document.search.is_empty() {
            for registry in &document.search {
                short::check_registry(registry)?;
            }
            self.search = Some((document.search, path.into()));
        }
        for (name, meaning) in document.aliases {
            short::check_alias(&name, &meaning)?;
            // An empty one takes an earlier one away.
            match meaning.is_empty() {
                true => self.aliases.remove(&name),
                false => self.aliases.insert(name, meaning),
            };
        }
        Ok(())
    }
}

/// The text of a file; `None` where it does not have to exist, and does not.
fn text(path: &Path, required: bool) -> Result<Option<String>, RegistriesError> {
    let failed = |cause| RegistriesError::Io { file: path.into(), cause };
    let gone =
        |error: &std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    let size = match std::fs::metadata(path) {
        Err(error) if gone(&error) && !required => return Ok(None),
        result => result.map_err(failed)?.len(),
    };
    if size > FILE_MAX {
        let cause = format!("it has {size} bytes, and may have {FILE_MAX}");
        return Err(RegistriesError::Malformed { file: path.into(), cause });
    }
    std::fs::read_to_string(path).map(Some).map_err(failed)
}

/// The files in a directory that count, in their order.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, RegistriesError> {
    let failed = |cause| RegistriesError::Io { file: directory.into(), cause };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Why nobody knows where images are.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesError {
    /// The file is there, but not for us; or is not there, though it was named.
    #[error("cannot read {}: {cause}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not what `registries.conf` is.
    #[error("malformed {}: {cause}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_the_environment_names() {
        let user = "/h/.config/containers/registries.conf";
        for (variables, existing, files) in [
            (
                &[("HOME", "/h")][..],
                "",
                "/etc/containers/registries.conf /etc/containers/registries.conf.d \
                 /h/.config/containers/registries.conf.d",
            ),
            (
                &[("HOME", "/h")],
                user,
                "/h/.config/containers/registries.conf /h/.config/containers/registries.conf.d",
            ),
            (
                &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")],
                user,
                "/etc/containers/registries.conf /etc/containers/registries.conf.d /c/containers/registries.conf.d",
            ),
            (
                &[("HOME", "/h"), ("CONTAINERS_REGISTRIES_CONF", "/f")],
                user,
                "required /f /etc/containers/registries.conf.d /h/.config/containers/registries.conf.d",
            ),
            (
                &[
                    ("HOME", "/h"),
                    ("CONTAINERS_REGISTRIES_CONF", ""),
                    ("CONTAINERS_REGISTRIES_CONF_DIR", "/d"),
                ],
                user,
                "/h/.config/containers/registries.conf /d",
            ),
            (&[], "", "/etc/containers/registries.conf /etc/containers/registries.conf.d"),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            let found =
                Configuration::from_variables(variable, |path| path == Path::new(existing), Some("/etc"));
            let required = if found.required { "required " } else { "" };
            let shown: Vec<_> =
                found.file.iter().chain(&found.directories).map(|f| f.to_str().unwrap()).collect();
            assert_eq!(format!("{required}{}", shown.join(" ").replace('\\', "/")), files, "{variables:?}");
        }
    }

    #[test]
    fn later_files_replace_what_earlier_ones_said() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("registries.conf");
        let drop_ins = directory.path().join("d");
        std::fs::create_dir(&drop_ins).unwrap();
        let put = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        put(
            "registries.conf",
            "unqualified-search-registries = [\"one.example\"]\n[aliases]\na = \"x.example/a\"\nb = \"x.example/b\"\n\
             [[registry]]\nlocation = \"one.example\"\n[[registry]]\nlocation = \"two.example\"\nblocked = true",
        );
        put("d/2.conf", "[[registry]]\nprefix = \"two.example\"\nlocation = \"b.example\"");
        put(
            "d/1.conf",
            "unqualified-search-registries = [\"two.example\"]\n[aliases]\na = \"\"\nb = \"y.example/b\"",
        );
        put("d/3.ignored", "not even TOML");
        std::fs::create_dir(drop_ins.join("4.conf")).unwrap();
        let configuration = Configuration { file: Some(file), required: true, directories: vec![drop_ins] };
        let registries = Registries::read(&configuration).unwrap();
        let sites = |name: &str| {
            let sites = registries.sites(&name.parse().unwrap()).unwrap();
            sites.iter().map(|site| site.reference.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(sites("one.example/x"), ["one.example/x:latest"]);
        assert_eq!(sites("two.example/x"), ["b.example/x:latest"]);
        assert_eq!(registries.long_name("a").unwrap(), Some("two.example/a".into()));
        assert_eq!(registries.long_name("b:1").unwrap(), Some("y.example/b:1".into()));
    }

    #[test]
    fn files_that_make_no_sense_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("registries.conf");
        let registry = |text: &str| format!("[[registry]]\nlocation = \"a.example\"\n{text}");
        for (text, expected) in [
            ("x".into(), "line 1: key with no value, expected `=`"),
            (registry("insecure = 1"), "line 3: invalid type: integer `1`, expected a boolean"),
            ("[[registry]]".into(), "a [[registry]] table has neither a prefix nor a location"),
            (
                "[[registry]]\nlocation = \"https://a.example\"".into(),
                "\"https://a.example\" is no place: it has a scheme, which does not belong there",
            ),
            (
                "[[registry]]\nlocation = \"/\"".into(),
                "a [[registry]] table has neither a prefix nor a location",
            ),
            (
                "[[registry]]\nprefix = \"mirror/x\"".into(),
                "\"mirror/x\" is no place: it does not begin with a host, which has a dot or a port or is localhost",
            ),
            (
                "[[registry]]\nprefix = \"*.a.example/x\"".into(),
                "\"*.a.example/x\" is no prefix: *. may only stand before a host alone",
            ),
            (
                "[[registry]]\nprefix = \"a.*.example\"".into(),
                "\"a.*.example\" is no prefix: *. may only stand before a host alone",
            ),
            (registry("[[registry]]\nprefix = \"a.example\""), "there are two tables for a.example"),
            (
                registry("pull-from-mirror = \"all\""),
                "pull-from-mirror stands in the table of a.example, and belongs into those of its mirrors",
            ),
            (registry("[[registry.mirror]]\ninsecure = true"), "a mirror of a.example has no location"),
            (
                registry("[[registry.mirror]]\nlocation = \"b.example\"\npull-from-mirror = \"some\""),
                "pull-from-mirror of b.example is \"some\", and may be all, digest-only or tag-only",
            ),
            (
                registry(
                    "mirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"b.example\"\npull-from-mirror = \"all\"",
                ),
                "a.example has mirror-by-digest-only, and its mirror b.example pull-from-mirror: only one may be set",
            ),
            (
                "[registries.search]\nregistries = [\"a.example\"]".into(),
                "it is of version 1, which is not supported: write [[registry]] tables and unqualified-search-registries",
            ),
            (
                "unqualified-search-registries = [\"a.example/x\"]".into(),
                "\"a.example/x\" in unqualified-search-registries is no host",
            ),
            (
                "[aliases]\n\"a.example/x\" = \"b.example/x\"".into(),
                "the alias \"a.example/x\" is no short name",
            ),
            (
                "[aliases]\nx = \"y\"".into(),
                "the alias \"x\" stands for \"y\", which is no full name without a tag",
            ),
            (
                "[aliases]\nx = \"b.example/x:1\"".into(),
                "the alias \"x\" stands for \"b.example/x:1\", which is no full name without a tag",
            ),
        ] {
            let text: String = text;
            std::fs::write(&file, &text).unwrap();
            let configuration = Configuration { file: Some(file.clone()), ..Configuration::default() };
            let error = Registries::read(&configuration).unwrap_err().to_string();
            assert_eq!(error, format!("malformed {}: {expected}", file.display()), "{text}");
        }
        let absent = directory.path().join("absent");
        let configuration =
            Configuration { file: Some(absent.clone()), required: true, directories: Vec::new() };
        assert_eq!(
            Registries::read(&configuration).unwrap_err().to_string(),
            format!("cannot read {}: {}", absent.display(), std::io::Error::from_raw_os_error(2))
        );
        assert!(Registries::read(&Configuration { required: false, ..configuration }).is_ok());
    }
}
