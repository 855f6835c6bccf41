//! Query parameters, strictly: a misspelt one must not be taken for an absent one.

use std::{borrow::Cow, ops::RangeInclusive};

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{Problem, limits::MAX_QUERY_PARAMETERS};
use replog_shared::Code;

/// Extracts a route's query parameters.
///
/// Unknown and repeated parameters, values out of range and broken escapes are refused with 400. A route
/// that takes none says so by `Query<()>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// What a route takes after the `?`.
///
/// ```
/// use replog_host::edge::{Problem, query::{Params, QueryParams}};
///
/// struct Page { from: u64, limit: Option<u64> }
///
/// impl QueryParams for Page {
///     fn read(params: &mut Params<'_>) -> Result<Self, Problem> {
///         let from = params.number("from", 0..=u64::MAX)?.unwrap_or(0);
///         let limit = params.number("limit", 1..=10_000)?;
///         Ok(Self { from, limit })
///     }
/// }
/// ```
pub trait QueryParams: Sized {
    /// Takes every parameter that the route knows, whether it will be used or not: what is left is unknown.
    ///
    /// # Errors
    /// A value that the route does not accept.
    fn read(params: &mut Params<'_>) -> Result<Self, Problem>;
}

impl QueryParams for () {
    fn read(_: &mut Params<'_>) -> Result<Self, Problem> {
        Ok(())
    }
}

impl<S: Sync, T: QueryParams> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query, the part of a URI behind the `?`.
///
/// # Errors
/// 400, with the parameter to blame.
pub fn parse<T: QueryParams>(query: &str) -> Result<T, Problem> {
    let mut params = Params::decode(query)?;
    let value = T::read(&mut params);
    // First what the client cannot know to be wrong by the value: a name that does not exist.
    params.finish()?;
    value
}

/// The parameters of one request that have not been taken yet.
#[derive(Debug)]
pub struct Params<'q> {
    rest: Vec<(Cow<'q, str>, Cow<'q, str>)>,
    /// What the route asked for.
    known: Vec<KnownParam>,
}

/// A parameter that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownParam {
    /// Its name.
    pub name: &'static str,
    /// The whole numbers that it may be; none: the route reads its text.
    pub range: Option<RangeInclusive<u64>>,
}

/// What a route takes, learned from the very code that reads it: for the description of the API.
pub fn known_params<T: QueryParams>() -> Vec<KnownParam> {
    let mut params = Params { rest: Vec::new(), known: Vec::new() };
    // Without a parameter there is no value that could be refused.
    let _nothing_given = T::read(&mut params);
    params.known
}

impl<'q> Params<'q> {
    fn decode(query: &'q str) -> Result<Self, Problem> {
        let mut rest: Vec<(Cow<'q, str>, _)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescape(name)?, unescape(value)?);
            if rest.iter().any(|(present, _)| *present == name) {
                let detail = format!("The query parameter `{name}` is given more than once.");
                return Err(invalid(&name, Code::RepeatedParameter, detail));
            }
            if rest.len() == MAX_QUERY_PARAMETERS {
                return Err(too_many());
            }
            rest.push((name, value));
        }
        Ok(Self { rest, known: Vec::new() })
    }

    /// Takes the text of `name`. `None`: not given.
    pub fn text(&mut self, name: &'static str) -> Option<Cow<'q, str>> {
        self.known.push(KnownParam { name, range: None });
        let index = self.rest.iter().position(|(present, _)| *present == name)?;
        Some(self.rest.swap_remove(index).1)
    }

    /// Takes a whole number in decimal digits. `None`: not given.
    ///
    /// # Errors
    /// 400 that names the range.
    pub fn number(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let text = self.text(name);
        if let Some(known) = self.known.last_mut() {
            known.range = Some(range.clone());
        }
        text.map(|text| number_in(name, &text, range)).transpose()
    }

    fn finish(self) -> Result<(), Problem> {
        let Some((unknown, _)) = self.rest.first() else { return Ok(()) };
        let known: Vec<&str> = self.known.iter().map(|known| known.name).collect();
        let allowed = if known.is_empty() {
            "It takes none.".to_owned()
        } else {
            format!("It takes: {}.", known.join(", "))
        };
        let detail = format!("This route has no query parameter `{unknown}`. {allowed}");
        Err(invalid(unknown, Code::UnknownParameter, detail).with("allowed", known))
    }
}

/// Reads the whole number of the parameter `name`: for a range that is known to the route only.
///
/// # Errors
/// 400 that names the range.
pub fn number_in(name: &str, text: &str, range: RangeInclusive<u64>) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && range.contains(&number) => Ok(number),
        _ => Err(not_in_range(name, text, &range)),
    }
}

/// 400 for a parameter whose text is not what is `allowed`.
pub fn not_allowed(name: &str, text: &str, allowed: &str) -> Problem {
    let detail = format!("The query parameter `{name}` is `{text}`; it must be {allowed}.");
    invalid(name, Code::InvalidParameter, detail).with("allowed", allowed)
}

/// 400 for a parameter that says something only beside another one.
pub fn only_with(name: &str, other: &str) -> Problem {
    let detail = format!("The query parameter `{name}` goes with `{other}`, which is not given.");
    invalid(name, Code::InvalidParameter, detail).with("allowed", format!("only together with `{other}`"))
}

/// A range in words, as the member `allowed` of a refusal shows it.
pub fn whole_number(range: &RangeInclusive<u64>) -> String {
    match (*range.start(), *range.end()) {
        (least, u64::MAX) => format!("a whole number from {least}"),
        (least, most) => format!("a whole number from {least} to {most}"),
    }
}

fn too_many() -> Problem {
    let detail = format!("A query has at most {MAX_QUERY_PARAMETERS} parameters.");
    Problem::new(Code::TooManyParameters, detail).with("limit", MAX_QUERY_PARAMETERS)
}

fn not_in_range(name: &str, text: &str, range: &RangeInclusive<u64>) -> Problem {
    not_allowed(name, text, &whole_number(range))
}

fn invalid(name: &str, code: Code, detail: String) -> Problem {
    Problem::new(code, detail).with("field", name)
}

/// Decodes `%41` and `+`, and accepts no broken escape.
fn unescape(text: &str) -> Result<Cow<'_, str>, Problem> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let bytes = unescape_bytes(text.as_bytes());
    let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map(Cow::Owned).ok_or_else(|| {
        let detail =
            format!("`{text}` in the query is not percent-encoded UTF-8. A percent sign is sent as %25.");
        Problem::new(Code::InvalidQuery, detail)
    })
}

fn unescape_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? * 16 + hex_digit(bytes.next()?)?,
            b'+' => b' ',
            byte => byte,
        });
    }
    Some(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Page {
        from: Option<u64>,
        limit: Option<u64>,
        name: Option<String>,
    }

    impl QueryParams for Page {
        fn read(params: &mut Params<'_>) -> Result<Self, Problem> {
            Ok(Self {
                from: params.number("from", 0..=u64::MAX)?,
                limit: params.number("limit", 1..=100)?,
                name: params.text("name").map(Cow::into_owned),
            })
        }
    }

    #[track_caller]
    fn assert_refused(query: &str, field: Option<&str>, words: &str) {
        let problem = parse::<Page>(query).unwrap_err();
        let document = serde_json::to_value(&problem).unwrap();
        assert_eq!((problem.code().status(), problem.field()), (400, field), "{document}");
        assert!(document["detail"].as_str().unwrap().contains(words), "{document}");
    }

    #[test]
    fn known_parameters_are_read_in_any_order() {
        let expected = Page { from: Some(7), limit: Some(100), name: Some("a b&c".into()) };
        assert_eq!(parse::<Page>("limit=100&name=a+b%26c&from=7"), Ok(expected));
        assert_eq!(parse::<Page>(""), Ok(Page { from: None, limit: None, name: None }));
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        assert_refused("form=7", Some("form"), "It takes: from, limit, name.");
        assert_refused("from", Some("from"), "must be a whole number");
        assert_eq!(parse::<()>("x=1").unwrap_err().field(), Some("x"));
        assert_eq!(parse::<()>(""), Ok(()));
    }

    #[test]
    fn what_a_route_takes_can_be_learned_without_a_request() {
        let known = known_params::<Page>();
        let ranges = known.iter().map(|known| (known.name, known.range.clone())).collect::<Vec<_>>();
        assert_eq!(ranges, [("from", Some(0..=u64::MAX)), ("limit", Some(1..=100)), ("name", None)]);
        assert_eq!(known_params::<()>(), []);
    }

    #[test]
    fn repeated_ones_are_refused_even_with_the_same_value() {
        assert_refused("from=7&from=7", Some("from"), "more than once");
        assert_refused("from=7&fr%6Fm=8", Some("from"), "more than once");
    }

    /// Each is compared with all others: of a head full of them, that takes the node's one thread for a second.
    #[test]
    fn a_query_of_too_many_is_refused_before_they_are_compared() {
        let names = |count: usize| (0..count).map(|nth| format!("{nth:x}")).collect::<Vec<_>>().join("&");
        assert_eq!(parse::<Page>(&names(MAX_QUERY_PARAMETERS)).unwrap_err().code(), Code::UnknownParameter);
        let many = parse::<Page>(&names(20_000)).unwrap_err();
        assert_eq!(many.code(), Code::TooManyParameters);
    }

    #[test]
    fn bad_values_are_refused_with_the_range() {
        for value in ["0", "101", "-1", "%2B1", "1.0", "", "99999999999999999999", "x"] {
            assert_refused(&format!("limit={value}"), Some("limit"), "from 1 to 100");
        }
    }

    #[test]
    fn broken_escapes_are_refused() {
        for value in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert_refused(&format!("name={value}"), None, "percent-encoded");
        }
    }
}
