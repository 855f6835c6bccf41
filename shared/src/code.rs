//! Why a request is refused, in one word for programs: the list that every table of refusals comes from.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Declares the codes. The compiler holds the enum, [`Code::ALL`] and the facts about each code together: no code
/// exists without all of them.
macro_rules! codes {
    ($($status:literal $code:ident $word:literal $retry:ident $stored:ident $why:literal;)+) => {
        /// The `code` of a refusal. Stable: clients compare it.
        ///
        /// Problem documents, the description of the API, the README's table of errors, the headers of refusals over
        /// NATS, the reasons in `/metrics` and the command line's exit codes are all derived from it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $why] $code,)+
        }

        impl Code {
            /// Every code, by status and then by word.
            pub const ALL: &[Code] = &[$(Code::$code),+];

            /// The code as clients see it, in snake_case.
            pub const fn word(self) -> &'static str {
                match self { $(Code::$code => $word,)+ }
            }

            /// The HTTP status that it comes with.
            pub const fn status(self) -> u16 {
                match self { $(Code::$code => $status,)+ }
            }

            /// Whether the same request may succeed later. An answer that knows better says so itself.
            pub const fn is_retryable(self) -> bool {
                match self { $(Code::$code => codes!(@ $retry),)+ }
            }

            /// Whether a request that is refused with it has stored nothing, ever. It says nothing of an earlier
            /// request with the same id.
            pub const fn stored_nothing(self) -> bool {
                match self { $(Code::$code => codes!(@ $stored),)+ }
            }

            /// Why a request meets it, as part of a sentence, in Markdown.
            pub const fn why(self) -> &'static str {
                match self { $(Code::$code => $why,)+ }
            }
        }
    };
    (@ later) => { true };
    (@ never) => { false };
    (@ nothing) => { true };
    (@ maybe) => { false };
}

codes! {
    400 AmbiguousLength "ambiguous_length" never nothing "two lengths are given, or where a chunked request begins is in doubt";
    400 BadRequest "bad_request" never nothing "something else is wrong with the request; `detail` says what";
    400 BrokenBody "broken_body" never nothing "the body broke off";
    400 InvalidBody "invalid_body" never nothing "the body is JSON, but not what is taken here";
    400 InvalidField "invalid_field" never nothing "`field` has a value that is not `allowed`, is unknown, or is missing; `order` is the one in the path";
    400 InvalidHead "invalid_head" never nothing "this is not the head of an HTTP/1.1 request";
    400 InvalidHost "invalid_host" never nothing "there is not exactly one Host header";
    400 InvalidJson "invalid_json" never nothing "the body is empty, not UTF-8 or not JSON";
    400 InvalidParameter "invalid_parameter" never nothing "the query parameter `field` has a value that is not `allowed`";
    400 InvalidQuery "invalid_query" never nothing "the query is not percent-encoded UTF-8";
    400 RepeatedParameter "repeated_parameter" never nothing "the query parameter `field` is given twice";
    400 TlsRequired "tls_required" never nothing "this port speaks HTTPS";
    400 TooManyParameters "too_many_parameters" never nothing "the query has more than `limit` parameters";
    400 UnknownParameter "unknown_parameter" never nothing "there is no query parameter `field` here";
    401 Unauthenticated "unauthenticated" never nothing "no token, or one that this node does not know";
    403 CleanNotAllowed "clean_not_allowed" never nothing "the node was started without `--allow-clean`";
    403 CrossSite "cross_site" never nothing "a browser asks for a change on behalf of another site's page";
    403 FaultsNotAllowed "faults_not_allowed" never nothing "the node was started without `--allow-faults`";
    403 Forbidden "forbidden" never nothing "the token lacks the `scope`";
    404 NoFaultsHere "no_faults_here" never nothing "a master has no faults: ask one of the `secondaries`";
    404 NoSuchOrder "no_such_order" never nothing "the log ends before this order; `length` is its length";
    404 NotFound "not_found" never nothing "there is nothing at this path";
    405 MethodNotAllowed "method_not_allowed" never nothing "the path does not take this method; `allowed` and the header Allow list those it takes";
    406 NotAcceptable "not_acceptable" never nothing "the header Accept names nothing that is offered; `allowed` lists what is";
    408 BodyTooSlow "body_too_slow" later nothing "too long a silence inside the body";
    409 Cleaned "cleaned" never maybe "the log was emptied while the write waited";
    409 Conflict "conflict" never nothing "the `id` belongs to another message, at `order`, or to a part of another batch";
    409 OtherHistory "other_history" never nothing "the log went on without what was at `min_order` in that `epoch`: another entry has that order, or will get it";
    412 UnexpectedOrder "unexpected_order" never nothing "the next order is `length`, and not `expect_order`";
    413 BodyTooLarge "body_too_large" never nothing "the body has more than `limit` bytes";
    413 MessageTooLarge "message_too_large" never nothing "the entry does not fit into one envelope of the NATS server: it may have `limit` bytes";
    414 UriTooLong "uri_too_long" never nothing "the request's target is longer than 65,534 bytes";
    415 UnsupportedMediaType "unsupported_media_type" never nothing "the Content-Type is none of those `allowed`: `curl -d` alone sends a form";
    421 NotTheMaster "not_the_master" never nothing "this node is a secondary: ask the `master`, which is its URL if it told one";
    429 TooManyRequests "too_many_requests" later nothing "more than `limit` requests a second from this address; see `Retry-After`";
    431 HeadTooLarge "head_too_large" never nothing "the head has more than `limit` bytes, or more than 100 lines";
    500 InternalError "internal_error" never maybe "a defect of the node; its log says more";
    500 Unreadable "unreadable" never nothing "the entry is in the log, but this node's store does not give it";
    503 Diverged "diverged" never maybe "the `secondary` holds what this log lacks: an operator must decide";
    503 DryRun "dry_run" never maybe "the node was only asked what a promotion would do";
    503 Fenced "fenced" never maybe "another `master` reigns";
    503 NotPromoted "not_promoted" never maybe "the promotion that was asked for did not happen";
    503 NotReady "not_ready" later nothing "NATS is not connected, or the master does not lead";
    503 Overloaded "overloaded" later maybe "more is under way than the node takes in for a while";
    503 ReadOnly "read_only" later nothing "no majority of the nodes is healthy, and the node was told to refuse then";
    503 Recovering "recovering" later maybe "the master has started and does not lead yet";
    503 Stopping "stopping" later maybe "the node is stopping";
    503 TooManyConnections "too_many_connections" later nothing "all `limit` connections are taken";
    503 TooManyTails "too_many_tails" later nothing "all `limit` places to follow the node are taken";
    503 Unavailable "unavailable" later maybe "the node cannot answer that now";
    504 NotShownYet "not_shown_yet" later nothing "`min_order` was not shown in time; the node is at `length`";
    504 Unconfirmed "unconfirmed" later maybe "`w` nodes did not hold it in time; it is in the log all the same, at `order`";
}

impl Code {
    /// The code of this word; none if there is none, as in an answer of a newer node or of a proxy.
    pub fn of_word(word: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.word() == word)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        let word = String::deserialize(deserializer)?;
        Code::of_word(&word).ok_or_else(|| D::Error::custom(format!("{word:?} is not a known code")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_no_word_is_in_it_twice() {
        let key = |code: &Code| (code.status(), code.word());
        assert!(Code::ALL.is_sorted_by(|a, b| key(a) < key(b)));
        for code in Code::ALL {
            assert_eq!(Code::of_word(code.word()), Some(*code));
            assert!(code.word().bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()), "{code}");
        }
    }

    #[test]
    fn a_code_reads_back_and_an_unknown_one_is_refused() {
        for code in Code::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
        }
        assert!(serde_json::from_str::<Code>("\"no_such_code\"").is_err());
    }
}
