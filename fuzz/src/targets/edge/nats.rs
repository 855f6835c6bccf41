//! Subjects, and addresses of NATS servers.

use replog_host::bus::{NatsUrl, Pattern};
use replog_shared::{
    NodeName,
    subjects::{Channel, Subjects},
};

/// An address that is taken has no login in it, and is written so that it reads back.
pub(crate) fn url(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    match text.parse::<NatsUrl>() {
        Ok(url) => {
            let written = url.to_string();
            assert_eq!(written.parse::<NatsUrl>().expect("what was written is an address"), url);
            assert!(!written.contains('@'), "a login was taken in {written:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A pattern and a subject, a line each.
pub(crate) fn subjects(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (pattern, subject) = text.split_once('\n').unwrap_or((text, text));
    let (tokens, wanted): (Vec<&str>, Vec<&str>) =
        (subject.split('.').collect(), pattern.split('.').collect());
    assert_eq!(Pattern::new(pattern).matches(subject), matches(&wanted, &tokens));
    let (subjects, node) = (Subjects::new("main".parse().unwrap()), "s1".parse::<NodeName>().unwrap());
    if subjects.is_inbox_of(&node, subject) {
        assert!(subject.starts_with("replog.main.inbox.s1.") && !subject.contains(['*', '>', ' ']));
    }
    let Some((channel, named)) = subjects.parse(subject) else { return };
    let own = named.as_ref().unwrap_or(&node);
    let written = match channel {
        Channel::Entries => subjects.entries(own),
        Channel::Acks => subjects.acks(Some(own)),
        Channel::Join => subjects.join(Some(own)),
        Channel::Fetch => subjects.fetch(Some(own)),
        Channel::Ask => subjects.ask(),
        Channel::Promise => subjects.promise(own),
        Channel::Read => subjects.read(own),
        Channel::Heartbeat => subjects.heartbeat(),
        // Below it anything may stand.
        _ => return assert!(subject.starts_with("replog.main.")),
    };
    assert_eq!(written, subject, "a subject is written in one way");
}

fn matches(wanted: &[&str], tokens: &[&str]) -> bool {
    match (wanted, tokens) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        (["*", wanted @ ..], [_, tokens @ ..]) => matches(wanted, tokens),
        ([want, wanted @ ..], [token, tokens @ ..]) => want == token && matches(wanted, tokens),
        _ => false,
    }
}
