//! File descriptors. A process has one limit of them for all that it opens: connections, the files of its log, and its
//! way to NATS.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{edge::EdgeLimits, message_ids};

/// Kept from the connections of a node, for everything else that it opens: some 20 while it is quiet, and a few for each
/// page that is read of a disk, for a segment that is changed, and for a way to NATS that is made anew.
const RESERVE: u64 = 64;

/// Raises the process's limit as far as it may, and keeps the connections of each of its `nodes` nodes within it, so that
/// the log never lacks a descriptor because clients have all of them. What that left of what was asked for is to be said.
pub fn fit(limits: &mut EdgeLimits, nodes: u64) -> Option<Fewer> {
    open_chance();
    let open_files = raised();
    let (most, wanted) = (share(open_files, nodes), limits.max_connections);
    if wanted as u64 <= most {
        return None;
    }
    limits.max_connections = usize::try_from(most).unwrap_or(wanted);
    // Whoever follows the log never has all of them.
    limits.max_tails = limits.max_tails.min(limits.max_connections / 2);
    Some(Fewer { connections: limits.max_connections, wanted, open_files })
}

/// Each node takes fewer connections than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Fewer {
    /// It takes so many.
    pub connections: usize,
    /// It was asked for so many.
    pub wanted: usize,
    /// The process may open so many files.
    pub open_files: u64,
}

impl Fewer {
    /// Tells the operator of a node that has the flag.
    pub fn warn(self) {
        let Fewer { connections, wanted, open_files } = self;
        tracing::warn!(
            connections,
            wanted,
            open_files,
            "takes fewer connections than --max-connections says: this process may open no more files (ulimit -n, or LimitNOFILE of systemd)"
        );
    }
}

/// Draws an id that nobody gets. Where a static program does not find the system call for chance, the first draw opens a
/// file and keeps it: later, in a shortage of descriptors, it would fail, and with it the append that wanted an id.
fn open_chance() {
    let _nobodys = message_ids::generate();
}

/// How many connections each node may have.
fn share(limit: u64, nodes: u64) -> u64 {
    let own = limit / nodes.max(1);
    own - RESERVE.min(own / 2)
}

/// The limit, as high as this process may have it.
fn raised() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let highest = Rlimit { current: before.maximum, ..before };
    if before.current != highest.current && setrlimit(Resource::Nofile, highest).is_err() {
        tracing::debug!("the limit of open files could not be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_everything_else() {
        assert_eq!(share(1_024, 1), 960);
        assert_eq!(share(64, 1), 32, "of very few, half");
        assert_eq!(share(1_024, 3), 341 - 64);
        assert_eq!((share(0, 1), share(1, 0)), (0, 1));
        assert!(share(u64::MAX, 1) > u64::from(u32::MAX));
    }

    #[test]
    fn what_does_not_fit_is_made_to_and_who_follows_has_half_of_it() {
        let all = usize::MAX;
        let mut limits = EdgeLimits { max_connections: all, max_tails: all, ..EdgeLimits::default() };
        let fewer = fit(&mut limits, 1).unwrap();
        assert_eq!((fewer.connections, fewer.wanted), (limits.max_connections, all));
        assert_eq!(fewer.connections as u64, share(fewer.open_files, 1));
        assert_eq!(limits.max_tails, limits.max_connections / 2);
    }

    #[test]
    fn what_fits_stays_as_it_was_asked_for() {
        let mut limits = EdgeLimits { max_connections: 1, ..EdgeLimits::default() };
        assert_eq!(fit(&mut limits, 1), None);
        assert_eq!(limits.max_connections, 1);
    }
}
