//! Asking one site after the other: mirrors, and the place itself.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::Error;
use crate::registries::Site;
use crate::retry::{Policy, Retry};

/// The site that is asked, those that will be if it fails, and how others did.
pub(crate) struct Search {
    site: Site,
    others: VecDeque<Site>,
    failures: Vec<(Site, Error)>,
}

impl Search {
    /// Begins with `first`; the others follow in their order.
    pub(crate) fn new(first: Site, others: impl IntoIterator<Item = Site>) -> Search {
        let others = others.into_iter().filter(|site| *site != first).collect();
        Search { site: first, others, failures: Vec::new() }
    }

    /// Who is asked now.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Goes on to the next site, or says how all of them failed.
    pub(crate) fn failed(&mut self, error: Error, policy: &Policy) -> Result<(), Error> {
        let Some(next) = self.others.pop_front() else {
            self.failures.push((self.site.clone(), error));
            return Err(self.end());
        };
        // A mirror need not have everything.
        if let Some(on_retry) = &policy.on_retry
            && !matches!(error, Error::NotFound { .. })
        {
            let elsewhere = Some(next.reference.host());
            on_retry(&Retry { error: &error, failures: 1, attempts: 1, wait: Duration::ZERO, elsewhere });
        }
        let failed = std::mem::replace(&mut self.site, next);
        self.failures.push((failed, error));
        Ok(())
    }

    /// What is wrong with the place itself counts, whenever it was asked.
    fn end(&mut self) -> Error {
        let itself = self.failures.iter().position(|(site, _)| !site.mirror);
        let (_, last) = self.failures.remove(itself.unwrap_or(self.failures.len() - 1));
        if self.failures.is_empty() {
            return last;
        }
        let mirrors = self.failures.drain(..).map(|(_, error)| error).collect();
        Error::Everywhere { last: Box::new(last), mirrors }
    }
}
