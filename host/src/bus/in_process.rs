//! The bus without a server: nodes of one process, one lock, one bounded queue for each node.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use replog_shared::limits::DEFAULT_MAX_PAYLOAD_BYTES;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::limits::RECEIVE_QUEUE_PACKETS;
use super::subject::{Pattern, is_sendable};
use super::{Bus, BusEvent, Incoming, Outgoing, Refused, STATUS_NO_RESPONDERS};

/// Where the nodes of one process meet. Cheap to clone; all clones are the same hub.
///
/// A packet is compared with every subscription there is, which suits the handful of nodes that one
/// process holds.
#[derive(Clone, Debug, Default)]
pub struct InProcessHub {
    shared: Arc<Mutex<Listeners>>,
}

#[derive(Debug, Default)]
struct Listeners {
    next_id: u64,
    all: Vec<Listener>,
}

/// The hub's end of one bus.
#[derive(Debug)]
struct Listener {
    id: u64,
    patterns: Vec<Pattern>,
    queue: mpsc::Sender<Incoming>,
    overrun: Arc<AtomicBool>,
}

/// One node's connection to an [`InProcessHub`]. Up from the start, never down; dropping it leaves the hub.
#[derive(Debug)]
pub struct InProcessBus {
    hub: InProcessHub,
    id: u64,
    queue: mpsc::Receiver<Incoming>,
    overrun: Arc<AtomicBool>,
    told_up: bool,
}

impl InProcessHub {
    /// A hub where nobody listens yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A bus that listens on `subscriptions` and on everything below `inbox`.
    pub fn connect(&self, subscriptions: impl IntoIterator<Item = String>, inbox: &str) -> InProcessBus {
        let (sender, queue) = mpsc::channel(RECEIVE_QUEUE_PACKETS);
        let overrun = Arc::new(AtomicBool::new(false));
        let mut patterns: Vec<Pattern> = subscriptions.into_iter().map(Pattern::new).collect();
        patterns.push(Pattern::new(format!("{inbox}.>")));
        let id = self.listeners().add(patterns, sender, Arc::clone(&overrun));
        InProcessBus { hub: self.clone(), id, queue, overrun, told_up: false }
    }

    /// A panic elsewhere cannot leave the list half changed, so a poisoned lock is taken as it is.
    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listeners {
    fn add(
        &mut self,
        patterns: Vec<Pattern>,
        queue: mpsc::Sender<Incoming>,
        overrun: Arc<AtomicBool>,
    ) -> u64 {
        self.next_id += 1;
        self.all.push(Listener { id: self.next_id, patterns, queue, overrun });
        self.next_id
    }

    fn remove(&mut self, id: u64) {
        self.all.retain(|listener| listener.id != id);
    }

    /// Delivers to everyone who listens, or tells the sender that nobody does.
    fn route(&self, from: u64, packet: Outgoing) {
        let mut delivered = 0;
        for listener in &self.all {
            delivered += listener.offer(&packet);
        }
        if delivered == 0 {
            self.tell_no_responders(from, packet.reply);
        }
    }

    /// As nats-server does: the sender alone is told, and only if it listens on its own reply subject.
    fn tell_no_responders(&self, from: u64, reply: Option<String>) {
        let sender = self.all.iter().find(|listener| listener.id == from);
        if let (Some(sender), Some(subject)) = (sender, reply)
            && sender.subscriptions_for(&subject) > 0
        {
            let status = Some(STATUS_NO_RESPONDERS);
            sender.push(Incoming { subject, reply: None, payload: Bytes::new(), status });
        }
    }
}

impl Listener {
    /// Delivers the packet once for each subscription that matches; how many do.
    fn offer(&self, packet: &Outgoing) -> usize {
        let copies = self.subscriptions_for(&packet.subject);
        for _ in 0..copies {
            self.push(packet.clone().into());
        }
        copies
    }

    fn subscriptions_for(&self, subject: &str) -> usize {
        self.patterns.iter().filter(|pattern| pattern.matches(subject)).count()
    }

    fn push(&self, packet: Incoming) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(packet) {
            self.overrun.store(true, Ordering::Relaxed);
        }
    }
}

impl InProcessBus {
    /// What comes before any packet.
    fn pending_event(&mut self) -> Option<BusEvent> {
        if !self.told_up {
            self.told_up = true;
            return Some(BusEvent::Up { max_payload: DEFAULT_MAX_PAYLOAD_BYTES });
        }
        self.overrun.swap(false, Ordering::Relaxed).then_some(BusEvent::Overrun)
    }
}

impl Bus for InProcessBus {
    fn send(&mut self, packet: Outgoing) -> Result<(), Refused> {
        let limit = DEFAULT_MAX_PAYLOAD_BYTES;
        if packet.payload.len() > limit {
            return Err(Refused::TooLarge { limit });
        }
        if !is_sendable(&packet.subject) || !packet.reply.as_deref().is_none_or(is_sendable) {
            return Err(Refused::BadSubject);
        }
        self.hub.listeners().route(self.id, packet);
        Ok(())
    }

    async fn next(&mut self) -> BusEvent {
        if let Some(event) = self.pending_event() {
            return event;
        }
        match self.queue.recv().await {
            Some(packet) => BusEvent::Message(packet),
            None => std::future::pending().await,
        }
    }

    fn try_next(&mut self) -> Option<BusEvent> {
        self.pending_event().or_else(|| self.queue.try_recv().ok().map(BusEvent::Message))
    }

    fn close(self) -> impl Future<Output = ()> + Send {
        drop(self);
        std::future::ready(())
    }
}

impl Drop for InProcessBus {
    fn drop(&mut self) {
        self.hub.listeners().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(subject: &str, reply: Option<&str>, payload: &'static str) -> Outgoing {
        Outgoing {
            subject: subject.to_owned(),
            reply: reply.map(str::to_owned),
            payload: Bytes::from_static(payload.as_bytes()),
        }
    }

    fn connect(hub: &InProcessHub, subscription: &str, inbox: &str) -> InProcessBus {
        let mut bus = hub.connect([subscription.to_owned()], inbox);
        assert_eq!(bus.try_next(), Some(BusEvent::Up { max_payload: DEFAULT_MAX_PAYLOAD_BYTES }));
        bus
    }

    #[tokio::test]
    async fn a_packet_reaches_everyone_who_listens_in_the_order_sent() {
        let hub = InProcessHub::new();
        let mut master = connect(&hub, "acks.*", "inbox.master");
        let mut listeners = [connect(&hub, "entries.a", "inbox.a"), connect(&hub, "entries.>", "inbox.b")];
        master.send(packet("entries.a", None, "1")).unwrap();
        master.send(packet("entries.a", Some("acks.a"), "2")).unwrap();
        for bus in &mut listeners {
            for (payload, reply) in [("1", None), ("2", Some("acks.a"))] {
                let expected = packet("entries.a", reply, payload);
                assert_eq!(bus.next().await, BusEvent::Message(expected.into()));
            }
        }
        assert_eq!(master.try_next(), None);
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let hub = InProcessHub::new();
        let (mut a, mut b) = (connect(&hub, "a", "inbox.a"), connect(&hub, "b", "inbox.b"));
        let waits = tokio::spawn(async move { b.next().await });
        tokio::task::yield_now().await;
        a.send(packet("inbox.b.7", None, "answer")).unwrap();
        assert_eq!(waits.await.unwrap(), BusEvent::Message(packet("inbox.b.7", None, "answer").into()));
    }

    #[test]
    fn nobody_listening_is_told_to_the_sender_on_its_reply_subject() {
        let hub = InProcessHub::new();
        let mut master = connect(&hub, "acks.*", "inbox.master");
        let mut other = connect(&hub, "acks.*", "inbox.other");
        master.send(packet("entries.a", Some("acks.a"), "x")).unwrap();
        let Some(BusEvent::Message(answer)) = master.try_next() else { panic!("no 503") };
        assert_eq!((answer.subject.as_str(), answer.status), ("acks.a", Some(503)));
        assert_eq!(other.try_next(), None, "only the sender is told");
        master.send(packet("entries.a", Some("elsewhere"), "x")).unwrap();
        master.send(packet("entries.a", None, "x")).unwrap();
        assert_eq!(master.try_next(), None);
    }

    #[test]
    fn a_full_queue_drops_the_newest_and_says_so_once() {
        let hub = InProcessHub::new();
        let (mut a, mut slow) = (connect(&hub, "a", "inbox.a"), connect(&hub, "entries", "inbox.slow"));
        a.send(packet("entries", None, "first")).unwrap();
        for _ in 0..RECEIVE_QUEUE_PACKETS + 9 {
            a.send(packet("entries", None, "later")).unwrap();
        }
        assert_eq!(slow.try_next(), Some(BusEvent::Overrun));
        assert_eq!(slow.try_next(), Some(BusEvent::Message(packet("entries", None, "first").into())));
        let rest = std::iter::from_fn(|| slow.try_next()).count();
        assert_eq!(rest, RECEIVE_QUEUE_PACKETS - 1);
    }

    #[test]
    fn who_left_is_no_listener_any_more() {
        let hub = InProcessHub::new();
        let mut a = connect(&hub, "acks.b", "inbox.a");
        drop(connect(&hub, "entries.b", "inbox.b"));
        a.send(packet("entries.b", Some("acks.b"), "x")).unwrap();
        assert!(matches!(a.try_next(), Some(BusEvent::Message(Incoming { status: Some(503), .. }))));
    }

    #[test]
    fn what_nats_would_refuse_is_refused() {
        let hub = InProcessHub::new();
        let mut bus = connect(&hub, "a", "inbox.a");
        let limit = DEFAULT_MAX_PAYLOAD_BYTES;
        let mut large = packet("a", None, "");
        large.payload = Bytes::from(vec![0; limit + 1]);
        assert_eq!(bus.send(large), Err(Refused::TooLarge { limit }));
        assert_eq!(bus.send(packet("a b", None, "")), Err(Refused::BadSubject));
        assert_eq!(bus.send(packet("a", Some(""), "")), Err(Refused::BadSubject));
    }
}
