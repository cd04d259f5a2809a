//! Who we are to a registry: the files and helpers that Docker and Podman keep logins in.
//!
//! Nothing but [`Places::from_env`] and [`Keeper::from_env`] looks at the environment.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::Reference;

mod file;
mod helper;
mod keep;

pub use keep::Keeper;

/// A helper that takes longer is given up: it may be waiting for a user who is not there.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// Where logins are looked for.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Files of Docker's (`config.json`) or Podman's (`auth.json`) kind; the first with a login for the
    /// repository decides. Files that do not exist are no error.
    pub files: Vec<PathBuf>,
    /// Directories in which `docker-credential-…` programs are looked for; `None` means `PATH`.
    pub helpers: Option<Vec<PathBuf>>,
}

impl Places {
    /// Where Docker and Podman look: `REGISTRY_AUTH_FILE` alone, if it is set. Otherwise
    /// `$DOCKER_CONFIG/config.json` if that is set, `$XDG_RUNTIME_DIR/containers/auth.json` or else
    /// `/run/containers/UID/auth.json`, `$XDG_CONFIG_HOME/containers/auth.json` (`~/.config`) and, without
    /// `DOCKER_CONFIG`, `~/.docker/config.json`.
    pub fn from_env() -> Places {
        Places::from_variables(|name| env::var_os(name), user())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, user: Option<u32>) -> Places {
        let variable = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(file) = variable("REGISTRY_AUTH_FILE") {
            return Places { files: vec![file], helpers: None };
        }
        let home = variable("HOME").or_else(|| variable("USERPROFILE"));
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let docker = variable("DOCKER_CONFIG");
        let docker_first = docker.clone();
        let docker_last = if docker.is_some() { None } else { in_home(".docker") };
        let runtime = || user.map(|user| PathBuf::from(format!("/run/containers/{user}/auth.json")));
        let in_containers = |directory: PathBuf| directory.join("containers/auth.json");
        let podman = [
            variable("XDG_RUNTIME_DIR").map(in_containers).or_else(runtime),
            variable("XDG_CONFIG_HOME").or_else(|| in_home(".config")).map(in_containers),
        ];
        let files = docker_first
            .map(|directory| directory.join("config.json"))
            .into_iter()
            .chain(podman.into_iter().flatten())
            .chain(docker_last.map(|directory| directory.join("config.json")))
            .collect();
        Places { files, helpers: None }
    }
}

/// The number of the user that this process runs as, where there are such numbers.
fn user() -> Option<u32> {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?).into();
    #[cfg(not(unix))]
    None
}

/// What knows our logins. Files are read and helpers run when a registry asks who we are, not before.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    places: Places,
    helper_timeout: Option<Duration>,
    /// What the user said, instead of what is kept anywhere.
    given: Option<Login>,
}

impl Credentials {
    /// Nobody: everything is asked anonymously.
    pub fn none() -> Credentials {
        Credentials::default()
    }

    /// The user's logins, from where the environment says they are.
    pub fn from_env() -> Credentials {
        Credentials::from_places(Places::from_env())
    }

    /// The logins in these places.
    pub fn from_places(places: Places) -> Credentials {
        Credentials { places, ..Credentials::default() }
    }

    /// This user for every registry that is named, and nobody for their mirrors, which the user did not name.
    pub fn with_login(self, user: &str, password: &str) -> Credentials {
        Credentials { given: Some(Login::new(user.into(), password.into())), ..self }
    }

    /// Gives helpers another time than 30 s to answer.
    pub fn with_helper_timeout(self, timeout: Duration) -> Credentials {
        Credentials { helper_timeout: Some(timeout), ..self }
    }

    /// The login for a repository. In each file a helper for the registry (`credHelpers`) comes before the
    /// general one (`credsStore`), and that before the logins in the file itself (`auths`).
    pub(crate) fn login(&self, reference: &Reference, mirror: bool) -> Result<Login, CredentialsError> {
        if let Some(given) = &self.given {
            return Ok(if mirror { Login::Anonymous } else { given.clone() });
        }
        for path in &self.places.files {
            let Some(file) = file::File::read(path)? else { continue };
            for name in file.helpers(reference.registry()) {
                if let Some(login) = self.ask_helper(path, name, reference)? {
                    return Ok(login);
                }
            }
            if let Some(login) = file.login(reference)? {
                return Ok(login);
            }
        }
        Ok(Login::Anonymous)
    }

    fn ask_helper(
        &self,
        file: &Path,
        name: &str,
        reference: &Reference,
    ) -> Result<Option<Login>, CredentialsError> {
        let server = server(reference.registry());
        let timeout = self.helper_timeout.unwrap_or(HELPER_TIMEOUT);
        helper::get(name, self.places.helpers.as_deref(), server, timeout).map_err(|cause| {
            CredentialsError::Helper {
                name: crate::error::quote(name),
                registry: reference.registry().into(),
                file: file.into(),
                cause,
            }
        })
    }
}

/// What helpers call a registry. Docker itself calls its own by this name of old.
fn server(registry: &str) -> &str {
    match file::canonical(registry) {
        "docker.io" => "https://index.docker.io/v1/",
        registry => registry,
    }
}

/// Something that nobody may see. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The secret, for the one header or form that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How to say who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// Not at all.
    Anonymous,
    /// By name and password.
    Basic { user: String, password: Secret },
    /// By a token for which a token server gives others. Where it must be sent as a password, this is the
    /// user that goes with it.
    Identity { user: String, token: Secret },
    /// By a token for the registry itself.
    Bearer(Secret),
}

/// The user name that says that the password is an identity token.
const IDENTITY_USER: &str = "<token>";

impl Login {
    fn new(user: String, password: String) -> Login {
        let password = Secret::new(password);
        if user == IDENTITY_USER {
            Login::Identity { user, token: password }
        } else {
            Login::Basic { user, password }
        }
    }

    /// Whose login it is; the nobody's is empty.
    pub(crate) fn account(&self) -> &str {
        match self {
            Login::Anonymous => "",
            Login::Basic { user, .. } | Login::Identity { user, .. } => user,
            Login::Bearer(_) => IDENTITY_USER,
        }
    }
}

/// Why there may be a login that cannot be had. It never holds what was read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file is there, but not for us.
    #[error("cannot read the credentials in {}: {cause}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not what Docker or Podman write.
    #[error("malformed credentials in {} at line {line}, column {column}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A login in the file is not `USER:PASSWORD` in base64.
    #[error("malformed login for \"{key}\" in {}", .file.display())]
    Login {
        /// The file.
        file: PathBuf,
        /// Under which key it stands, escaped.
        key: String,
    },
    /// The file cannot be replaced by one with another login.
    #[error("cannot write the credentials in {}: {cause}", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// There is no place to keep logins in.
    #[error("nowhere to keep logins: XDG_RUNTIME_DIR and HOME are not set; name a file")]
    Nowhere,
    /// A helper keeps logins, and did not do what it was to do.
    #[error("credential helper docker-credential-{name} (from {}) did not {deed} the login for {registry}: {cause}", .file.display())]
    Keeping {
        /// Its name, escaped.
        name: String,
        /// `store` or `erase`.
        deed: &'static str,
        /// The registry in question.
        registry: String,
        /// The file that names the helper.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A helper that the file names does not help.
    #[error("credential helper docker-credential-{name} (from {}) gave no login for {registry}: {cause}", .file.display())]
    Helper {
        /// Its name, escaped.
        name: String,
        /// The registry in question.
        registry: String,
        /// The file that names the helper.
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
        for (variables, files) in [
            (&[("REGISTRY_AUTH_FILE", "/f"), ("DOCKER_CONFIG", "/d"), ("HOME", "/h")][..], "/f"),
            (
                &[("DOCKER_CONFIG", "/d"), ("XDG_RUNTIME_DIR", "/run"), ("HOME", "/h")],
                "/d/config.json /run/containers/auth.json /h/.config/containers/auth.json",
            ),
            (
                &[("XDG_RUNTIME_DIR", "/run"), ("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")],
                "/run/containers/auth.json /c/containers/auth.json /h/.docker/config.json",
            ),
            (
                &[("HOME", "/h"), ("REGISTRY_AUTH_FILE", "")],
                "/run/containers/7/auth.json /h/.config/containers/auth.json /h/.docker/config.json",
            ),
            (&[], "/run/containers/7/auth.json"),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            let found = Places::from_variables(variable, Some(7)).files;
            // As paths, whose separator may be either.
            let files: Vec<_> = files.split(' ').map(PathBuf::from).collect();
            assert_eq!(found, files, "{variables:?}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let login = Login::new("me".into(), "hunter2".into());
        assert_eq!(format!("{login:?}"), r#"Basic { user: "me", password: (secret) }"#);
    }
}
