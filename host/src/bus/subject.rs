//! Subjects and what matches them.

/// A subject to listen on: tokens between dots, where `*` stands for one token and a last `>` for one or
/// more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern as it is written in a subscription.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether packets to `subject` go to who listens on this pattern. Allocates nothing.
    pub fn matches(&self, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        let mut wanted = self.0.split('.').peekable();
        while let Some(want) = wanted.next() {
            let Some(token) = tokens.next() else { return false };
            if want == ">" && wanted.peek().is_none() {
                return true;
            }
            if want != "*" && want != token {
                return false;
            }
        }
        tokens.next().is_none()
    }
}

/// Whether NATS can carry it: not empty, and without the white space that separates the words of a line.
pub(super) fn is_sendable(subject: &str) -> bool {
    !subject.is_empty() && !subject.bytes().any(|byte| byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_mean_what_they_mean_in_nats() {
        let matches = |pattern: &str, subject: &str| Pattern::new(pattern).matches(subject);
        assert!(matches("a.b", "a.b"));
        assert!(!matches("a.b", "a.c"));
        assert!(!matches("a.b", "a.b.c"));
        assert!(!matches("a.b.c", "a.b"));
        assert!(matches("a.*.c", "a.b.c"));
        assert!(!matches("a.*", "a.b.c"));
        assert!(matches("a.>", "a.b.c"));
        assert!(!matches("a.>", "a"), "> stands for one token at least");
        assert!(matches(">", "a"));
        assert!(!matches("a.>.c", "a.b.c"), "> is a wildcard only at the end");
        assert!(!matches("*b", "ab"), "* is a wildcard only as a whole token");
    }

    #[test]
    fn white_space_and_nothing_cannot_be_sent() {
        assert!(is_sendable("replog.main.append"));
        for bad in ["", "a b", "a\r\nPUB b", "a\tb"] {
            assert!(!is_sendable(bad), "{bad:?}");
        }
    }

    /// The definition, spelled out: slow, recursive, and independent of the code above.
    fn twin(pattern: &[&str], subject: &[&str]) -> bool {
        match (pattern, subject) {
            ([], []) => true,
            ([">"], [_, ..]) => true,
            (["*", pattern @ ..], [_, subject @ ..]) => twin(pattern, subject),
            ([want, pattern @ ..], [token, subject @ ..]) => want == token && twin(pattern, subject),
            _ => false,
        }
    }

    fn tokens(alphabet: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
        prop::collection::vec(prop::sample::select(alphabet), 1..6)
    }

    proptest! {
        #[test]
        fn matches_as_its_definition_does(
            pattern in tokens(&["a", "b", "*", ">"]),
            subject in tokens(&["a", "b"]),
        ) {
            let expected = twin(&pattern, &subject);
            prop_assert_eq!(Pattern::new(pattern.join(".")).matches(&subject.join(".")), expected);
        }
    }
}
