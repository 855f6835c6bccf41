//! How a command ends when it does not end well, and the exit code that says so.

use std::{fmt, io, process::ExitCode};

use http::StatusCode;
use replog_shared::{Applied, Code};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{node_url::NodeUrl, output};

/// The exit codes as `--help` shows them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused: the request that failed appended nothing; or bad news, as a status that is
     not ok
  2  wrong usage: an argument, or a line of the input
  3  not in time: what was asked for was not met before the time-out, or the node stops;
     an appended entry is in the log and keeps replicating
  4  the node cannot be reached
  5  unknown: the answer broke off, is none or did not come; an append may be in the log or
     not, send it again with the same id
  6  appended in part: standard output was closed or full; standard error says how many
     messages are in the log, the others were not sent

Messages are on standard error, data on standard output.";

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something given by the user is wrong.
    #[error("{0}")]
    Usage(String),
    /// The node answered that it did not do it.
    #[error("refused with {status}: {problem}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// What the node says about it.
        problem: Box<Problem>,
    },
    /// The time-out passed, or the node stops; an append is in the log all the same.
    #[error("not in time: {0}")]
    NotInTime(Box<Problem>),
    /// No connection, or no answer in the time that the command gives it.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The node.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The request was sent, its answer did not come or cannot be understood.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// A message is in the log, but nobody can be told where: standard output is closed or full.
    #[error("standard output: {error}; stopped with {appended} messages appended, the last at order {order}")]
    Output {
        /// What went wrong with the output.
        error: io::Error,
        /// How many messages are in the log, this one included.
        appended: u64,
        /// Where the last one is.
        order: u64,
    },
    /// Everything was answered, and the answer is bad news.
    #[error("{0}")]
    Bad(String),
    /// Nothing can be written or started here.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// No connection to the node at `url`, or no answer in time, for this `reason`.
    pub(crate) fn unreachable(url: &NodeUrl, reason: impl fmt::Display) -> Self {
        Self::Unreachable { url: url.to_string(), reason: reason.to_string() }
    }

    /// What an answer with a bad `status` means for a request that changes nothing.
    pub(crate) fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        let problem = Box::new(Problem::parse(body));
        match status {
            StatusCode::GATEWAY_TIMEOUT => Self::NotInTime(problem),
            _ => Self::Refused { status, problem },
        }
    }

    /// What it means for an append: whether the entry is in the log. A node says so; of what stands between
    /// here and there (a proxy's 502), nothing can be assumed.
    pub(crate) fn of_append(status: StatusCode, body: &[u8]) -> Self {
        let problem = Box::new(Problem::parse(body));
        match (problem.applied, status) {
            (Some(Applied::Yes), _) | (None, StatusCode::GATEWAY_TIMEOUT) => Self::NotInTime(problem),
            (Some(Applied::No), _) | (None, StatusCode::SERVICE_UNAVAILABLE) => {
                Self::Refused { status, problem }
            }
            (None, _) if status.is_client_error() => Self::Refused { status, problem },
            // The node cannot tell what became of an earlier request with this id, but this one did nothing.
            (Some(Applied::Unknown), _) if problem.code.is_some_and(Code::stored_nothing) => {
                Self::Refused { status, problem }
            }
            (Some(Applied::Unknown) | None, _) => Self::Unknown(format!("{status}: {problem}")),
        }
    }

    /// Whether another attempt may succeed: the node was not reached, did not answer, or is busy or stopping.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unknown(_) => true,
            Self::Refused { status, problem } => problem.may_pass(*status),
            _ => false,
        }
    }

    /// The refusal of a line, which the node counts from the beginning of a request, as that of the line of a file
    /// that `number_of` gives.
    pub(crate) fn at_lines(self, number_of: impl FnOnce(usize) -> Option<u64>) -> Self {
        match self {
            Self::Refused { status, problem } => {
                match problem.line.filter(|line| *line > 0).and_then(number_of) {
                    Some(number) => {
                        let problem = problem.without_line();
                        Self::Usage(format!("line {number} of the input is refused with {status}: {problem}"))
                    }
                    None => Self::Refused { status, problem },
                }
            }
            other => other,
        }
    }

    /// Says on standard error what happened and returns the exit code for it.
    ///
    /// A reader that has seen enough (`replog read | head`) closes the pipe: that is no failure.
    pub(crate) fn report(&self) -> ExitCode {
        if matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        output::say(format_args!("replog: {self}"));
        ExitCode::from(self.exit_code())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Bad(_) | Self::Io(_) => 1,
            Self::Usage(_) => 2,
            Self::NotInTime(_) => 3,
            Self::Unreachable { .. } => 4,
            Self::Unknown(_) => 5,
            Self::Output { .. } => 6,
        }
    }
}

/// A problem document (RFC 9457) as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    title: Option<String>,
    detail: Option<String>,
    /// Which refusal it is; none if this program does not know it.
    #[serde(deserialize_with = "known")]
    code: Option<Code>,
    /// Whether the entry is in the log.
    #[serde(deserialize_with = "known")]
    applied: Option<Applied>,
    /// Whether the same request may succeed later.
    retryable: Option<bool>,
    /// Where the entry is, if it is in the log.
    order: Option<u64>,
    /// Which line of the request is to blame, counted from 1.
    line: Option<usize>,
}

/// A member whose value this program knows; none for any other, as newer nodes may send it.
fn known<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(T::deserialize(Value::deserialize(deserializer)?).ok())
}

impl Problem {
    /// Whether the same request may succeed later: as the node says, else as the code says; something between here
    /// and the node, such as a proxy, says it by its status.
    fn may_pass(&self, status: StatusCode) -> bool {
        let said = self.retryable.or_else(|| self.code.map(Code::is_retryable));
        said.unwrap_or(status == StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Reads a problem document; what is none becomes a problem whose detail is its first line.
    fn parse(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(body);
            let line = text.lines().next().filter(|line| !line.is_empty());
            Self { detail: line.map(|line| line.chars().take(200).collect()), ..Self::default() }
        })
    }

    /// Without the number of the line at the beginning, which is one of the request and not of the file.
    fn without_line(self) -> Self {
        let prefix = self.line.map(|line| format!("Line {line}: ")).unwrap_or_default();
        let detail =
            self.detail.map(|detail| detail.strip_prefix(&prefix).map(str::to_owned).unwrap_or(detail));
        Self { detail, ..self }
    }

    /// Adds where the entry with this `id` is.
    pub(crate) fn with_place(self, id: &str) -> Self {
        let place = self.order.map(|order| format!(" at order {order}")).unwrap_or_default();
        let detail = followed_by(&self.to_string(), format_args!("it is in the log{place}, id {id}"));
        Self { detail: Some(detail), ..self }
    }
}

/// One sentence of a node's and what this program adds: a full stop between them ends what goes on.
pub(crate) fn followed_by(sentence: &str, more: fmt::Arguments<'_>) -> String {
    format!("{}; {more}", sentence.trim_end_matches('.'))
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.detail.as_deref().or(self.title.as_deref());
        f.write_str(text.unwrap_or("the node gives no reason"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u16, body: &str) -> u8 {
        Failure::of_append(StatusCode::from_u16(status).unwrap(), body.as_bytes()).exit_code()
    }

    #[test]
    fn what_is_added_goes_on_where_the_nodes_sentence_ends() {
        let detail = r#"{"detail": "It keeps replicating; GET /messages/7?w=3 waits for it.", "order": 7}"#;
        let placed = Problem::parse(detail.as_bytes()).with_place("a").to_string();
        assert_eq!(
            placed,
            "It keeps replicating; GET /messages/7?w=3 waits for it; it is in the log at order 7, id a"
        );
        assert_eq!(followed_by("no answer", format_args!("again")), "no answer; again");
    }

    #[test]
    fn the_exit_code_says_whether_the_entry_is_in_the_log() {
        assert_eq!(code(400, r#"{"title": "Bad w", "applied": false}"#), 1);
        assert_eq!(code(503, r#"{"title": "Read-only", "applied": false}"#), 1);
        assert_eq!(code(504, r#"{"title": "w not met", "applied": true, "order": 7}"#), 3);
        assert_eq!(code(504, "not even JSON"), 3);
        assert_eq!(code(413, "not even JSON"), 1);
        assert_eq!(code(502, "not even JSON"), 5);
        assert_eq!(code(503, r#"{"title": "Stopping", "applied": true, "order": 7}"#), 3);
        assert_eq!(code(503, r#"{"title": "Stopping", "applied": "unknown"}"#), 5);
    }

    #[test]
    fn every_code_has_an_exit_code_and_says_whether_to_try_again() {
        for known in Code::ALL {
            let status = StatusCode::from_u16(known.status()).unwrap();
            for (applied, exit_code) in [("false", 1), ("true", 3), ("\"unknown\"", 5)] {
                let exit_code = if exit_code == 5 && known.stored_nothing() { 1 } else { exit_code };
                let body = format!(r#"{{"code": "{known}", "applied": {applied}}}"#);
                let failure = Failure::of_append(status, body.as_bytes());
                assert_eq!(failure.exit_code(), exit_code, "{body}");
            }
            let body = format!(r#"{{"code": "{known}"}}"#);
            let refused = Failure::Refused { status, problem: Box::new(Problem::parse(body.as_bytes())) };
            assert_eq!(refused.may_pass(), known.is_retryable(), "{body}");
            let timed_out = known.status() == 504;
            let exit_code = Failure::of_answer(status, body.as_bytes()).exit_code();
            assert_eq!(exit_code, if timed_out { 3 } else { 1 }, "{body}");
        }
    }

    #[test]
    fn what_a_newer_node_says_is_passed_over() {
        let problem = Problem::parse(br#"{"code": "brand_new", "applied": 7, "detail": "So it is."}"#);
        assert_eq!((problem.code, problem.applied, problem.to_string()), (None, None, "So it is.".into()));
        assert!(problem.may_pass(StatusCode::SERVICE_UNAVAILABLE));
    }

    #[test]
    fn a_problem_shows_its_detail_else_its_title_else_its_text() {
        let shown = |body: &str| Problem::parse(body.as_bytes()).to_string();
        assert_eq!(shown(r#"{"title": "Bad w", "detail": "w is 9, at most 3"}"#), "w is 9, at most 3");
        assert_eq!(shown(r#"{"title": "Bad w"}"#), "Bad w");
        assert_eq!(shown("upstream gone\nmore"), "upstream gone");
        assert_eq!(shown(""), "the node gives no reason");
    }
}
