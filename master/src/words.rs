//! What the core's reasons are in words. Nothing reads these sentences but people: programs have codes.

use std::fmt::Write as _;

use replog_core::master::{
    events::NotLeading,
    reasons::{
        Aftermath, Dispute, Holding, JoinRefusal, Lack, Outcome, Promoted, Reason, Report, ReportedLog,
        UselessFlag, WaitsFor,
    },
};
use replog_shared::NodeName;

/// Why this node does not lead, as part of a sentence.
pub(crate) fn not_leading(why: &NotLeading) -> String {
    match why {
        NotLeading::Recovering { waits_for, outdated } => {
            let words = format!("this master does not lead yet: {}", self::waits_for(waits_for));
            outdated_nodes(outdated).map_or(words.clone(), |outdated| format!("{words}; {outdated}"))
        }
        NotLeading::Fenced { by } => format!("{by} reigns now"),
        NotLeading::NotPromoted { reason, aftermath } => not_promoted(reason, *aftermath),
        NotLeading::DryRun { .. } => "it was only asked what a promotion would do".to_owned(),
        NotLeading::Diverged { node } => format!(
            "{node} holds entries or an epoch that this log lacks, an operator must decide: if this node's directory is an old copy, start it with --recover"
        ),
        NotLeading::Stopping => "the node is stopping".to_owned(),
    }
}

/// Why a promotion did not come about, and what to do about it.
pub(crate) fn not_promoted(why: &Reason, aftermath: Aftermath) -> String {
    match (why, aftermath) {
        // They say so themselves, before their advice.
        (Reason::UselessFlag(_), _) => reason(why),
        (_, Aftermath::NothingChanged) => format!("{}; nothing was changed", reason(why)),
        (_, Aftermath::PromisesStay) => {
            format!("{}; the nodes that promised take nothing older any more: run it again", reason(why))
        }
    }
}

/// Which secondaries to upgrade; none if there are none.
pub(crate) fn outdated_nodes(nodes: &[NodeName]) -> Option<String> {
    (!nodes.is_empty()).then(|| {
        format!(
            "older than this master and refused by it, because they do not understand what it writes: upgrade {}",
            list(nodes)
        )
    })
}

fn waits_for(what: &WaitsFor) -> String {
    match what {
        WaitsFor::Bus => {
            "it is not connected to NATS, and cannot ask the other nodes what they hold".to_owned()
        }
        WaitsFor::Answers(silent) => format!("no answer yet from {}", list(silent)),
        WaitsFor::Comparison => "it is comparing the other nodes' logs".to_owned(),
        WaitsFor::LogOf(node) => format!("it is finding out about the log that {node} holds"),
        WaitsFor::Change(why) => reason(why),
    }
}

/// Why a node does not lead now, and what to do about it.
pub(crate) fn reason(why: &Reason) -> String {
    match why {
        Reason::UselessFlag(flag) => useless_flag(*flag).to_owned(),
        Reason::Double(node) => format!(
            "another process of {node} is alive, perhaps over a copy of its directory: stop one of the two; this one leads when that one is gone"
        ),
        Reason::HeardByAnother { by, master } => {
            format!("{by} hears a live master, {master}: this node leads when that one is gone")
        }
        Reason::Rival(master) => {
            format!("another master, {master}, is alive: this node leads when that one is gone")
        }
        Reason::DifferentLogs(count) => {
            format!("the other nodes hold {count} different logs: wipe those that are not wanted")
        }
        Reason::NoLog { answered } => format!(
            "neither this node nor any of the {answered} that answer holds a log to take over: see to it that the nodes which hold it run and are named in --secondaries, or start without --promote to begin a new log"
        ),
        Reason::HoldersAreSilent => "the nodes whose log this node began to take over are silent".to_owned(),
        Reason::Dispute(dispute) => self::dispute(dispute),
        Reason::TooFewReached { whole, required, missing } => format!(
            "the promotion reaches {whole} whole nodes of the {required} that it must reach (not reached: {})",
            list(missing)
        ),
        Reason::Lack { lack, missing } => format!(
            "{}: it takes their log over once all of them are there and whole, or fewer by --reach; waiting for {}",
            self::lack(*lack),
            list(missing)
        ),
        Reason::NoAnswers => "the other nodes stopped answering while this one was promoted".to_owned(),
        Reason::AnotherLog(from) => format!("what {from} sent is not the log that it promised"),
    }
}

const fn useless_flag(flag: UselessFlag) -> &'static str {
    match flag {
        UselessFlag::RecoverOfNothing => {
            "--recover is for one start over an old copy of this node's directory, and this directory is empty: nothing was changed; start it without --recover"
        }
        UselessFlag::RecoverOfNoOldCopy => {
            "--recover is for one start over an old copy of this node's directory, and nobody who answered holds or knows more than this one: nothing was changed; start it without --recover"
        }
        UselessFlag::Reach => {
            "--reach is for one start that takes over what the other nodes hold, and this one has nothing to take over: nothing was changed; start it without --reach"
        }
    }
}

fn lack(lack: Lack) -> String {
    match lack {
        Lack::All(theirs) => format!("this node is empty and the others hold log {theirs}"),
        Lack::AllButItsOwn(theirs) => {
            format!("this node began a log that has no entry, and the others hold log {theirs}")
        }
        Lack::Some => "this node's log lacks entries that it had, or may lack some".to_owned(),
    }
}

fn dispute(dispute: &Dispute) -> String {
    match dispute {
        Dispute::Unknown { node, best } => format!(
            "too many epochs lie between the log of {node} and that of {best}, which ranks highest, to tell whether {node} holds entries that {best} lacks: an operator must decide: stop {node} and reach fewer nodes by --reach, start it over an empty directory, or promote {best} itself, which knows all of its log"
        ),
        Dispute::Unexplained { node, best } => format!(
            "{node} holds entries that the log of {best}, which ranks highest, neither has nor explains: an operator must decide whose log to keep: start this node with --recover to give up its own, or another node over an empty directory to give up that one's"
        ),
    }
}

/// Why a join is refused.
pub(crate) const fn join_refusal(why: JoinRefusal) -> &'static str {
    match why {
        JoinRefusal::OwnName => "it is another process of this node's own name: stop one of the two",
        JoinRefusal::OtherLog => "it holds another log",
        JoinRefusal::NameInUse => "another live process has this name",
    }
}

/// What a promotion would do, in lines.
pub(crate) fn report(report: &Report) -> String {
    let Some(ReportedLog { log_id, nodes, outcome }) = &report.over else {
        return "nobody who answered holds a log: there is nothing to be promoted over".to_owned();
    };
    let mut text = format!("promotion of {} over log {log_id}\n", report.node);
    for (name, holding) in nodes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name}: {}", self::holding(holding));
    }
    match outcome {
        Outcome::Promoted(promoted) => text += &self::promoted(promoted),
        Outcome::NotNow(Some(why)) => {
            let _ = writeln!(text, "not possible now: {}", reason(why));
        }
        Outcome::NotNow(None) => text += "not possible now: no promotion was asked for\n",
    }
    text + "nothing was changed"
}

fn holding(holding: &Holding) -> String {
    match holding {
        Holding::NoAnswer => "no answer".to_owned(),
        Holding::NoLog => "holds no log".to_owned(),
        Holding::OtherLog(other) => format!("holds another log, {other}"),
        Holding::Log { epoch, entries, whole } => {
            let epoch = epoch.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
            let whole = if *whole { "whole" } else { "not whole" };
            format!("last epoch {epoch}, {entries} entries, {whole}")
        }
    }
}

fn promoted(promoted: &Promoted) -> String {
    let Promoted { reached, nodes, best, given_up, fences } = promoted;
    let mut text = format!(
        "reaches {reached} of {nodes} nodes: keeps every entry acknowledged at w >= {}\n",
        nodes + 1 - reached.clamp(&1, nodes)
    );
    let Some(best) = best else { return text };
    let _ = writeln!(text, "the log of {best} ranks highest and becomes the log");
    for (name, orders) in given_up {
        let _ = match orders {
            Some(orders) => writeln!(text, "{name} gives up the orders {orders}, into quarantine"),
            None => writeln!(
                text,
                "{name} gives up what the log of {best} lacks, into quarantine: from where on cannot be told"
            ),
        };
    }
    if let Some(why) = fences {
        let _ = writeln!(text, "a master is alive and would be fenced: {}", reason(why));
    }
    text
}

fn list(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use replog_shared::{Epoch, Incarnation, LogId, Order, OrderRange};

    use super::*;

    fn name(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    #[test]
    fn a_refused_promotion_says_once_what_became_of_the_others() {
        let why = Reason::TooFewReached { whole: 2, required: 3, missing: vec![name("s1"), name("s2")] };
        assert_eq!(
            not_promoted(&why, Aftermath::NothingChanged),
            "the promotion reaches 2 whole nodes of the 3 that it must reach (not reached: s1, s2); nothing was changed"
        );
        assert!(
            not_promoted(&Reason::NoAnswers, Aftermath::PromisesStay).ends_with("any more: run it again")
        );
        for flag in [UselessFlag::RecoverOfNothing, UselessFlag::RecoverOfNoOldCopy, UselessFlag::Reach] {
            let words = not_promoted(&Reason::UselessFlag(flag), Aftermath::NothingChanged);
            assert_eq!(words.matches("nothing was changed").count(), 1, "{words}");
            assert!(words.contains("start it without --re"), "{words}");
        }
    }

    #[test]
    fn who_waits_says_for_whom_and_which_nodes_are_too_old() {
        let missing = vec![name("s2")];
        let waits_for = WaitsFor::Change(Reason::Lack { lack: Lack::Some, missing });
        let why = NotLeading::Recovering { waits_for, outdated: vec![name("s1"), name("s2")] };
        let words = not_leading(&why);
        assert!(
            words.contains("or may lack some: it takes their log over") && words.contains("waiting for s2")
        );
        assert!(words.ends_with("upgrade s1, s2"), "{words}");
    }

    #[test]
    fn a_dry_run_tells_who_is_reached_what_is_kept_and_what_is_given_up() {
        let (owner, incarnation) = (name("old"), Incarnation::from_random(1));
        let epoch = Some(Epoch { reign: 2, owner, start: 3, incarnation });
        let log = Holding::Log { epoch, entries: Order::new(9), whole: true };
        let promoted = Promoted {
            reached: 2,
            nodes: 3,
            best: Some(name("s1")),
            given_up: vec![
                (name("s2"), Some(OrderRange::new(Order::new(7), Order::new(9)))),
                (name("s3"), None),
            ],
            fences: Some(Reason::Rival(name("old"))),
        };
        let of = |outcome| ReportedLog {
            log_id: LogId::from_random(1),
            nodes: vec![(name("master"), log.clone()), (name("s2"), Holding::NoAnswer)],
            outcome,
        };
        let told = |outcome| report(&Report { node: name("master"), over: Some(of(outcome)) });
        let text = told(Outcome::Promoted(promoted));
        for line in [
            "  master: last epoch 2.3 of old, 9 entries, whole",
            "  s2: no answer",
            "reaches 2 of 3 nodes: keeps every entry acknowledged at w >= 2",
            "the log of s1 ranks highest",
            "s2 gives up the orders 7..9, into quarantine",
            "s3 gives up what the log of s1 lacks",
            "would be fenced: another master, old, is alive",
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
        let text = told(Outcome::NotNow(Some(Reason::NoAnswers)));
        assert!(text.contains("not possible now: the other nodes stopped answering"), "{text}");
        assert_eq!(text.matches("nothing was changed").count(), 1, "{text}");
    }
}
