//! Costs by the library that had them.

use serde_json::{Map, Value, json};

use crate::clock::Cost;

/// The cost of each library, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Sums(Vec<(&'static str, Cost)>);

impl Sums {
    /// Adds to what the library has cost so far.
    pub(crate) fn add(&mut self, name: &'static str, cost: Cost) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => sum.add(cost),
            None => self.0.push((name, cost)),
        }
    }

    /// The library that computed least.
    pub(crate) fn least(&self) -> Option<(&'static str, Cost)> {
        self.0.iter().copied().min_by(|(_, one), (_, other)| one.cpu.total_cmp(&other.cpu))
    }

    /// CPU seconds by library.
    pub(crate) fn to_json(&self) -> Value {
        let seconds: Map<String, Value> =
            self.0.iter().map(|(name, cost)| (name.to_string(), json!(cost.cpu))).collect();
        let fastest = self.least().map(|(name, _)| name);
        json!({ "fastest": fastest, "cpu": seconds })
    }
}
