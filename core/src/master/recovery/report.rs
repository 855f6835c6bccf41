//! What a promotion would do, in words for the operator.

use std::fmt::Write as _;

use replog_shared::{LogId, NodeName, Place, outline, wire::State};

use super::{
    choice::Choice,
    decision::{Decision, NOTHING_WAS_CHANGED, Situation},
};

impl Situation<'_> {
    /// Step 1 of a promotion and no more: who is there, which log would win, what would be kept and given up.
    pub(super) fn report(&self) -> String {
        let Some(log_id) = self.own.sender.log_id.or_else(|| self.heard_log()) else {
            return "nobody who answered holds a log: there is nothing to be promoted over".to_owned();
        };
        let mut text = format!("promotion of {} over log {log_id}\n", self.own.sender.node);
        for (name, state) in self.nodes() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name}: {}", told(state, log_id));
        }
        text += &self.outcome(log_id);
        text + "nothing was changed"
    }

    fn heard_log(&self) -> Option<LogId> {
        self.others.values().find_map(|state| state.sender.log_id)
    }

    /// All nodes, this one first.
    fn nodes(&self) -> impl Iterator<Item = (&NodeName, Option<&State>)> {
        let others = self.configured.iter().map(|name| (name, self.others.get(name)));
        std::iter::once((&self.own.sender.node, Some(self.own))).chain(others)
    }

    fn outcome(&self, log_id: LogId) -> String {
        match self.decide() {
            Decision::Promote { counts_itself, .. } => self.promoted(log_id, counts_itself),
            Decision::GiveUp(reason) | Decision::Wait(reason) => {
                let reason = reason.strip_suffix(NOTHING_WAS_CHANGED).unwrap_or(&reason);
                format!("not possible now: {reason}\n")
            }
            other => format!("not possible now: {other:?}\n"),
        }
    }

    fn promoted(&self, log_id: LogId, counts_itself: bool) -> String {
        let holders = || self.holders(log_id).map(|(_, state)| state);
        let reached = holders().filter(|state| state.whole).count() + usize::from(counts_itself);
        let nodes = self.configured.len() + 1;
        let mut text = format!(
            "reaches {reached} of {nodes} nodes: keeps every entry acknowledged at w >= {}\n",
            nodes + 1 - reached.clamp(1, nodes)
        );
        let Some(Choice { best, .. }) = self.choice(log_id) else { return text };
        let _ = writeln!(text, "the log of {} ranks highest and becomes the log", best.sender.node);
        for state in holders().chain([self.own]) {
            let (name, to) = (&state.sender.node, state.outline.length);
            let _ = match outline::fork(&best.outline, &state.outline) {
                Some(Place { length: from, .. }) if to > from => {
                    writeln!(text, "{name} gives up the orders {from}..{to}, into quarantine")
                }
                Some(_) => Ok(()),
                None => writeln!(
                    text,
                    "{name} gives up what the log of {} lacks, into quarantine: from where on cannot be told",
                    best.sender.node
                ),
            };
        }
        if let Some(reason) = self.live_master() {
            let _ = writeln!(text, "a master is alive and would be fenced: {reason}");
        }
        text
    }
}

fn told(state: Option<&State>, log_id: LogId) -> String {
    let Some(state) = state else { return "no answer".to_owned() };
    match state.sender.log_id {
        None => "holds no log".to_owned(),
        Some(other) if other != log_id => format!("holds another log, {other}"),
        Some(_) => {
            let epoch = state.epoch().map_or_else(|| "none".to_owned(), ToString::to_string);
            let whole = if state.whole { "whole" } else { "not whole" };
            format!("last epoch {epoch}, {} entries, {whole}", state.outline.length)
        }
    }
}
