//! `unlade login` and `logout`.

use std::path::Path;

use oci::Reference;
use registry::{Client, Credentials, Keeper};

use super::Outcome;
use super::shared::connection_options;
use crate::args::{Common, Login, Logout};
use crate::exit::Usage;
use crate::render::NoLogin;
use crate::{password, terminal};

/// Stores a login that the registry takes.
pub(crate) fn login(common: &Common, command: &Login) -> Outcome {
    let place = place(&command.registry)?;
    let keeper = keeper(command.authfile.as_deref())?;
    let options = connection_options(&command.insecure_registry, &command.ca)?;
    let user = match &command.username {
        Some(user) => Some(user.clone()),
        None if command.password_stdin => None,
        None => password::ask_openly("Username: ")?,
    };
    let user =
        user.filter(|user| !user.is_empty()).ok_or_else(|| Usage("name the user: --username USER".into()))?;
    if user.contains(':') {
        return Err(Usage("a user's name cannot have a colon".into()).into());
    }
    let secret = match command.password_stdin {
        true => password::from_stdin()?,
        false => {
            let none = || Usage("no terminal to ask for the password: give it to --password-stdin".into());
            password::ask("Password: ")?.ok_or_else(none)?
        }
    };
    let credentials = Credentials::none().with_login(&user, &secret);
    let client = Client::new(registry::Options { credentials, ..options })?;
    let asked = client.enter(&place)?;
    keeper.keep(&command.registry, &user, &secret)?;
    if !common.quiet {
        if !asked {
            terminal::tell(&format!(
                "note: {} lets in everybody, and did not look at the login",
                place.registry()
            ));
        }
        terminal::tell(&format!(
            "stored the login of {user} for {} in {}",
            command.registry,
            keeper.file.display()
        ));
    }
    Ok(())
}

/// Removes a login.
pub(crate) fn logout(common: &Common, command: &Logout) -> Outcome {
    place(&command.registry)?;
    let keeper = keeper(command.authfile.as_deref())?;
    if !keeper.forget(&command.registry)? {
        return Err(NoLogin { registry: command.registry.clone(), file: keeper.file }.into());
    }
    if !common.quiet {
        terminal::tell(&format!("removed the login for {}", command.registry));
    }
    Ok(())
}

/// A name in the registry, or in the part of it.
fn place(registry: &str) -> Result<Reference, Usage> {
    let wrong = || {
        Usage(format!("\"{}\" is no registry: write HOST[:PORT], without https://", registry.escape_debug()))
    };
    let reference: Reference = format!("{registry}/x").parse().map_err(|_| wrong())?;
    // A name without a host would be Docker's.
    let host = registry.split('/').next().unwrap_or_default();
    let known = if host == "index.docker.io" { "docker.io" } else { host };
    if reference.registry() == known { Ok(reference) } else { Err(wrong()) }
}

fn keeper(authfile: Option<&Path>) -> Result<Keeper, registry::CredentialsError> {
    match authfile {
        Some(file) => Ok(Keeper { file: file.into(), helpers: None }),
        None => Keeper::from_env(),
    }
}
