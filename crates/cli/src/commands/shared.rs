//! What commands that take an image have in common.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use oci::{Image, Platform, Reference};
use pipeline::copy::{Copied, Place};
use pipeline::directory::Unkept;
use pipeline::prebuilt::{Pushed, Taken};
use pipeline::reuse::{self, Reused};
use pipeline::source::{Source, SourceError};
use pipeline::{Built, Event, Merged, Report, Target, Trust, copy, layers, look, prebuilt, pull};
use registry::{CertificateDirectories, Configuration, Credentials, Places, Proxies, Registries};
use store::Store;
use tree::Notes;

use crate::args::{Common, LayerArgs, LookArgs, PullKind, SourceArgs};
use crate::exit::Usage;
use crate::password;
use crate::progress::Progress;

/// Something, or a chain of errors.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// A store, and how to fill it.
pub(crate) struct Session {
    /// The store.
    pub(crate) store: Store,
    source: Source,
    platform: Platform,
    pull: pull::Options,
    asked: Option<PullKind>,
    progress: Progress,
    verbose: bool,
    quiet: bool,
}

impl Session {
    /// Opens the store that the arguments name, for the image called `name`.
    pub(crate) fn start(common: &Common, name: &str, source: &SourceArgs) -> Fallible<Session> {
        Session::of(common, image_source(name)?, source, PullKind::Missing)
    }

    /// The same for a source; `kind` is when to ask the registry, if the arguments do not say.
    pub(crate) fn of(
        common: &Common,
        image: Source,
        source: &SourceArgs,
        kind: PullKind,
    ) -> Fallible<Session> {
        // What makes no sense is refused before anything is made.
        let pull = pull_options(source)?;
        let platform = match &source.platform {
            Some(text) => text.parse().map_err(|error: oci::Error| Usage(error.to_string()))?,
            None => Platform::host(),
        };
        let mut session = Session {
            store: open_store(common)?,
            source: image,
            platform,
            pull,
            asked: source.pull,
            progress: Progress::new(common),
            verbose: common.verbose > 0,
            quiet: common.quiet,
        };
        session.default_pull(kind);
        Ok(session)
    }

    /// The same for another image: with the login of this one, which may have been asked for.
    pub(crate) fn beside(&self, common: &Common, name: &str) -> Fallible<Session> {
        Ok(Session {
            store: open_store(common)?,
            source: image_source(name)?,
            platform: self.platform.clone(),
            pull: self.pull.clone(),
            asked: self.asked,
            progress: Progress::new(common),
            verbose: self.verbose,
            quiet: self.quiet,
        })
    }

    /// When to ask the registry, if the arguments do not say.
    pub(crate) fn default_pull(&mut self, kind: PullKind) {
        self.pull.policy = match self.asked.unwrap_or(kind) {
            PullKind::Missing => pull::Policy::Missing,
            PullKind::Always => pull::Policy::Always,
            PullKind::Never => pull::Policy::Never,
        };
    }

    /// Takes images of the store alone.
    pub(crate) fn never_pull(&mut self) {
        self.pull.policy = pull::Policy::Never;
    }

    /// Brings the image into the store.
    pub(crate) fn pull(&self) -> Fallible<Image> {
        let report = |event: Event| self.progress.report(event);
        Ok(pull::pull(&self.source, &self.platform, &self.store, &self.pull, &report)?)
    }

    /// Copies an image.
    pub(crate) fn copy(&self, from: &Place, to: &Place, all_platforms: bool) -> Fallible<Copied> {
        let report = |event: Event| self.progress.report(event);
        let options = copy::Options { pull: self.pull.clone(), all_platforms };
        Ok(copy::copy(from, to, &self.platform, &self.store, &options, &report)?)
    }

    /// Pushes a rootfs that was built from an image to the repository that has the image.
    pub(crate) fn push_rootfs(
        &self,
        path: &Path,
        image: &Image,
        options: &pipeline::Options,
        reference: &Reference,
        scratch: &Path,
    ) -> Fallible<Pushed> {
        let report = |event: Event| self.progress.report(event);
        Ok(prebuilt::push(path, image, options, reference, &self.pull, scratch, &report)?)
    }

    /// Takes a rootfs of the image that somebody else has built, if there is one. Says so if there is none.
    pub(crate) fn take_rootfs(
        &self,
        image: &Image,
        options: &pipeline::Options,
        path: &Path,
    ) -> Fallible<Option<Taken>> {
        let Source::Registry(reference) = &self.source else {
            return Err(Usage("--prefer-prebuilt is for images of a registry".into()).into());
        };
        if self.pull.policy == pull::Policy::Never {
            return Err(
                Usage("--prefer-prebuilt asks the registry, which --pull never forbids".into()).into()
            );
        }
        let report = |event: Event| self.progress.report(event);
        let mut none = "no prebuilt rootfs fits";
        let mut unusable = |error: prebuilt::Error| {
            none = "no other prebuilt rootfs fits";
            self.say(&format!("note: {}", crate::render::in_one_line(&error)));
        };
        let taken = prebuilt::take(image, options, reference, &self.pull, path, &mut unusable, &report);
        match taken {
            Ok(Some(taken)) => return Ok(Some(taken)),
            Ok(None) => self.say(&format!("note: {none}: it is built")),
            Err(error) => self.say(&format!("note: {}: it is built", crate::render::in_one_line(&error))),
        }
        Ok(None)
    }

    /// Takes the rootfs that an earlier build left in the store, if there is one.
    pub(crate) fn reuse_rootfs(
        &self,
        image: &Image,
        options: &pipeline::Options,
        path: &Path,
    ) -> Fallible<Option<Reused>> {
        let report = |event: Event| self.progress.report(event);
        let mut damaged = || self.say("note: the rootfs in the store is damaged: it is built anew");
        Ok(reuse::reuse(&self.store, image, options, path, &mut damaged, &report)?)
    }

    /// Finds the image's manifest and config, without its layers.
    pub(crate) fn resolve(&self) -> Fallible<Image> {
        let report = |event: Event| self.progress.report(event);
        Ok(pull::resolve(&self.source, &self.platform, &self.store, &self.pull, &report)?)
    }

    /// Brings the image into the store and does something with it. A stored blob that turns out corrupt is
    /// fetched again; one that is so again right afterwards is an error.
    pub(crate) fn with_image<T>(
        &self,
        work: impl FnMut(&Image, Report<'_>) -> Result<T, pipeline::Error>,
    ) -> Fallible<T> {
        self.with_pulled(None, work)
    }

    /// The same, if the image has been brought into the store already.
    fn with_pulled<T>(
        &self,
        mut image: Option<Image>,
        mut work: impl FnMut(&Image, Report<'_>) -> Result<T, pipeline::Error>,
    ) -> Fallible<T> {
        let (source, platform) = (&self.source, &self.platform);
        self.healing(|report| {
            let image = match image.take() {
                Some(image) => image,
                None => pull::pull(source, platform, &self.store, &self.pull, report)?,
            };
            work(&image, report)
        })
    }

    /// Brings the image into the store, and builds a rootfs from it at the same time.
    pub(crate) fn build(&self, options: &pipeline::Options, mut target: Target<'_>) -> Fallible<Built> {
        let from = (&self.source, &self.platform);
        self.healing(|report| {
            pipeline::pull_and_build(from, &self.store, &self.pull, options, target.again(), report)
        })
    }

    /// Does something with blobs of the store. One that turns out corrupt is fetched again; one that is so again right
    /// afterwards is an error.
    fn healing<T>(&self, mut work: impl FnMut(Report<'_>) -> Result<T, pipeline::Error>) -> Fallible<T> {
        let report = |event: Event| self.progress.report(event);
        let mut healed = BTreeSet::new();
        loop {
            let failure = match work(&report) {
                Ok(done) => return Ok(done),
                Err(pipeline::Error::Pull(failure)) => return Err(failure.into()),
                Err(failure) => failure,
            };
            match failure.corrupt_blob() {
                Some(blob) if healed.insert(blob) && self.store.discard(&blob)? => {
                    self.say(&format!("blob {blob} in the store was corrupt and is fetched again"));
                }
                _ => return Err(failure.into()),
            }
        }
    }

    /// Merges the `lowest` layers of the image. If the store knows them, they are neither read nor fetched.
    pub(crate) fn merged(
        &self,
        lowest: Option<usize>,
        options: &layers::Options,
        trust: Trust,
    ) -> Fallible<(Image, Merged)> {
        let report = |event: Event| self.progress.report(event);
        let part = |image: &Image| lowest.map_or_else(|| image.clone(), |count| image.lowest(count));
        let mut known = None;
        let enough = |image: &Image| {
            if trust == Trust::Store {
                known = look::known(&self.store, &part(image), options);
            }
            known.is_some()
        };
        let (source, platform) = (&self.source, &self.platform);
        let image = pull::pull_unless(source, platform, &self.store, &self.pull, &report, enough)?;
        match known {
            Some(merged) => Ok((image, merged)),
            None => self.with_pulled(Some(image), |image, report| {
                let merged = look::read(&self.store, &part(image), options, report)?;
                Ok((image.clone(), merged))
            }),
        }
    }

    /// Tells a person something.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            self.progress.say(line);
        }
    }

    /// Tells what was noticed: each note if that is wanted, else how many of each kind.
    pub(crate) fn show_notes(&self, notes: &Notes) {
        if self.verbose {
            notes.kept().iter().for_each(|note| self.say(&format!("note: {note}")));
        }
        for (remark, count) in notes.counts() {
            let kept = notes.kept().iter().filter(|note| note.remark == remark).count() as u64;
            if !self.verbose || kept < count {
                let times = if count == 1 { "once".into() } else { format!("{count} times") };
                self.say(&format!("note: {remark} ({times})"));
            }
        }
    }
}

/// Opens the store that the arguments name.
pub(crate) fn open_store(common: &Common) -> Fallible<Store> {
    if common.no_store {
        let store = Store::temporary(None)?;
        pipeline::scratch::register(store.path());
        return Ok(store);
    }
    Ok(Store::open(&store_path(common)?)?)
}

/// Where the store is that the arguments name.
pub(crate) fn store_path(common: &Common) -> Fallible<PathBuf> {
    Ok(match &common.store {
        Some(path) => path.clone(),
        None => Store::default_path()?,
    })
}

/// How registries are spoken to.
pub(crate) fn pull_options(args: &SourceArgs) -> Fallible<pull::Options> {
    Ok(pull::Options {
        any_platform: args.any_platform,
        parallel: args.parallel_downloads.into(),
        registry: registry_options(args)?,
        ..pull::Options::default()
    })
}

fn registry_options(args: &SourceArgs) -> Fallible<registry::Options> {
    let options = connection_options(&args.insecure_registry, &args.ca)?;
    Ok(registry::Options { credentials: credentials(args)?, ..options })
}

/// How registries are reached, for nobody in particular.
pub(crate) fn connection_options(insecure: &[String], ca: &[PathBuf]) -> Fallible<registry::Options> {
    let mut options = registry::Options {
        insecure: insecure.to_vec(),
        certificates: CertificateDirectories::from_env(),
        registries: Configuration::from_env(),
        proxies: Proxies::from_env(),
        ..registry::Options::default()
    };
    for path in ca {
        let pem = std::fs::read(path).map_err(|error| Usage(format!("--ca {}: {error}", path.display())))?;
        options.extra_roots.push(pem);
    }
    Ok(options)
}

/// Who we are: who the arguments say, else whoever is known to the files.
fn credentials(args: &SourceArgs) -> Fallible<Credentials> {
    let stored = match &args.authfile {
        Some(file) => Credentials::from_places(Places { files: vec![file.clone()], helpers: None }),
        None => Credentials::from_env(),
    };
    let given = args.creds.as_deref().map(|creds| creds.split_once(':').ok_or(creds));
    let (user, password) = match given {
        None if !args.creds_stdin => return Ok(stored),
        None => {
            let line = password::from_stdin()?;
            let given = line.split_once(':').map(|(user, password)| (user.to_string(), password.to_string()));
            given.ok_or_else(|| Usage("--creds-stdin: standard input is not USER:PASSWORD".into()))?
        }
        Some(Ok(_)) if args.creds_stdin => {
            return Err(Usage("--creds has a password, and --creds-stdin would be another".into()).into());
        }
        Some(Ok((user, password))) => (user.into(), password.into()),
        Some(Err(user)) if args.creds_stdin => (user.into(), password::from_stdin()?),
        Some(Err(user)) => {
            let password = password::ask(&format!("Password for {user}: "))?;
            let none = || Usage("--creds: write USER:PASSWORD, or give the password to --creds-stdin".into());
            (user.into(), password.ok_or_else(none)?)
        }
    };
    Ok(stored.with_login(&user, &password))
}

/// A login that is given in the arguments is one to one registry: another is not told of it.
pub(crate) fn check_login(args: &SourceArgs, from: &Place, to: &Place) -> Result<(), Usage> {
    let registry = |place: &Place| match place {
        Place::Elsewhere(Source::Registry(reference)) => Some(reference.registry().to_string()),
        _ => None,
    };
    match (registry(from), registry(to)) {
        (Some(from), Some(to)) if from != to && (args.creds.is_some() || args.creds_stdin) => {
            Err(Usage(format!("--creds would tell both {from} and {to}: use unlade login")))
        }
        _ => Ok(()),
    }
}

/// What an image's name means. A short one means what `registries.conf` says, and what Docker takes it for where
/// that says nothing.
pub(crate) fn image_source(name: &str) -> Fallible<Source> {
    let parse = |name: &str| name.parse().map_err(|error: SourceError| Usage(error.to_string()));
    let source = parse(name)?;
    if !matches!(source, Source::Registry(_)) {
        return Ok(source);
    }
    let registries = Registries::read(&Configuration::from_env())?;
    let long = registries.long_name(name).map_err(|error| Usage(error.to_string()))?;
    Ok(long.map_or(Ok(source), |long| parse(&long))?)
}

/// The same where the store may be meant, too.
pub(crate) fn image_place(name: &str) -> Fallible<Place> {
    match name.parse::<Place>().map_err(|error| Usage(error.to_string()))? {
        Place::Elsewhere(_) => Ok(Place::Elsewhere(image_source(name)?)),
        stored => Ok(stored),
    }
}

/// What a directory of the host could not hold, for people; nothing if it holds all.
pub(crate) fn unkept(unkept: &Unkept) -> Option<String> {
    let Unkept { owners, devices, xattrs } = unkept;
    (owners + devices + xattrs > 0).then(|| {
        format!(
            "not kept, for lack of permission: {owners} owners, {devices} devices, {xattrs} extended attributes \
             (owners and devices are recorded in user.containers.override_stat)"
        )
    })
}

/// A path in an image, as somebody typed it.
pub(crate) fn path_in_image(typed: &OsStr) -> Result<tree::Path, Usage> {
    let typed = typed.as_encoded_bytes();
    tree::Path::parse(typed, tree::DEPTH_MAX)
        .map_err(|error| Usage(format!("\"{}\": {error}", tree::escape(typed))))
}

/// What is to be believed of layers.
pub(crate) fn trust(args: &LookArgs) -> Trust {
    if args.verify { Trust::Layers } else { Trust::Store }
}

/// How layers are to be read.
pub(crate) fn layer_options(args: &LayerArgs) -> layers::Options {
    let mut options = layers::Options {
        parallel: args.threads,
        strict_media_type: args.strict,
        ..layers::Options::default()
    };
    let read = &mut options.read;
    read.strict = args.strict;
    read.drop_devices = args.no_devices;
    read.keep_overlay_xattrs = args.keep_host_xattrs;
    read.keep_selinux = args.keep_host_xattrs;
    read.keep_rootless_xattrs = args.keep_host_xattrs;
    read.keep_lazy_pull_metadata = args.keep_lazy_metadata;
    set(&mut read.tar.entries, args.max_entries);
    set(&mut read.tar.header_bytes, args.max_header);
    set(&mut read.depth, args.max_depth);
    set(&mut options.expand.expanded, args.max_expanded);
    set(&mut options.expand.ratio, args.max_ratio);
    set(&mut options.image_expanded, args.max_image_expanded);
    set(&mut options.image_entries, args.max_image_entries);
    options
}

fn set<T>(limit: &mut T, asked: Option<T>) {
    if let Some(value) = asked {
        *limit = value;
    }
}
