//! Every NATS subject, written and read in one place.

use crate::{LogName, NodeName};

/// The first token of every subject.
pub const PREFIX: &str = "replog";

/// The subjects of one log.
///
/// The node token names the secondary whose traffic it is, in both directions, so that NATS permissions can
/// pin each secondary to its own subjects.
#[derive(Clone, Debug)]
pub struct Subjects {
    log: LogName,
}

/// What a packet is, by the subject it came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Entries pushed to a secondary.
    Entries,
    /// Acks of a secondary.
    Acks,
    /// A secondary asks to join.
    Join,
    /// A secondary asks for a range.
    Fetch,
    /// A starting or promoting master asks what a node holds.
    Ask,
    /// … asks it to promise an epoch.
    Promise,
    /// … asks it for a range of its log.
    Read,
    /// The master's heartbeat.
    Heartbeat,
    /// An answer to this node.
    Inbox,
}

impl Subjects {
    /// The subjects of this log.
    pub const fn new(log: LogName) -> Subjects {
        Subjects { log }
    }

    /// The log's name.
    pub const fn log(&self) -> &LogName {
        &self.log
    }

    fn of(&self, token: &str, node: &str) -> String {
        format!("{PREFIX}.{}.{token}.{node}", self.log)
    }

    /// Entries for this secondary.
    pub fn entries(&self, node: &NodeName) -> String {
        self.of("entries", node.as_str())
    }

    /// Acks of this secondary; `None` for those of all.
    pub fn acks(&self, node: Option<&NodeName>) -> String {
        self.of("acks", node.map_or("*", NodeName::as_str))
    }

    /// Joins of this secondary; `None` for those of all.
    pub fn join(&self, node: Option<&NodeName>) -> String {
        self.of("join", node.map_or("*", NodeName::as_str))
    }

    /// Fetches of this secondary; `None` for those of all.
    pub fn fetch(&self, node: Option<&NodeName>) -> String {
        self.of("fetch", node.map_or("*", NodeName::as_str))
    }

    /// What do you hold? To all nodes.
    pub fn ask(&self) -> String {
        format!("{PREFIX}.{}.ask", self.log)
    }

    /// Promise this epoch: to this node.
    pub fn promise(&self, node: &NodeName) -> String {
        self.of("promise", node.as_str())
    }

    /// Give me a range: to this node.
    pub fn read(&self, node: &NodeName) -> String {
        self.of("read", node.as_str())
    }

    /// The master's heartbeat.
    pub fn heartbeat(&self) -> String {
        format!("{PREFIX}.{}.heartbeat", self.log)
    }

    /// Where clients append: a NATS service of the master.
    pub fn append(&self) -> String {
        format!("{PREFIX}.{}.append", self.log)
    }

    /// All subjects of this log.
    pub fn all(&self) -> String {
        format!("{PREFIX}.{}.>", self.log)
    }

    /// Below this, answers to this node arrive.
    pub fn inbox(&self, node: &NodeName) -> String {
        self.of("inbox", node.as_str())
    }

    /// Whether an answer for `node` may go to `reply`. NATS does not check reply subjects against
    /// permissions: without this a node could have answers sent to another's subjects.
    pub fn is_inbox_of(&self, node: &NodeName, reply: &str) -> bool {
        let inbox = self.inbox(node);
        let token = reply.strip_prefix(&inbox).and_then(|rest| rest.strip_prefix('.'));
        token.is_some_and(|rest| !rest.is_empty() && !rest.contains(['*', '>', ' ']))
    }

    /// What a packet on `subject` is, and the node token of the subject.
    pub fn parse(&self, subject: &str) -> Option<(Channel, Option<NodeName>)> {
        let rest = subject.strip_prefix(PREFIX)?.strip_prefix('.')?;
        let rest = rest.strip_prefix(self.log.as_str())?.strip_prefix('.')?;
        let (token, node) = rest.split_once('.').map_or((rest, None), |(token, node)| (token, Some(node)));
        let channel = match (token, node.is_some()) {
            ("entries", true) => Channel::Entries,
            ("acks", true) => Channel::Acks,
            ("join", true) => Channel::Join,
            ("fetch", true) => Channel::Fetch,
            ("promise", true) => Channel::Promise,
            ("read", true) => Channel::Read,
            ("inbox", true) => return Some((Channel::Inbox, None)),
            ("ask", false) => Channel::Ask,
            ("heartbeat", false) => Channel::Heartbeat,
            _ => return None,
        };
        let node = node.map(str::parse).transpose().ok()?;
        Some((channel, node))
    }
}

/// Whether a client that is no node may have its answer sent to `reply`: no subject of nodes, and none that the server
/// itself listens to. NATS does not check reply subjects against permissions: without this a client could have a master
/// speak where only a master may.
pub fn is_of_a_client(reply: &str) -> bool {
    let mut tokens = reply.split('.');
    let first = tokens.next().unwrap_or_default();
    !first.is_empty() && first != PREFIX && !first.starts_with('$') && !reply.contains(['*', '>'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects() -> Subjects {
        Subjects::new("main".parse().unwrap())
    }

    #[test]
    fn every_subject_is_read_back_as_what_it_is() {
        let (subjects, node): (Subjects, NodeName) = (subjects(), "s1".parse().unwrap());
        for (subject, channel) in [
            (subjects.entries(&node), Channel::Entries),
            (subjects.acks(Some(&node)), Channel::Acks),
            (subjects.join(Some(&node)), Channel::Join),
            (subjects.fetch(Some(&node)), Channel::Fetch),
            (subjects.promise(&node), Channel::Promise),
            (subjects.read(&node), Channel::Read),
        ] {
            assert_eq!(subjects.parse(&subject), Some((channel, Some(node.clone()))), "{subject}");
        }
        assert_eq!(subjects.parse(&subjects.heartbeat()), Some((Channel::Heartbeat, None)));
        assert_eq!(subjects.parse(&subjects.ask()), Some((Channel::Ask, None)));
        assert_eq!(subjects.parse("replog.main.inbox.s1.x"), Some((Channel::Inbox, None)));
    }

    #[test]
    fn foreign_subjects_are_nothing() {
        for subject in [
            "",
            "replog",
            "replog.main",
            "replog.other.acks.s1",
            "replog.mainx.acks.s1",
            "replog.main.acks",
            "replog.main.acks.s1.x",
            "replog.main.nothing.s1",
            "replog.main.heartbeat.s1",
        ] {
            assert_eq!(subjects().parse(subject), None, "{subject}");
        }
    }

    #[test]
    fn answers_go_only_to_the_nodes_own_inbox() {
        let node: NodeName = "s1".parse().unwrap();
        assert!(subjects().is_inbox_of(&node, "replog.main.inbox.s1.join.7"));
        for reply in [
            "replog.main.inbox.s1",
            "replog.main.inbox.s1.",
            "replog.main.inbox.s10.x",
            "replog.main.inbox.s2.x",
            "replog.main.entries.s1",
            "replog.main.inbox.s1.>",
            "_INBOX.x",
        ] {
            assert!(!subjects().is_inbox_of(&node, reply), "{reply}");
        }
    }

    #[test]
    fn clients_are_answered_on_no_subject_of_nodes_or_the_server() {
        for reply in ["_INBOX.x.1", "_INBOX", "_R_.x", "replogs.x", "inbox.replog"] {
            assert!(is_of_a_client(reply), "{reply}");
        }
        for reply in
            ["", ".x", "replog", "replog.main.acks.s1", "replog.other.x", "$SYS.x", "$SRV.PING", "a.*", ">"]
        {
            assert!(!is_of_a_client(reply), "{reply}");
        }
    }
}
