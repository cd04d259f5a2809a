//! Trying again: when, how often, and after how long.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Error;

/// How long to wait before an attempt.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// Before the second attempt; it doubles from there.
    pub first: Duration,
    /// It does not grow beyond this.
    pub longest: Duration,
    /// A registry that wants us to wait longer than this is not waited for: the user is told instead.
    pub patience: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            patience: Duration::from_secs(120),
        }
    }
}

/// An attempt that failed and is followed by another.
#[derive(Debug)]
pub struct Retry<'a> {
    /// How it failed.
    pub error: &'a Error,
    /// Failures in a row so far, from 1.
    pub failures: u32,
    /// How many attempts there are in all.
    pub attempts: u32,
    /// How long it is until the next one.
    pub wait: Duration,
    /// Who is asked instead, where it is not the same host again.
    pub elsewhere: Option<&'a str>,
}

pub(crate) type OnRetry = Arc<dyn Fn(&Retry<'_>) + Send + Sync>;
pub(crate) type Sleep = Arc<dyn Fn(Duration) + Send + Sync>;

/// What makes every [`Attempts`].
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
    pub(crate) sleep: Sleep,
    pub(crate) on_retry: Option<OnRetry>,
}

/// A host that never answered is tried no more often than this: it is rather a mistyped name than a registry
/// that happens to start at this moment.
const SLIM_ATTEMPTS: u32 = 2;

/// Whether another attempt may end otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chance {
    /// It would end the same.
    None,
    /// Hardly.
    Slim,
    /// It may well.
    Good,
}

/// An attempt's end.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) chance: Chance,
    /// What the host asks for.
    pub(crate) retry_after: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, chance: Chance::None, retry_after: None }
    }
}

/// The failures in a row of one task.
#[derive(Default)]
pub(crate) struct Attempts {
    failures: u32,
}

impl Attempts {
    /// Waits until the next attempt may start, or says why there is none.
    pub(crate) fn failed(&mut self, policy: &Policy, failure: Failure) -> Result<(), Error> {
        let Failure { error, chance, retry_after } = failure;
        let limit = match chance {
            Chance::None => return Err(error),
            Chance::Slim => policy.attempts.min(SLIM_ATTEMPTS),
            Chance::Good => policy.attempts,
        };
        self.failures += 1;
        let impatient = retry_after.is_some_and(|wait| wait > policy.backoff.patience);
        if self.failures >= limit || impatient {
            return Err(match error {
                Error::RateLimited { .. } => error,
                last if self.failures == 1 => last,
                last => Error::GaveUp { attempts: self.failures, last: Box::new(last) },
            });
        }
        let wait = retry_after.unwrap_or_else(|| policy.backoff.wait(self.failures, random()));
        if let Some(on_retry) = &policy.on_retry {
            on_retry(&Retry {
                error: &error,
                failures: self.failures,
                attempts: limit,
                wait,
                elsewhere: None,
            });
        }
        (policy.sleep)(wait);
        Ok(())
    }

    /// Something came of it: the failures so far are forgiven.
    pub(crate) fn progress(&mut self) {
        self.failures = 0;
    }
}

impl Backoff {
    /// Between half and all of the doubled time, so that many clients that failed together do not come back
    /// together.
    fn wait(&self, failures: u32, random: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << (failures - 1).min(20)).min(self.longest);
        doubled / 2 + doubled.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
    }
}

/// A number nobody needs to be unable to guess.
fn random() -> u32 {
    RandomState::new().hash_one(0) as u32
}

/// Reads `Retry-After`: seconds or a date (RFC 9110, section 10.2.3). A date is compared with the answer's own
/// `Date`, so that our clock may be wrong.
pub(crate) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = date.and_then(parse_date).unwrap_or_else(now);
    Some(Duration::from_secs(parse_date(value)?.saturating_sub(now)))
}

/// Seconds since 1970 of any of the three forms of RFC 9110, section 5.6.7. They differ in order and in
/// punctuation, but no two parts can be taken for one another: a time has colons, a month has letters, and
/// the day precedes the year.
fn parse_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (mut day, mut month, mut year, mut time) = (None, None, None, None);
    for word in text.split([' ', ',', '-']).filter(|word| !word.is_empty()) {
        if word.contains(':') {
            let parts: Vec<u64> = word.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
            let [hour @ 0..24, minute @ 0..60, second @ 0..=60] = parts[..] else { return None };
            time = Some(hour * 3600 + minute * 60 + second);
        } else if let Ok(number) = word.parse::<u64>() {
            if day.is_none() {
                day = Some(number).filter(|day| (1..=31).contains(day));
                day?;
            } else {
                // "a two-digit year that appears to be more than 50 years in the future" is in the past.
                year = Some(match number {
                    0..70 if word.len() == 2 => 2000 + number,
                    70..100 if word.len() == 2 => 1900 + number,
                    _ => number,
                });
            }
        } else if word.is_ascii() && word.len() == 3 && month.is_none() {
            month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(word)).map(|m| m as u64);
        }
    }
    let (day, month, year) = (day?, month?, year.filter(|year| (1970..10_000).contains(year))?);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_of_years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days_of_months: u64 = lengths.iter().take(month as usize).sum();
    Some((days_of_years + days_of_months + day - 1) * 86_400 + time?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_all_three_forms() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_date(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        for text in ["", "soon", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 8:49 GMT", "99 Nov 2024 00:00:00"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn how_long_to_wait() {
        let date = Some("Sun, 06 Nov 1994 08:49:07 GMT");
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("-5", None),
            ("later", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, date).map(|wait| wait.as_secs()), seconds, "{value}");
        }
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", None), Some(Duration::ZERO));
    }

    #[test]
    fn waits_double_up_to_a_limit_and_are_never_nothing() {
        let backoff = Backoff { first: Duration::from_secs(1), ..Backoff::default() };
        for (failures, random, seconds) in
            [(1, 0, 0.5), (1, u32::MAX, 1.0), (3, 0, 2.0), (3, u32::MAX, 4.0), (60, u32::MAX, 30.0)]
        {
            let wait = backoff.wait(failures, random).as_secs_f64();
            assert!((wait - seconds).abs() < 0.001, "{failures} {random}: {wait}");
        }
    }
}
