//! What the bytes cost at least: `bench-floor`, in turns with unlade.

use std::io;
use std::process::Command;

use serde_json::Value;
use testkit::tools;

use super::contender::Contender;
use super::cost::{Cost, median};
use super::duel;
use super::place::{Place, peer};

/// One run of the floor. Seconds are CPU seconds of one thread.
pub(super) struct Floor {
    pub(super) layers: u64,
    pub(super) cores: u64,
    pub(super) compressed_bytes: u64,
    pub(super) expanded_bytes: u64,
    /// Of each library.
    pub(super) inflate: Libraries,
    pub(super) hash_compressed: Libraries,
    pub(super) hash_expanded: Libraries,
    pub(super) write: f64,
    /// Seconds that go by until the written bytes are on the disk; in no sum.
    pub(super) flush: f64,
}

/// CPU seconds by library.
pub(super) type Libraries = Vec<(String, f64)>;

/// A run of each, one after the other.
pub(super) struct Round {
    pub(super) cold: Cost,
    pub(super) warm: Cost,
    pub(super) floor: Floor,
}

impl Floor {
    /// Everything.
    pub(super) fn cold(&self) -> Cost {
        self.cost(
            least(&self.inflate) + self.write + least(&self.hash_compressed) + least(&self.hash_expanded),
        )
    }

    /// Without hashing.
    pub(super) fn warm(&self) -> Cost {
        self.cost(least(&self.inflate) + self.write)
    }

    /// As if no core ever waited.
    fn cost(&self, cpu: f64) -> Cost {
        Cost { wall: cpu / self.cores as f64, cpu, ..Cost::default() }
    }
}

/// Runs all three in turns.
pub(super) fn race(place: &Place, cold: &Contender, warm: &Contender, runs: usize) -> io::Result<Vec<Round>> {
    println!("\n== {} and {} against the floor", cold.name, warm.name);
    cold.prepare()?;
    warm.prepare()?;
    let mut rounds = Vec::new();
    for number in 1..=runs {
        let round = Round { cold: duel::turn(cold)?, warm: duel::turn(warm)?, floor: sample(place)? };
        println!(
            "{number}: cold cpu {:.2} floor {:.2} s, warm cpu {:.2} floor {:.2} s, wall {:.2} and {:.2} s",
            round.cold.cpu,
            round.floor.cold().cpu,
            round.warm.cpu,
            round.floor.warm().cpu,
            round.cold.wall,
            round.warm.wall,
        );
        rounds.push(round);
    }
    Ok(rounds)
}

/// Runs the floor once.
pub(super) fn sample(place: &Place) -> io::Result<Floor> {
    let mut floor = Command::new(peer("bench-floor"));
    let text = tools::run(floor.arg(&place.layout).arg(place.file("floor")))?;
    let found: Value = serde_json::from_slice(&text)?;
    let whole = |pointer: &str| found.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let seconds = |pointer: &str| found.pointer(pointer).and_then(Value::as_f64).unwrap_or_default();
    let libraries = |part: &str| {
        let each = found[part]["cpu"].as_object().into_iter().flatten();
        each.map(|(name, seconds)| (name.clone(), seconds.as_f64().unwrap_or_default())).collect()
    };
    Ok(Floor {
        layers: whole("/layers"),
        cores: whole("/cores"),
        compressed_bytes: whole("/compressed_bytes"),
        expanded_bytes: whole("/expanded_bytes"),
        inflate: libraries("inflate"),
        hash_compressed: libraries("sha256_compressed"),
        hash_expanded: libraries("sha256_expanded"),
        write: seconds("/write/cpu"),
        flush: seconds("/flush/wall"),
    })
}

/// The median of each library, the fastest first.
pub(super) fn medians(rounds: &[Round], part: fn(&Floor) -> &Libraries) -> Libraries {
    let names = rounds.first().into_iter().flat_map(|round| part(&round.floor));
    let of = |name: &str| {
        let all = rounds.iter().flat_map(|round| part(&round.floor));
        median(all.filter(|(found, _)| found == name).map(|(_, seconds)| *seconds))
    };
    let mut libraries: Libraries = names.map(|(name, _)| (name.clone(), of(name))).collect();
    libraries.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    libraries
}

fn least(libraries: &[(String, f64)]) -> f64 {
    libraries.iter().map(|(_, seconds)| *seconds).reduce(f64::min).unwrap_or_default()
}
