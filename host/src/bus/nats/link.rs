//! What we believe about the connection, and what proves it.

use bytes::Bytes;

/// The connection as the bus knows it. Connections are counted by the client, from 1.
///
/// Invariant: `Up` only after the probe of that very connection came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// No connection.
    Down,
    /// Connected; the probe was not seen yet.
    Proving { connection: u64, proof: Bytes },
    /// Our probe came back: the server has all subscriptions.
    Up { connection: u64, max_payload: usize },
}

/// What a look at the connection found.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Change {
    /// As it was, or a connection lost that never came up.
    None,
    /// A connection that was up is gone. There may be another one already: look again.
    Lost,
    /// There is a new connection: send the probe.
    Connected,
}

/// A text that no other probe carries, readable for who watches the wire.
pub(super) fn new_proof() -> Bytes {
    Bytes::from(format!("{:016x}", fastrand::u64(..)))
}

impl Link {
    /// The client has this connection now, or none.
    ///
    /// A connection lost and made again between two looks has another number, so it is noticed too. A
    /// connection that was up is reported as lost first; the next look finds its successor.
    pub(super) fn on_look(&mut self, now: Option<u64>) -> Change {
        if self.connection() == now {
            return Change::None;
        }
        let was_up = matches!(self, Self::Up { .. });
        *self = Self::Down;
        match now {
            _ if was_up => Change::Lost,
            None => Change::None,
            Some(connection) => {
                *self = Self::Proving { connection, proof: new_proof() };
                Change::Connected
            }
        }
    }

    /// A probe came back while the client has connection `now`. True if that brings the link up.
    ///
    /// A probe of an earlier connection proves nothing about this one.
    #[must_use]
    pub(super) fn on_probe(&mut self, came_back: &Bytes, now: Option<u64>, max_payload: usize) -> bool {
        match *self {
            Self::Proving { connection, ref proof } if proof == came_back && Some(connection) == now => {
                *self = Self::Up { connection, max_payload };
                true
            }
            _ => false,
        }
    }

    /// The probe to send; None unless a connection waits to be proven.
    pub(super) fn proof(&self) -> Option<Bytes> {
        match self {
            Self::Proving { proof, .. } => Some(proof.clone()),
            _ => None,
        }
    }

    /// The server's limit in bytes, if packets may be sent: the connection is proven and still `now`.
    pub(super) fn max_payload(&self, now: Option<u64>) -> Option<usize> {
        match *self {
            Self::Up { connection, max_payload } if Some(connection) == now => Some(max_payload),
            _ => None,
        }
    }

    fn connection(&self) -> Option<u64> {
        match *self {
            Self::Down => None,
            Self::Proving { connection, .. } | Self::Up { connection, .. } => Some(connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(connection: u64) -> Link {
        Link::Up { connection, max_payload: 1000 }
    }

    #[test]
    fn only_its_own_probe_brings_a_connection_up() {
        let mut link = Link::Down;
        assert_eq!(link.on_look(None), Change::None);
        assert_eq!(link.on_look(Some(1)), Change::Connected);
        let first = link.proof().unwrap();
        assert_eq!(link.max_payload(Some(1)), None);
        assert_eq!(link.on_look(Some(2)), Change::Connected, "never up, so nothing was lost");
        assert!(!link.on_probe(&first, Some(2), 1000), "left over from connection 1");
        let second = link.proof().unwrap();
        assert!(!link.on_probe(&second, Some(3), 1000), "connection 2 is gone already");
        assert!(link.on_probe(&second, Some(2), 1000));
        assert_eq!(link, up(2));
        assert!(!link.on_probe(&second, Some(2), 1000), "a probe sent twice counts once");
    }

    #[test]
    fn a_lost_connection_is_told_before_its_successor() {
        let mut link = up(1);
        assert_eq!(link.on_look(Some(1)), Change::None);
        assert_eq!(link.on_look(Some(2)), Change::Lost);
        assert_eq!(link, Link::Down);
        assert_eq!(link.on_look(Some(2)), Change::Connected);
        assert_eq!(link.on_look(None), Change::None, "it never was up");
    }

    #[test]
    fn nothing_is_sent_over_a_connection_that_is_gone() {
        let link = up(3);
        assert_eq!(link.max_payload(Some(3)), Some(1000));
        assert_eq!(link.max_payload(Some(4)), None);
        assert_eq!(link.max_payload(None), None);
    }
}
