//! What commands that take an image have in common.

use std::collections::BTreeSet;

use oci::{Image, Platform};
use pipeline::layers;
use pipeline::source::{Source, SourceError};
use pipeline::{Event, Report, pull};
use store::Store;
use tree::Notes;

use crate::args::{Common, LayerArgs, PullKind, SourceArgs};
use crate::exit::Usage;
use crate::progress::Progress;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

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
        // What makes no sense is refused before anything is made.
        let image = name.parse().map_err(|error: SourceError| Usage(error.to_string()))?;
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
        session.default_pull(PullKind::Missing);
        Ok(session)
    }

    /// When to ask the registry, if the arguments do not say.
    pub(crate) fn default_pull(&mut self, kind: PullKind) {
        self.pull.policy = match self.asked.unwrap_or(kind) {
            PullKind::Missing => pull::Policy::Missing,
            PullKind::Always => pull::Policy::Always,
            PullKind::Never => pull::Policy::Never,
        };
    }

    /// Brings the image into the store.
    pub(crate) fn pull(&self) -> Fallible<Image> {
        let report = |event: Event| self.progress.report(event);
        Ok(pull::pull(&self.source, &self.platform, &self.store, &self.pull, &report)?)
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
        mut work: impl FnMut(&Image, Report<'_>) -> Result<T, pipeline::Error>,
    ) -> Fallible<T> {
        let report = |event: Event| self.progress.report(event);
        let mut healed = BTreeSet::new();
        loop {
            let image = self.pull()?;
            let failure = match work(&image, &report) {
                Ok(done) => return Ok(done),
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

fn open_store(common: &Common) -> Fallible<Store> {
    if common.no_store {
        let store = Store::temporary(None)?;
        pipeline::scratch::register(store.path());
        return Ok(store);
    }
    Ok(match &common.store {
        Some(path) => Store::open(path)?,
        None => Store::open(&Store::default_path()?)?,
    })
}

fn pull_options(args: &SourceArgs) -> Fallible<pull::Options> {
    Ok(pull::Options {
        any_platform: args.any_platform,
        parallel: args.parallel_downloads.into(),
        registry: registry_options(args)?,
        ..pull::Options::default()
    })
}

fn registry_options(args: &SourceArgs) -> Fallible<registry::Options> {
    let mut options = registry::Options {
        insecure: args.insecure_registry.clone(),
        credentials: registry::Credentials::from_env(),
        ..registry::Options::default()
    };
    for path in &args.ca {
        let pem = std::fs::read(path).map_err(|error| Usage(format!("--ca {}: {error}", path.display())))?;
        options.extra_roots.push(pem);
    }
    Ok(options)
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
