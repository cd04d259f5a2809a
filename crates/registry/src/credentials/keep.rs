//! Keeping a login, and forgetting it: in the file that Podman and skopeo write as well.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize as _;
use serde_json::{Map, Value, json};

use super::{CredentialsError, HELPER_TIMEOUT, file, helper, server, user};

/// What keeps logins: a file, or the helper that it names for a registry.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// The file, which need not exist.
    pub file: PathBuf,
    /// Directories in which `docker-credential-…` programs are looked for; `None` means `PATH`.
    pub helpers: Option<Vec<PathBuf>>,
}

impl Keeper {
    /// The file that `podman login` writes: `REGISTRY_AUTH_FILE`, else `$XDG_RUNTIME_DIR/containers/auth.json`,
    /// else `/run/containers/UID/auth.json`; and where there is no such thing, as on macOS and Windows,
    /// `~/.config/containers/auth.json`.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Nowhere`].
    pub fn from_env() -> Result<Keeper, CredentialsError> {
        let user = user().filter(|_| cfg!(target_os = "linux"));
        Keeper::from_variables(|name| std::env::var_os(name), user)
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        user: Option<u32>,
    ) -> Result<Keeper, CredentialsError> {
        let variable = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let runtime = || variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json"));
        let system = || user.map(|user| PathBuf::from(format!("/run/containers/{user}/auth.json")));
        let home = || {
            let home = variable("HOME").or_else(|| variable("USERPROFILE"))?;
            Some(home.join(".config/containers/auth.json"))
        };
        let file = variable("REGISTRY_AUTH_FILE").or_else(runtime).or_else(system).or_else(home);
        Ok(Keeper { file: file.ok_or(CredentialsError::Nowhere)?, helpers: None })
    }

    /// Keeps a login for `place`: a registry, or a part of its repositories' names (`HOST/NAMESPACE`). Whatever
    /// else is in the file stays.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or the helper does not keep it.
    pub fn keep(&self, place: &str, user: &str, password: &str) -> Result<(), CredentialsError> {
        let place = file::place(place);
        let registry = registry(&place);
        if let Some(name) = self.helper(registry)? {
            let login = (user, password);
            let helpers = self.helpers.as_deref();
            return helper::store(&name, helpers, server(registry), login, HELPER_TIMEOUT)
                .map_err(|cause| self.not_done(&name, "store", registry, cause));
        }
        let auth = STANDARD.encode(format!("{user}:{password}"));
        self.change(|auths| {
            auths.retain(|key, _| file::place(key) != place);
            auths.insert(place.clone(), json!({"auth": auth}));
            true
        })?;
        Ok(())
    }

    /// Forgets the login for `place`; whether there was one.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or the helper fails.
    pub fn forget(&self, place: &str) -> Result<bool, CredentialsError> {
        let place = file::place(place);
        let registry = registry(&place);
        let helped = match self.helper(registry)? {
            None => false,
            Some(name) => helper::erase(&name, self.helpers.as_deref(), server(registry), HELPER_TIMEOUT)
                .map_err(|cause| self.not_done(&name, "erase", registry, cause))?,
        };
        let kept = self.change(|auths| {
            let before = auths.len();
            auths.retain(|key, _| file::place(key) != place);
            auths.len() < before
        })?;
        Ok(helped || kept)
    }

    fn helper(&self, registry: &str) -> Result<Option<String>, CredentialsError> {
        let file = file::File::read(&self.file)?;
        Ok(file.and_then(|file| file.helpers(registry).first().map(|name| name.to_string())))
    }

    fn not_done(&self, name: &str, deed: &'static str, registry: &str, cause: String) -> CredentialsError {
        let (name, registry) = (crate::error::quote(name), registry.into());
        CredentialsError::Keeping { name, deed, registry, file: self.file.clone(), cause }
    }

    /// Replaces the file by one with other logins, at once and for its owner alone, if `change` says that there
    /// is something to change.
    fn change(&self, change: impl FnOnce(&mut Map<String, Value>) -> bool) -> Result<bool, CredentialsError> {
        let malformed = |line, column| CredentialsError::Malformed { file: self.file.clone(), line, column };
        let failed = |cause| CredentialsError::Write { file: self.file.clone(), cause };
        let text = match fs::read(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            result => result.map_err(|cause| CredentialsError::Io { file: self.file.clone(), cause })?,
        };
        let mut document = match text.trim_ascii() {
            [] => json!({}),
            text => serde_json::from_slice(text).map_err(|error| malformed(error.line(), error.column()))?,
        };
        let all = document.as_object_mut().ok_or_else(|| malformed(1, 1))?;
        let auths = all.entry("auths").or_insert_with(|| json!({}));
        if auths.is_null() {
            *auths = json!({});
        }
        let auths = auths.as_object_mut().ok_or_else(|| malformed(1, 1))?;
        if !change(auths) {
            return Ok(false);
        }
        // Where the name is a link, what it leads to is replaced, and not the link.
        let file = fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone());
        replace(&file, &document).map_err(failed)?;
        Ok(true)
    }
}

/// Writes a document beside its file, and gives it the file's name when it is whole.
fn replace(file: &Path, document: &Value) -> io::Result<()> {
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    make_directory(directory)?;
    let mut bytes = Vec::new();
    let indented = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    document.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, indented))?;
    bytes.push(b'\n');
    // Only its owner may read it, from its first moment.
    let mut staged = tempfile::NamedTempFile::new_in(directory)?;
    staged.write_all(&bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(file).map(drop).map_err(|error| error.error)
}

/// Directories that are missing are for their owner alone.
fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// The registry of a key.
fn registry(place: &str) -> &str {
    place.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_podman_writes() {
        for (variables, user, file) in [
            (&[("REGISTRY_AUTH_FILE", "/f"), ("XDG_RUNTIME_DIR", "/r")][..], Some(7), Some("/f")),
            (&[("XDG_RUNTIME_DIR", "/r"), ("HOME", "/h")], Some(7), Some("/r/containers/auth.json")),
            (&[("HOME", "/h")], Some(7), Some("/run/containers/7/auth.json")),
            (&[("HOME", "/h")], None, Some("/h/.config/containers/auth.json")),
            (&[], None, None),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            let found = Keeper::from_variables(variable, user).ok().map(|keeper| keeper.file);
            assert_eq!(found, file.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn everything_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let keeper = Keeper { file: directory.path().join("new/auth.json"), helpers: None };
        let read = || serde_json::from_slice::<Value>(&fs::read(&keeper.file).unwrap()).unwrap();
        assert!(!keeper.forget("a.example").unwrap());
        assert!(!keeper.file.exists());
        keeper.keep("a.example", "user", "pa:ss").unwrap();
        assert_eq!(read(), json!({"auths": {"a.example": {"auth": "dXNlcjpwYTpzcw=="}}}));

        let old = json!({
            "auths": {"https://index.docker.io/v1/": {"auth": "eDp5"}, "b.example/x": {"auth": "eDp5"}},
            "HttpHeaders": {"X": "y"}, "credHelpers": {"c.example": "none"},
        });
        fs::write(&keeper.file, old.to_string()).unwrap();
        keeper.keep("docker.io", "u", "p").unwrap();
        keeper.keep("b.example", "u", "p").unwrap();
        let mut new = old.clone();
        new["auths"] = json!({"docker.io": {"auth": "dTpw"}, "b.example": {"auth": "dTpw"}, "b.example/x": {"auth": "eDp5"}});
        assert_eq!(read(), new);
        assert!(keeper.forget("b.example/x").unwrap());
        assert!(keeper.forget("index.docker.io").unwrap());
        assert!(!keeper.forget("index.docker.io").unwrap());
        new["auths"] = json!({"b.example": {"auth": "dTpw"}});
        assert_eq!(read(), new);

        for text in ["[]", "{\"auths\": 7}", "hunter2"] {
            fs::write(&keeper.file, text).unwrap();
            let error = keeper.keep("a.example", "u", "hunter2").unwrap_err().to_string();
            assert!(error.starts_with("malformed credentials in ") && !error.contains("hunter2"), "{error}");
            assert_eq!(fs::read_to_string(&keeper.file).unwrap(), text);
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_are_for_their_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("real/auth.json"), directory.path().join("auth.json"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        fs::create_dir(directory.path().join("real")).unwrap();
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        Keeper { file: link.clone(), helpers: None }.keep("a.example", "u", "p").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(directory.path().join("real")).unwrap().count(), 1);
    }
}
