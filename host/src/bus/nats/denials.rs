//! What NATS denies over the connection there is, until it is known to be allowed again.

use std::time::Instant;

use super::super::limits::{ALLOWED_AFTER, DENIALS_SHOWN, DENIED_AGAIN_AFTER, MAX_DENIALS};

/// What a denial is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Listening on this subject.
    Subscription(String),
    /// Sending to this subject.
    Publish(String),
    /// A limit over which the server closes the connection. Over the next one it will come again.
    Connection,
    /// Anything else, such as a login.
    Other,
}

/// How new a denial is.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Novelty {
    /// Not known.
    First,
    /// Known, and told long enough ago to tell it again.
    GoesOn,
    /// Told a moment ago.
    Echo,
}

#[derive(Debug)]
struct Denial {
    what: String,
    about: About,
    told: Instant,
    seen: Instant,
    /// Since it was last denied this node has sent to that subject, first at this moment.
    tried: Option<Instant>,
}

/// The denials of one connection. The server repeats one for every single packet, and says nothing when it allows what
/// it denied: that is learnt by trying.
#[derive(Debug, Default)]
pub(super) struct Denials {
    all: Vec<Denial>,
}

impl About {
    /// Reads the server's words.
    pub(super) fn of(what: &str) -> About {
        let subject = |kind| quoted(what.split_once(kind)?.1);
        if let Some(subject) = subject("Subscription to ") {
            About::Subscription(subject)
        } else if let Some(subject) = subject("Publish to ") {
            About::Publish(subject)
        } else if ends_connection(what) {
            About::Connection
        } else {
            About::Other
        }
    }
}

/// What stands between the first two quotes.
fn quoted(text: &str) -> Option<String> {
    text.split('"').nth(1).map(str::to_owned)
}

fn ends_connection(what: &str) -> bool {
    let what = what.to_lowercase();
    ["control line", "connections exceeded"].iter().any(|limit| what.contains(limit))
}

/// The server's words without the number of the subscription, which is another each time.
pub(super) fn without_sid(what: &str) -> &str {
    what.split_once(" (sid ").map_or(what, |(what, _)| what)
}

impl Denials {
    pub(super) fn on_denied(&mut self, what: &str, now: Instant) -> Novelty {
        let Some(denial) = self.all.iter_mut().find(|denial| denial.what == what) else {
            return self.on_unseen(what, now);
        };
        (denial.seen, denial.tried) = (now, None);
        if now.duration_since(denial.told) < DENIED_AGAIN_AFTER {
            return Novelty::Echo;
        }
        denial.told = now;
        Novelty::GoesOn
    }

    fn on_unseen(&mut self, what: &str, now: Instant) -> Novelty {
        if self.all.len() >= MAX_DENIALS {
            return Novelty::Echo;
        }
        let about = About::of(what);
        self.all.push(Denial { what: what.to_owned(), about, told: now, seen: now, tried: None });
        Novelty::First
    }

    /// This node sends to a subject. Costs nothing while nothing is denied.
    pub(super) fn on_sent(&mut self, subject: &str) {
        for denial in &mut self.all {
            if matches!(&denial.about, About::Publish(denied) if denied == subject) {
                denial.tried.get_or_insert_with(Instant::now);
            }
        }
    }

    /// A new connection: what the one before was denied says nothing of it, but for the limits that ended it.
    pub(super) fn on_connected(&mut self) {
        self.all.retain(|denial| denial.about == About::Connection);
    }

    /// This subscription is in place again. The words that denied it, if they did.
    pub(super) fn on_subscribed(&mut self, subject: &str) -> Option<String> {
        let about = About::Subscription(subject.to_owned());
        self.take(|denial| denial.about == about)
    }

    /// One denial that is over: packets to that subject are not refused any more, or a connection has lasted.
    pub(super) fn take_over(&mut self, now: Instant) -> Option<String> {
        self.take(|denial| {
            let since = match denial.about {
                About::Publish(_) => denial.tried,
                About::Connection => Some(denial.seen),
                About::Subscription(_) | About::Other => None,
            };
            since.is_some_and(|since| now.duration_since(since) >= ALLOWED_AFTER)
        })
    }

    fn take(&mut self, is_over: impl Fn(&Denial) -> bool) -> Option<String> {
        let at = self.all.iter().position(is_over)?;
        Some(self.all.swap_remove(at).what)
    }

    /// All that is denied, for people; none if nothing is.
    pub(super) fn in_words(&self) -> Option<String> {
        if self.all.is_empty() {
            return None;
        }
        let mut words: Vec<&str> = self.all.iter().map(|denial| denial.what.as_str()).collect();
        words.sort_unstable();
        let more = words.len().saturating_sub(DENIALS_SHOWN);
        words.truncate(DENIALS_SHOWN);
        let shown = words.join("; ");
        Some(if more > 0 { format!("{shown}; and {more} more") } else { shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ACKS: &str = r#"Permissions Violation for Subscription to "acks.*""#;
    const NO_ENTRIES: &str = r#"Permissions Violation for Publish to "entries.a""#;

    #[test]
    fn a_denial_is_told_again_only_after_a_while() {
        let start = Instant::now();
        let mut denials = Denials::default();
        assert_eq!(denials.on_denied("a", start), Novelty::First);
        assert_eq!(denials.on_denied("a", start), Novelty::Echo);
        assert_eq!(denials.on_denied("b", start), Novelty::First);
        let later = start + DENIED_AGAIN_AFTER;
        assert_eq!(denials.on_denied("a", later), Novelty::GoesOn);
        assert_eq!(denials.on_denied("a", later), Novelty::Echo);
    }

    #[test]
    fn the_servers_words_say_what_is_denied() {
        assert_eq!(About::of(NO_ACKS), About::Subscription("acks.*".to_owned()));
        let reloaded = r#"Permissions Violation for Subscription to "b" using queue "q" (sid "2")"#;
        assert_eq!(About::of(reloaded), About::Subscription("b".to_owned()));
        assert_eq!(without_sid(reloaded), r#"Permissions Violation for Subscription to "b" using queue "q""#);
        assert_eq!(About::of(NO_ENTRIES), About::Publish("entries.a".to_owned()));
        assert_eq!(About::of("maximum control line exceeded"), About::Connection);
        assert_eq!(About::of("authorization violation"), About::Other);
    }

    #[test]
    fn a_subscription_is_denied_until_it_is_in_place() {
        let start = Instant::now();
        let mut denials = Denials::default();
        let _ = denials.on_denied(NO_ACKS, start);
        assert_eq!(denials.take_over(start + ALLOWED_AFTER * 9), None);
        assert_eq!(denials.in_words().as_deref(), Some(NO_ACKS));
        assert_eq!(denials.on_subscribed("acks.*").as_deref(), Some(NO_ACKS));
        assert_eq!(denials.in_words(), None);
    }

    #[test]
    fn a_subject_is_denied_until_a_packet_to_it_is_not_refused() {
        let start = Instant::now();
        let mut denials = Denials::default();
        let _ = denials.on_denied(NO_ENTRIES, start);
        let much_later = start + ALLOWED_AFTER * 9;
        assert_eq!(denials.take_over(much_later), None, "nothing was sent there since");
        denials.on_sent("entries.b");
        assert_eq!(denials.take_over(much_later), None, "nothing was sent there since");
        denials.on_sent("entries.a");
        let _ = denials.on_denied(NO_ENTRIES, start);
        assert_eq!(denials.take_over(much_later), None, "that one was refused, too");
        denials.on_sent("entries.a");
        assert_eq!(denials.take_over(start + ALLOWED_AFTER / 2), None, "that one may be refused still");
        assert_eq!(denials.take_over(much_later).as_deref(), Some(NO_ENTRIES));
    }

    #[test]
    fn a_limit_that_ends_connections_is_known_over_the_next_one() {
        let start = Instant::now();
        let mut denials = Denials::default();
        let _ = denials.on_denied("maximum control line exceeded", start);
        let _ = denials.on_denied("authorization violation", start);
        denials.on_connected();
        assert_eq!(denials.in_words().as_deref(), Some("maximum control line exceeded"));
        assert!(denials.take_over(start + ALLOWED_AFTER).is_some());
    }

    #[test]
    fn not_more_is_shown_than_one_can_read() {
        let mut denials = Denials::default();
        for nth in 0..DENIALS_SHOWN + 3 {
            let _ = denials.on_denied(&format!("no. {nth}"), Instant::now());
        }
        let words = denials.in_words().expect("something is denied");
        assert!(words.starts_with("no. 0; no. 1; ") && words.ends_with("; and 3 more"), "{words}");
    }
}
