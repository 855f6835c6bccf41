//! Where a secondary stands with its master (docs/RECOVERY.md, section 2).

use replog_shared::{
    Epoch, LogId, Moment, NodeName, Order, OrderRange, Place,
    backoff::Backoff,
    lines::Tip,
    store::LogView,
    wire::{SecondaryState, VERSION, Verdict},
};

/// Where a secondary stands with its master, and what it knows there.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// No master heard since the start or since the last promise.
    Waiting,
    /// A master was heard and is asked for admission; nothing is appended meanwhile.
    Joining(Attempt),
    /// Admitted: entries of this session are taken.
    Joined(Session),
    /// The log cannot be reconciled with the master's. It is kept, shown, and admission is asked for again.
    Diverged {
        /// The orders in question.
        orders: OrderRange,
        /// The next try.
        attempt: Attempt,
    },
    /// The master that is heard has another log. The own one is kept, and admission is asked for again.
    Foreign {
        /// The master's log.
        theirs: Option<LogId>,
        /// The next try.
        attempt: Attempt,
    },
}

impl State {
    /// The try to join that is under way.
    pub(super) const fn attempt(&self) -> Option<&Attempt> {
        match self {
            State::Joining(attempt) | State::Diverged { attempt, .. } | State::Foreign { attempt, .. } => {
                Some(attempt)
            }
            State::Joined(session) => session.suitor.as_ref(),
            State::Waiting => None,
        }
    }

    /// The try to join that is under way.
    pub(super) const fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match self {
            State::Joining(attempt) | State::Diverged { attempt, .. } | State::Foreign { attempt, .. } => {
                Some(attempt)
            }
            State::Joined(session) => session.suitor.as_mut(),
            State::Waiting => None,
        }
    }

    /// The admission under which entries are taken.
    pub(super) const fn session(&self) -> Option<&Session> {
        if let State::Joined(session) = self { Some(session) } else { None }
    }

    /// The epoch of the master whose log cannot be reconciled with this one.
    pub(super) const fn diverged_from(&self) -> Option<&Epoch> {
        if let State::Diverged { attempt, .. } = self { Some(&attempt.epoch) } else { None }
    }

    /// The version in which the master is spoken to.
    pub(super) fn version(&self) -> u8 {
        match self {
            State::Joined(session) => session.version,
            other => other.attempt().map_or(VERSION, |attempt| attempt.version),
        }
    }

    /// Whether the master is told regularly what this node holds.
    pub(super) const fn acks(&self) -> bool {
        matches!(self, State::Joined(_) | State::Diverged { .. } | State::Foreign { .. })
    }

    /// Its short form on the wire. `last_mark`: the epoch of the log's last mark.
    pub(super) fn on_wire(&self, last_mark: Option<&Epoch>) -> SecondaryState {
        match self {
            State::Waiting | State::Joining(_) => SecondaryState::Joining,
            State::Joined(session) if last_mark == Some(&session.epoch) => SecondaryState::Streaming,
            State::Joined(_) => SecondaryState::Syncing,
            State::Diverged { .. } => SecondaryState::Diverged,
            State::Foreign { .. } => SecondaryState::Foreign,
        }
    }
}

/// A master's refusal to admit this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JoinRefused {
    pub(super) verdict: Verdict,
    /// The secondaries that the master has, where it does not know this one.
    pub(super) secondaries: Vec<NodeName>,
}

/// The tries to join one epoch.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The epoch of the master that is asked.
    pub(super) epoch: Epoch,
    /// The version that this master speaks.
    pub(super) version: u8,
    /// The request whose answer is taken; none while none is outstanding.
    pub(super) request: Option<u64>,
    /// The log's end when that was asked.
    pub(super) asked_at: Place,
    /// How many marks stood before those that it told of.
    pub(super) marks_before: u32,
    /// The master knows none of the marks behind so many: older ones are told. None: the newest are.
    pub(super) older_than: Option<u32>,
    /// When to ask (again).
    pub(super) retry_at: Moment,
    /// When that master was last heard.
    pub(super) heard: Moment,
    /// The master's last refusal, so that it is told once and not at each try.
    pub(super) refused: Option<JoinRefused>,
    pub(super) backoff: Backoff,
}

impl Attempt {
    /// Up to where the master is told of this log.
    pub(super) fn told_of(&self, log: &dyn LogView) -> Place {
        let older = self.older_than.and_then(|marks| Some((marks, log.marks().get(marks as usize)?.at)));
        older.map_or(log.tip().place, |(marks, length)| Place::new(length, marks))
    }

    /// The first try, due at `retry_at`.
    pub(super) fn new(epoch: Epoch, version: u8, retry_at: Moment) -> Attempt {
        let heard = retry_at;
        Attempt {
            epoch,
            version,
            request: None,
            asked_at: Place::START,
            marks_before: 0,
            older_than: None,
            retry_at,
            heard,
            refused: None,
            backoff: Backoff::default(),
        }
    }
}

/// One admission by one master.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) epoch: Epoch,
    /// The request of the join that was answered with this admission.
    pub(super) joined: u64,
    /// The version that the master speaks.
    pub(super) version: u8,
    pub(super) since: Moment,
    /// How long the master's log is, as far as it told.
    pub(super) length: Order,
    /// Up to here entries are pulled rather than waited for.
    pub(super) goal: Order,
    /// The master's length when it admitted this node: whole once the log reaches it.
    pub(super) whole_at: Order,
    /// When entries last came.
    pub(super) last_arrival: Moment,
    /// When to look whether the pushes that a heartbeat promised have come.
    pub(super) check_at: Option<Moment>,
    /// The epoch's mark was held at the end of the last burst.
    pub(super) streaming: bool,
    /// The try to join the master of a higher epoch. It is believed once it has admitted this node, and until
    /// then this session goes on: a heartbeat proves nothing.
    pub(super) suitor: Option<Attempt>,
    /// An envelope that does not continue the log was told of.
    pub(super) refusal_told: bool,
}

impl Session {
    pub(super) fn new(epoch: Epoch, joined: u64, version: u8, now: Moment, length: Order) -> Session {
        Session {
            epoch,
            joined,
            version,
            since: now,
            length,
            goal: length,
            whole_at: length,
            last_arrival: now,
            check_at: None,
            streaming: false,
            suitor: None,
            refusal_told: false,
        }
    }

    /// Whether a log that ends here lacks the mark of the session's epoch.
    pub(super) fn lacks_mark(&self, tip: &Tip) -> bool {
        tip.epoch.as_ref() != Some(&self.epoch)
    }
}
