//! What clients did and saw during a run, and the rules that it must not break.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// One append, with all its retries, as its client saw it.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The id of the message.
    pub id: String,
    /// How many nodes were to hold it.
    pub w: usize,
    /// When it was first sent, in microseconds of one clock that all clients share.
    pub sent: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an append ended for its client.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was answered: w nodes hold it.
    Acknowledged {
        /// When, on the same clock.
        at: u64,
        /// The order that the answer names.
        order: u64,
        /// The nodes that the answer names.
        nodes: Vec<String>,
    },
    /// Its client gave up, or was cut off: it may have been stored or not.
    Unknown,
    /// It was refused with the word that nothing is stored.
    Refused,
}

/// One place of a log, as a node shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The order that it has.
    pub order: u64,
    /// The id of the message.
    pub id: String,
}

/// What a node showed at some moment: its name, and all ids in their order.
pub type Read = (String, Vec<String>);

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The configured nodes, the master first.
    pub nodes: Vec<String>,
    /// Those of them that led before it, if others were promoted during the run.
    pub led_before: Vec<String>,
    /// All appends.
    pub operations: Vec<Operation>,
    /// What nodes showed at some moment of the run.
    pub reads: Vec<Read>,
    /// What each node shows at the end, by its name.
    pub logs: BTreeMap<String, Vec<Shown>>,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A node shows no order where one must be, or an order out of place.
    Gap {
        /// The node.
        node: String,
        /// The place.
        at: usize,
    },
    /// A node shows an id twice.
    Duplicate {
        /// The node.
        node: String,
        /// The id.
        id: String,
    },
    /// A node shows something that nobody sent.
    Invented {
        /// The node.
        node: String,
        /// The id.
        id: String,
    },
    /// A node shows something else than the master at this place, or nothing.
    Differs {
        /// The node.
        node: String,
        /// The place.
        at: usize,
    },
    /// Something was acknowledged and is not in the master's log.
    Lost {
        /// The id.
        id: String,
        /// Which part of what was acknowledged is missing.
        part: Part,
    },
    /// Something was acknowledged at another order than it has.
    WrongOrder {
        /// The id.
        id: String,
    },
    /// One was acknowledged before the other was sent, and stands behind it.
    Reordered {
        /// The one that was acknowledged first.
        first: String,
        /// The one that was sent later.
        second: String,
    },
    /// The answer names fewer than w nodes, a node twice, one that is not configured, or not the master.
    WrongNodes {
        /// The id.
        id: String,
    },
    /// Something was refused, and is in the log.
    RefusedAppears {
        /// The id.
        id: String,
    },
    /// A node showed, during the run, something that is no prefix of the final log.
    NoPrefix {
        /// The node.
        node: String,
        /// The place at which they part.
        at: usize,
    },
}

/// Which part of the acknowledged entries is missing: it tells what kind of defect to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All before the first one that is there: a log that forgot its beginning.
    Prefix,
    /// Between some that are there: a hole.
    Middle,
    /// All after the last one that is there: acknowledged too early.
    Postfix,
}

/// A run that proves nothing, because too little happened in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run is invalid: {}", self.0)
    }
}

impl History {
    /// Checks that enough happened for the run to count: this many acknowledged appends, and some at every w.
    ///
    /// # Errors
    /// It does not count, and why.
    pub fn check_validity(&self, acknowledged: usize) -> Result<(), Invalid> {
        let answered: Vec<&Operation> =
            self.operations.iter().filter(|one| one.acknowledged().is_some()).collect();
        if answered.len() < acknowledged {
            return Err(Invalid(format!("{} appends were acknowledged, not {acknowledged}", answered.len())));
        }
        let never = (1..=self.nodes.len()).find(|w| answered.iter().all(|one| one.w != *w));
        never.map_or(Ok(()), |w| Err(Invalid(format!("no append was acknowledged at w={w}"))))
    }

    /// Takes what was acknowledged at less than `w` as of unknown fate: a promotion promises nothing of it.
    pub fn promise_only_from(&mut self, w: usize) {
        let without = self.operations.iter_mut().filter(|operation| operation.w < w);
        without.filter(|one| one.acknowledged().is_some()).for_each(|one| one.outcome = Outcome::Unknown);
    }

    /// Every rule that the run broke; nothing if it is sound.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (node, log) in &self.logs {
            self.check_log(node, log, &mut found);
        }
        self.check_answers(&mut found);
        self.check_real_time(&mut found);
        self.check_reads(&mut found);
        found
    }

    /// The master's log; empty if it is not there.
    fn log(&self) -> &[Shown] {
        self.nodes.first().and_then(|master| self.logs.get(master)).map_or(&[], Vec::as_slice)
    }

    /// One node: dense, nothing twice, nothing made up, the same as on the master.
    fn check_log(&self, node: &str, log: &[Shown], found: &mut Vec<Violation>) {
        let sent: BTreeSet<&str> = self.operations.iter().map(|operation| operation.id.as_str()).collect();
        let mut seen = BTreeSet::new();
        for (at, shown) in log.iter().enumerate() {
            let (node, id) = (node.to_owned(), shown.id.clone());
            if shown.order != at as u64 {
                found.push(Violation::Gap { node, at });
            } else if !sent.contains(id.as_str()) {
                found.push(Violation::Invented { node, id });
            } else if !seen.insert(shown.id.as_str()) {
                found.push(Violation::Duplicate { node, id });
            }
        }
        let master = self.log();
        let length = log.len().max(master.len());
        if let Some(at) = (0..length).find(|at| log.get(*at) != master.get(*at)) {
            found.push(Violation::Differs { node: node.to_owned(), at });
        }
    }

    /// What clients were told, against the master's log.
    fn check_answers(&self, found: &mut Vec<Violation>) {
        let places: BTreeMap<&str, u64> =
            self.log().iter().map(|shown| (shown.id.as_str(), shown.order)).collect();
        for operation in &self.operations {
            let id = || operation.id.clone();
            let place = places.get(operation.id.as_str());
            match &operation.outcome {
                Outcome::Acknowledged { order, nodes, .. } => {
                    match place {
                        None => found.push(Violation::Lost { id: id(), part: self.part_of(*order) }),
                        Some(place) if place != order => found.push(Violation::WrongOrder { id: id() }),
                        Some(_) => {}
                    }
                    if !self.are_right(nodes, operation.w) {
                        found.push(Violation::WrongNodes { id: id() });
                    }
                }
                Outcome::Refused if place.is_some() => found.push(Violation::RefusedAppears { id: id() }),
                Outcome::Refused | Outcome::Unknown => {}
            }
        }
    }

    fn are_right(&self, nodes: &[String], w: usize) -> bool {
        let distinct: BTreeSet<&String> = nodes.iter().collect();
        let known = distinct.iter().all(|node| self.nodes.contains(node));
        let master =
            self.nodes.iter().take(1).chain(&self.led_before).any(|master| distinct.contains(master));
        distinct.len() == nodes.len() && distinct.len() >= w && known && master
    }

    /// Where a lost entry lay among those acknowledged ones that are still there.
    fn part_of(&self, lost: u64) -> Part {
        let there: BTreeSet<&str> = self.log().iter().map(|shown| shown.id.as_str()).collect();
        let kept = self.operations.iter().filter(|one| there.contains(one.id.as_str()));
        let orders: Vec<u64> = kept.filter_map(|one| one.acknowledged().map(|(_, order)| order)).collect();
        if orders.iter().all(|order| *order < lost) {
            Part::Postfix
        } else if orders.iter().all(|order| *order > lost) {
            Part::Prefix
        } else {
            Part::Middle
        }
    }

    /// Whatever stands before an entry was sent before that entry was acknowledged.
    fn check_real_time(&self, found: &mut Vec<Violation>) {
        let operations: BTreeMap<&str, &Operation> =
            self.operations.iter().map(|operation| (operation.id.as_str(), operation)).collect();
        let mut last_sent: Option<&Operation> = None;
        for operation in self.log().iter().filter_map(|shown| operations.get(shown.id.as_str())) {
            if let (Some((at, _)), Some(before)) = (operation.acknowledged(), last_sent)
                && at < before.sent
            {
                found.push(Violation::Reordered { first: operation.id.clone(), second: before.id.clone() });
            }
            if last_sent.is_none_or(|last| last.sent < operation.sent) {
                last_sent = Some(operation);
            }
        }
    }

    fn check_reads(&self, found: &mut Vec<Violation>) {
        let log = self.log();
        for (node, ids) in &self.reads {
            let parts =
                |(at, id): (usize, &String)| (log.get(at).map(|shown| &shown.id) != Some(id)).then_some(at);
            if let Some(at) = ids.iter().enumerate().find_map(parts) {
                found.push(Violation::NoPrefix { node: node.clone(), at });
            }
        }
    }
}

impl Operation {
    /// When it was acknowledged, and at which order.
    fn acknowledged(&self) -> Option<(u64, u64)> {
        match &self.outcome {
            Outcome::Acknowledged { at, order, .. } => Some((*at, *order)),
            Outcome::Unknown | Outcome::Refused => None,
        }
    }
}

#[cfg(test)]
mod tests;
