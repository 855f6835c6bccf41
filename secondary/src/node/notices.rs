//! The core's notices as log lines.

use replog_shared::{NodeName, wire::Verdict};
use tracing::{error, info, warn};

use replog_core::secondary::Notice;

/// Logs a notice: error where someone must act, warn where something is degraded, info where a state changed.
pub(super) fn log(notice: &Notice) {
    match notice {
        Notice::Joining { epoch } => info!(%epoch, "a master was heard; asking to join"),
        Notice::JoinRefused { verdict: Verdict::Unknown, secondaries } => {
            let secondaries = secondaries.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
            error!(
                master.secondaries = secondaries,
                "the master has no secondary of this node's name: start it with --name and one of these names, or add its name to the master's --secondaries; asking again"
            );
        }
        Notice::JoinRefused { verdict, .. } => {
            warn!(?verdict, "the master does not admit this node; asking again");
        }
        Notice::Joined { epoch, missing } => {
            info!(%epoch, %missing, count = missing.count(), "joined");
        }
        Notice::Streaming { epoch } => info!(%epoch, "holds the mark of the epoch: its acks count"),
        Notice::Whole => info!("this node holds all that its master held when it joined"),
        Notice::NotAdmitted => {
            warn!("the master does not know this process any more; joining again");
        }
        Notice::Cut { orders } => {
            warn!(%orders, "cut entries that a promotion or a clean explains away");
        }
        Notice::Diverged { orders } => {
            error!(%orders, "diverged from the master: all is kept, an operator must decide");
        }
        Notice::Damaged { orders } => {
            error!(%orders, "this log differs from the master's before the fork: it is cut altogether and fetched anew");
        }
        Notice::GivesWay { theirs } => {
            warn!(?theirs, "the master has another log: this one, which has no entry, gives way to it");
        }
        Notice::Foreign { theirs } => {
            error!(?theirs, "the master has another log: this one is kept, an operator must decide");
        }
        Notice::Promised { epoch, to } => {
            warn!(%epoch, %to, "promised: nothing of an older epoch is accepted any more");
        }
        // It is counted, and only the first is told.
        Notice::DiskBehind => {}
        Notice::EntriesRefused { from, reason } => {
            warn!(%from, reason, "entries do not continue the log; they are fetched again");
        }
    }
}
