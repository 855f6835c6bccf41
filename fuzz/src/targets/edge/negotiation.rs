//! What a client wants to be answered with: `Accept` and `Accept-Encoding`.

use http::{HeaderMap, HeaderValue, header};
use replog_host::edge::{accept, fuzzing};

/// Each line is a header's value.
pub(crate) fn accept(input: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(20) {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(header::ACCEPT, value.clone());
        headers.append(header::ACCEPT_ENCODING, value);
    }
    let offers = [(accept::JSON, "json"), (accept::NDJSON, "x-ndjson"), (accept::EVENTS, "event-stream")];
    if let Err(problem) = accept::choose(&headers, &offers) {
        assert_eq!(problem.status().as_u16(), 406);
    }
    let coding = fuzzing::coding(&headers);
    let wishes = wishes(input);
    let quality = |name: &str| {
        let named = |name: &str| wishes.iter().find(|(wish, _)| wish == name).map(|(_, quality)| *quality);
        named(name).or_else(|| named("*")).unwrap_or(0)
    };
    let best = quality("zstd").max(quality("gzip"));
    match coding {
        Some(coding) => assert!(quality(coding) == best && best > 0, "{coding} is not what is wanted"),
        None => assert_eq!(best, 0, "something is wanted, and not given"),
    }
}

/// Codings with their qualities in thousandths, by the grammar of RFC 9110 alone. What is not of it is passed over.
fn wishes(input: &[u8]) -> Vec<(String, u32)> {
    // A line with a byte that is not visible ASCII is no text, and nothing of it counts.
    let visible = |line: &&[u8]| line.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let lines = input.split(|byte| *byte == b'\n').take(20).filter(visible);
    let members = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(String::from_utf8_lossy);
    members.filter_map(|member| wish(&member)).collect()
}

fn wish(member: &str) -> Option<(String, u32)> {
    let mut parts = member.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((name, weight.map_or(Some(1_000), thousandths)?))
}

/// `0`, `0.`, `0.5`, `1.000`: at most three digits behind the point, and nothing above 1.
fn thousandths(weight: &str) -> Option<u32> {
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    let part: u32 = format!("{rest:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1_000),
        _ => None,
    }
}
