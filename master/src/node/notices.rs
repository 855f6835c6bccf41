//! The core's notices as log lines.

use replog_shared::NodeName;
use tracing::{debug, error, info, warn};

use replog_core::master::events::{NotLeading, Notice};

use crate::words;

/// Logs a notice: error where someone must act, warn where something is degraded, info where a state changed.
pub(super) fn log(notice: &Notice) {
    match notice {
        Notice::Leading { epoch, log_id, length } => {
            let log_id = log_id.map(tracing::field::display);
            info!(%epoch, log_id, %length, "this node leads");
        }
        Notice::Adopting { log_id, from, length } => {
            warn!(%log_id, %from, %length, "another node's log ranks highest: this one fetches what it lacks");
        }
        Notice::Cut { orders } => {
            warn!(%orders, "gave up entries that the log it takes over does not have");
        }
        Notice::NewLog { silent } if silent.is_empty() => info!("no node holds a log: a new one begins"),
        Notice::NewLog { silent } => {
            warn!(not_heard = ?silent, "no node that answered holds a log: a new one begins");
        }
        Notice::WaitRaised { configured, wait } => {
            let (configured_ms, wait_ms) = (configured.as_millis() as u64, wait.as_millis() as u64);
            warn!(
                configured_ms,
                wait_ms,
                "a round trip over NATS takes longer than --recovery-wait-ms allows for: silent nodes are waited for longer"
            );
        }
        Notice::GivesWay { node, log_id } => {
            let log_id = log_id.map(tracing::field::display);
            warn!(%node, log_id, "a node that was silent holds a log: the new one, which has no entry, gives way to it");
        }
        Notice::Waiting { reason } => warn!(reason = words::reason(reason), "not leading yet"),
        Notice::Stopped(NotLeading::Stopping) => info!("stopping"),
        Notice::Stopped(NotLeading::Fenced { by }) => {
            error!(%by, "another node reigns: this one takes no appends any more; start it as a secondary");
        }
        // The program ends with it.
        Notice::Stopped(NotLeading::NotPromoted { .. } | NotLeading::DryRun { .. }) => {}
        Notice::Stopped(NotLeading::Diverged { node }) => {
            error!(secondary = %node, "a secondary holds entries or an epoch that this log lacks: no appends are taken any more");
        }
        Notice::Stopped(NotLeading::Recovering { .. }) => {}
        Notice::Admitted { node, length } => info!(secondary = %node, %length, "a secondary joined"),
        Notice::Stranger { node, configured } => {
            let configured = configured.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
            warn!(secondary = %node, configured, "a node asks to join that is not configured here: start it with --name and one of these names, or add its name to --secondaries");
        }
        Notice::JoinRefused { node, reason } => {
            warn!(secondary = %node, reason = words::join_refusal(*reason), "refused a join");
        }
        Notice::Rival { node } => {
            error!(master = %node, "another master leads a log of this name: stop one of the two, or give it another --log");
        }
        Notice::TooLargeForBus { node, order, limit } => {
            error!(secondary = %node, %order, limit_bytes = limit, "an entry is larger than what nats-server takes: raise its max_payload; until then no secondary gets it or what stands behind it");
        }
        Notice::Outdated { node, version } => {
            error!(secondary = %node, version, newest = replog_shared::wire::VERSION, "a secondary is older than this master and does not understand what it writes: upgrade that secondary; it is refused until then");
        }
        // They are counted, and only the first of each kind is told.
        Notice::AckRefused { .. } | Notice::DiskBehind => {}
        Notice::BatchCut { orders } => {
            warn!(%orders, "gave up the beginning of a batch of which no node that promised holds the end");
        }
        Notice::DigestMismatch { node, through } => {
            error!(secondary = %node, %through, "a secondary's log differs from this one: its acks do not count");
        }
    }
    debug!(?notice, "notice");
}
