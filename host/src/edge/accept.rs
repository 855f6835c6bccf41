//! What a client wants to be answered with: the header `Accept`.

use headers_accept::Accept;
use http::{HeaderMap, header};
use mediatype::{MediaType, Name};

use super::Problem;
use replog_shared::Code;

/// `application/json`
pub const JSON: MediaType<'static> = media_type("application", "json");
/// `application/x-ndjson`: one JSON value a line.
pub const NDJSON: MediaType<'static> = media_type("application", "x-ndjson");
/// `text/event-stream`: server-sent events.
pub const EVENTS: MediaType<'static> = media_type("text", "event-stream");

const fn media_type(of: &'static str, sub: &'static str) -> MediaType<'static> {
    MediaType::new(Name::new_unchecked(of), Name::new_unchecked(sub))
}

/// Which of `offers`, the usual one first, the client prefers (RFC 9110, 12.5.1). One that says nothing, or nothing
/// that can be read, gets the usual one.
///
/// # Errors
/// 406: it says what it takes, and that is none of these.
pub fn choose<T: Copy>(headers: &HeaderMap, offers: &[(MediaType<'static>, T)]) -> Result<T, Problem> {
    let usual = offers.first().map(|(_, usual)| *usual).ok_or_else(|| not_acceptable(offers))?;
    let Some(accept) = wishes(headers) else { return Ok(usual) };
    let chosen = accept.negotiate(offers.iter().map(|(media_type, _)| media_type));
    let chosen = chosen.and_then(|chosen| offers.iter().find(|(media_type, _)| media_type == chosen));
    chosen.map(|(_, chosen)| *chosen).ok_or_else(|| not_acceptable(offers))
}

/// What the client says, unless that is anything.
fn wishes(headers: &HeaderMap) -> Option<Accept> {
    let lines = headers.get_all(header::ACCEPT).iter().map(|value| value.to_str());
    let text = lines.collect::<Result<Vec<_>, _>>().ok()?.join(", ");
    let says_something = !matches!(text.trim(), "" | "*/*");
    says_something.then(|| text.parse().ok()).flatten()
}

fn not_acceptable<T>(offers: &[(MediaType<'static>, T)]) -> Problem {
    let offered: Vec<String> = offers.iter().map(|(media_type, _)| media_type.to_string()).collect();
    let detail =
        format!("None of what the header Accept names is offered here. Offered are {}.", offered.join(", "));
    Problem::new(Code::NotAcceptable, detail).with("field", "Accept").with("allowed", offered)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chosen(lines: &[&'static str]) -> Result<u8, u16> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, HeaderValue::from_static(line));
        }
        choose(&headers, &[(JSON, 1), (NDJSON, 2)]).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn who_says_nothing_readable_gets_the_usual_one() {
        for lines in [&[][..], &[""], &["*/*"], &["text/html, */*;q=0.8"], &["application/*"], &["rubbish"]] {
            assert_eq!(chosen(lines), Ok(1), "{lines:?}");
        }
    }

    #[test]
    fn quality_decides() {
        assert_eq!(chosen(&["application/x-ndjson"]), Ok(2));
        assert_eq!(chosen(&["Application/X-NDJSON"]), Ok(2));
        assert_eq!(chosen(&["application/json;q=0.5, application/x-ndjson"]), Ok(2));
        assert_eq!(chosen(&["application/json;q=0.5", "application/x-ndjson"]), Ok(2));
        assert_eq!(chosen(&["application/x-ndjson;q=0.4, application/json;q=0.5"]), Ok(1));
        assert_eq!(chosen(&["*/*, application/json;q=0"]), Ok(2));
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        assert_eq!(chosen(&["text/csv"]), Err(406));
        assert_eq!(chosen(&["application/json;q=0"]), Err(406));
    }
}
