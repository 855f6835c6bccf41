//! What clients sent, and where they may find it.

use super::Oracle;
use crate::mirror::{Content, Key};

impl Oracle {
    /// The messages of a request stand where its answer says.
    pub(crate) fn check_run(&mut self, node: usize, first: u64, keys: &[Key]) {
        for (order, key) in (first..).zip(keys) {
            if self.nodes[node].mirror.entry(order) != Some(*key) {
                return self.found(|| {
                    format!("an answer gives a message the order {order}, where something else stands")
                });
            }
        }
    }

    pub(crate) fn on_submit(&mut self, keys: &[Key]) {
        for key in keys {
            self.submitted.entry(*key).or_default().open += 1;
        }
    }

    /// An attempt ended. `refused`: it promised that nothing was stored.
    pub(crate) fn on_outcome(&mut self, keys: &[Key], refused: bool) {
        for key in keys {
            let Some(submitted) = self.submitted.get_mut(key) else { continue };
            submitted.open -= 1;
            submitted.possible |= !refused;
            if submitted.open == 0 && !submitted.possible && self.is_stored(*key) {
                self.found(|| "unknown is not failure: a refused write is in the log".to_owned());
            }
        }
    }

    fn is_stored(&self, key: Key) -> bool {
        let lines = self.nodes.iter().flat_map(|node| &node.mirror.lines);
        lines.into_iter().any(|line| line.content == Content::Entry(key))
    }
}
