//! Nodes that ask to join and are not configured.

use std::collections::BTreeMap;

use replog_shared::{
    Moment, NodeName,
    limits::{MAX_NAMES_TOLD, STRANGER_FORGOTTEN_AFTER},
};

/// Who asked to join without being configured, and when last: most often a name with a typing error, here or there.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    heard: BTreeMap<NodeName, Moment>,
}

impl Strangers {
    /// This node asks to join. True if it is new here, so that it is told once.
    pub(super) fn on_join(&mut self, now: Moment, node: &NodeName) -> bool {
        self.heard.retain(|_, heard| now.since(*heard) < STRANGER_FORGOTTEN_AFTER);
        let is_new = !self.heard.contains_key(node);
        // Anybody can make up names.
        if is_new && self.heard.len() >= MAX_NAMES_TOLD {
            return false;
        }
        self.heard.insert(node.clone(), now);
        is_new
    }

    /// Those that ask still.
    pub(super) fn now(&self, now: Moment) -> Vec<NodeName> {
        let asks = |heard: &Moment| now.since(*heard) < STRANGER_FORGOTTEN_AFTER;
        self.heard.iter().filter(|(_, heard)| asks(heard)).map(|(node, _)| node.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_stranger_is_told_once_and_named_while_it_asks() {
        let mut strangers = Strangers::default();
        let start = Moment::default();
        assert!(strangers.on_join(start, &name("secondry1")));
        assert!(!strangers.on_join(start, &name("secondry1")));
        assert_eq!(strangers.now(start), [name("secondry1")]);
        let later = start.plus(STRANGER_FORGOTTEN_AFTER);
        assert_eq!(strangers.now(later), []);
        assert!(strangers.on_join(later, &name("secondry1")), "it is back");
    }

    #[test]
    fn made_up_names_take_no_more_room_than_there_is() {
        let mut strangers = Strangers::default();
        let told = (0..9 * MAX_NAMES_TOLD)
            .filter(|nth| strangers.on_join(Moment::default(), &name(&format!("n{nth}"))));
        assert_eq!(told.count(), MAX_NAMES_TOLD);
    }
}
