//! Envelopes that were refused.

use std::collections::BTreeMap;

/// Counts what was refused, by kind and sender, and says which kind is new so that it is logged once.
#[derive(Debug, Default)]
pub struct RefusedCounts {
    counts: BTreeMap<(&'static str, String), u64>,
}

/// Kinds and subjects that are told apart; the rest is counted together, since anybody can make up subjects.
const MAX_REFUSED_KINDS: usize = 256;

impl RefusedCounts {
    /// Counts one; true the first time.
    pub fn count(&mut self, kind: &'static str, subject: &str) -> bool {
        let full = self.counts.len() >= MAX_REFUSED_KINDS;
        let key = (kind, subject.to_owned());
        let key = if full && !self.counts.contains_key(&key) { (kind, "other".to_owned()) } else { key };
        let count = self.counts.entry(key).or_default();
        *count += 1;
        *count == 1
    }

    /// How many, by kind.
    pub fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        for ((kind, _), count) in &self.counts {
            *sums.entry(*kind).or_default() += count;
        }
        sums
    }
}
