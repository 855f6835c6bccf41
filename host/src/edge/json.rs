//! JSON bodies in, strictly.

use std::{fmt, marker::PhantomData};

use axum::{
    body::Body,
    extract::{FromRequest, OptionalFromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use replog_shared::{Applied, Code, byte_order_mark};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    Problem,
    body::{BodyError, too_large},
};

/// A request's body, read whole: UTF-8 that calls itself JSON, not parsed yet.
///
/// As an extractor it refuses what is not JSON (415), too large (413), too slow (408), empty or not UTF-8
/// (400). As `Option<JsonBody>` it takes a request without a body for `None`.
///
/// Kept apart from parsing, so that what is parsed may borrow from it: [`JsonBody::parse`].
#[derive(Clone, Debug)]
pub struct JsonBody(Bytes);

impl JsonBody {
    /// A body that came in one piece, and not over HTTP: its bytes may be no more than `limit`.
    ///
    /// # Errors
    /// As of the extractor: 413 above the limit, 400 for none.
    pub fn whole(bytes: Bytes, limit: usize) -> Result<Self, Problem> {
        match bytes.len() {
            0 => Err(empty()),
            length if length > limit => Err(too_large(limit)),
            _ => Ok(Self(bytes)),
        }
    }

    /// The body's bytes. They are UTF-8, if the extractor gave them.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The part of [`JsonBody::bytes`] that `text` is, without a copy.
    ///
    /// # Panics
    /// If `text` was not borrowed from this body.
    pub fn slice(&self, text: &str) -> Bytes {
        self.0.slice_ref(text.as_bytes())
    }

    /// The body as a `T`, which may borrow from it (`&RawValue`, `Cow<str>`).
    ///
    /// Give `T` `#[serde(deny_unknown_fields)]`, and its optional fields [`present`].
    ///
    /// # Errors
    /// 400 with the field to blame, where it is one, and the place.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        let text =
            std::str::from_utf8(&self.0).map_err(|error| self.marked(not_utf8(error.valid_up_to())))?;
        let parsed = serde_json::from_str::<Object<T>>(text);
        parsed.map(|object| object.0).map_err(|error| self.marked(refuse::<Object<T>>(text, &error)))
    }
}

impl JsonBody {
    /// A refusal, or the one reason for it that nobody sees in an editor. JSON that programs exchange has no byte order
    /// mark (RFC 8259, 8.1), so it is refused and not passed over.
    fn marked(&self, refusal: Problem) -> Problem {
        byte_order_mark::complaint("The body", &self.0).map_or(refusal, |reason| invalid_json(reason + "."))
    }
}

impl From<Bytes> for JsonBody {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let body = read(request.into_body()).await?;
        if body.is_empty() { Err(empty()) } else { Ok(Self(body)) }
    }
}

impl<S: Sync> OptionalFromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.body().is_end_stream() {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

/// A `T` that is written as a JSON object, never as an array of its fields, which serde would take as well: a
/// client that sends an array has made a mistake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// For an optional field: absent is `None`, but an explicit `null` is refused like any other wrong value.
///
/// ```
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Append {
///     #[serde(default, deserialize_with = "replog_host::edge::json::present")]
///     w: Option<u64>,
/// }
/// assert_eq!(serde_json::from_str::<Append>(r#"{"w": 2}"#).unwrap().w, Some(2));
/// assert_eq!(serde_json::from_str::<Append>("{}").unwrap().w, None);
/// assert!(serde_json::from_str::<Append>(r#"{"w": null}"#).is_err());
/// ```
///
/// # Errors
/// What `T` refuses.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a body to its end. One that came in one piece is not copied.
///
/// # Errors
/// What the edge's limits refuse: 408, 413, 503, or 400 for a body that breaks off.
pub async fn read(mut body: Body) -> Result<Bytes, Problem> {
    let Some(first) = next(&mut body).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next(&mut body).await? else { return Ok(first) };
    let mut all = BytesMut::with_capacity(2 * (first.len() + second.len()));
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while let Some(more) = next(&mut body).await? {
        all.extend_from_slice(&more);
    }
    Ok(all.freeze())
}

/// The next piece of data; `None` at the end.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        // Trailers say nothing to us.
        if let Ok(data) = frame.map_err(unreadable)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn unreadable(error: axum::Error) -> Problem {
    match error.into_inner().downcast::<BodyError>() {
        Ok(error) => error.problem(),
        Err(error) => {
            let detail = format!("The body did not come whole: {error}.");
            Problem::new(Code::BrokenBody, detail).applied(Applied::Unknown)
        }
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let media_type = given.and_then(|given| given.split(';').next()).unwrap_or_default();
    if media_type.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let sent = given.map_or("none".into(), |given| format!("`{given}`"));
    let detail = format!(
        "The Content-Type is {sent}; it must be application/json. \
         With curl, add: -H 'Content-Type: application/json'"
    );
    let refusal = Problem::new(Code::UnsupportedMediaType, detail);
    Err(refusal.with("allowed", "application/json"))
}

fn empty() -> Problem {
    invalid_json("The body is empty. Send a JSON object, such as {\"message\": \"hello\"}.")
}

fn not_utf8(offset: usize) -> Problem {
    invalid_json(format!("The body is not UTF-8: byte {offset} is the first that does not belong there."))
        .with("offset", offset)
}

fn invalid_json(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidJson, detail)
}

/// Says what is wrong with `text`. Parses it a second time to learn which field it is: that costs only
/// those who are refused.
fn refuse<'a, T: Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> Problem {
    let reason = in_words(&shortened(error.to_string()));
    if !error.is_data() && !is_of_one_value(&reason) {
        return invalid_json(format!("The body is not valid JSON: {error}."));
    }
    let detail = format!("The body has a mistake: {reason}.");
    let field = field_to_blame::<T>(text, &reason).filter(|field| field.len() <= MAX_FIELD_BYTES);
    let problem = match field {
        None => Problem::new(Code::InvalidBody, detail),
        Some(field) if reason.contains(&format!("`{field}`")) => Problem::invalid_field(&field, detail),
        Some(field) => Problem::invalid_field(&field, format!("`{field}` has a mistake: {reason}.")),
    };
    match known_fields(&reason) {
        Some(known) => problem.with("allowed", known),
        None => problem,
    }
}

/// Bytes of a reason that are told. It repeats what was sent, a name or a text of megabytes if need be: quoting that costs
/// the node's one thread seconds, and the client gets it back twice.
const MAX_REASON_BYTES: usize = 1_024;

/// Bytes of the name of a field that is blamed. One that is longer is none of ours.
const MAX_FIELD_BYTES: usize = 256;

/// The beginning of a long reason, and the place at its end.
fn shortened(reason: String) -> String {
    if reason.len() <= MAX_REASON_BYTES {
        return reason;
    }
    let place = reason.rfind(" at line ").map_or("", |at| &reason[at..]);
    format!("{}…{place}", &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)])
}

/// Whether it is the value of a field that cannot be read, in a document that is well-formed: the grammar of JSON
/// has `1e400` and `"\ud800"`.
fn is_of_one_value(reason: &str) -> bool {
    let reasons = ["number out of range", "lone leading surrogate", "unexpected end of hex escape"];
    reasons.iter().any(|of_value| reason.starts_with(of_value))
}

/// The fields there are, if serde names them because another one was sent.
fn known_fields(reason: &str) -> Option<Vec<&str>> {
    let (_, known) = reason.strip_prefix("unknown field `")?.split_once("`, expected ")?;
    Some(known.split('`').skip(1).step_by(2).collect())
}

/// The path to what is wrong, such as `w` or `messages[3].id`.
fn field_to_blame<'a, T: Deserialize<'a>>(text: &'a str, reason: &str) -> Option<String> {
    match (path_to_value::<T>(text), named_field(reason)) {
        (Some(path), Some(name)) if path == name || path.ends_with(&format!(".{name}")) => Some(path),
        (Some(path), Some(name)) => Some(format!("{path}.{name}")),
        (path, name) => path.or_else(|| name.map(str::to_owned)),
    }
}

/// serde's words for a type, for people who do not write Rust.
fn in_words(reason: &str) -> String {
    let words = [
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a borrowed string", "expected a string"),
    ];
    words.iter().fold(reason.to_owned(), |reason, (rust, words)| reason.replace(rust, words))
}

/// The field that serde itself names: "unknown field `ww`, …", "missing field …", "duplicate field …".
fn named_field(reason: &str) -> Option<&str> {
    let kinds = ["unknown field `", "missing field `", "duplicate field `"];
    kinds.iter().find_map(|kind| reason.strip_prefix(kind))?.split('`').next()
}

/// Where the value is that `T` refuses; `None` for the document itself.
fn path_to_value<'a, T: Deserialize<'a>>(text: &'a str) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let error = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?;
    let path = error.path().to_string();
    (path != "." && path != "?").then_some(path)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Append<'a> {
        #[serde(borrow)]
        message: &'a RawValue,
        #[serde(default, deserialize_with = "present")]
        w: Option<u64>,
        #[serde(borrow, default, deserialize_with = "present")]
        id: Option<Cow<'a, str>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Batch<'a> {
        #[serde(borrow)]
        #[expect(dead_code, reason = "only its refusal is of interest")]
        messages: Vec<Append<'a>>,
    }

    fn body(text: impl Into<Bytes>) -> JsonBody {
        JsonBody(text.into())
    }

    #[track_caller]
    fn refusal(text: impl Into<Bytes>) -> (Option<String>, String) {
        let problem = body(text).parse::<Append>().unwrap_err();
        assert_eq!(problem.status(), 400);
        let document = serde_json::to_value(&problem).unwrap();
        (problem.field().map(str::to_owned), document["detail"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    fn assert_blames(text: &'static str, field: &str, words: &str) {
        let (blamed, detail) = refusal(text);
        assert_eq!(blamed.as_deref(), Some(field), "{detail}");
        assert!(detail.contains(words) && detail.contains("column"), "{detail}");
    }

    #[test]
    fn what_is_parsed_borrows_from_the_body() {
        let body = body(r#"{"message": {"a": [1.0]}, "w": 2, "id": "x"}"#);
        let append: Append = body.parse().unwrap();
        assert_eq!(
            (append.message.get(), append.w, append.id.as_deref()),
            (r#"{"a": [1.0]}"#, Some(2), Some("x"))
        );
        assert_eq!(body.slice(append.message.get()), r#"{"a": [1.0]}"#);
    }

    #[test]
    fn a_wrong_field_is_named() {
        assert_blames(
            r#"{"message": 1, "ww": 2}"#,
            "ww",
            "unknown field `ww`, expected one of `message`, `w`",
        );
        assert_blames(r#"{"w": 2}"#, "message", "missing field `message`");
        assert_blames(r#"{"message": 1, "w": 1, "w": 2}"#, "w", "duplicate field `w`");
        for value in ["null", "-1", "1.5", "true", "[]", "1.0", "1e0", "-0", "18446744073709551616"] {
            let text: &'static str = format!(r#"{{"message": 1, "w": {value}}}"#).leak();
            assert_blames(text, "w", "expected a whole number");
        }
        assert_blames(r#"{"message": 1, "w": "2"}"#, "w", "expected a whole number");
        assert_blames(r#"{"message": 1, "id": 7}"#, "id", "expected a string");
    }

    #[test]
    fn a_value_that_json_has_and_no_type_of_ours_is_named() {
        assert_blames(r#"{"message": 1, "w": 1e400}"#, "w", "number out of range");
        for id in [r#""\ud800""#, r#""\ud800x""#, r#""\udc00""#, r#""\ud800\u0041""#] {
            let text: &'static str = format!(r#"{{"message": 1, "id": {id}}}"#).leak();
            assert_blames(text, "id", "`id` has a mistake");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_with_those_that_are_known() {
        let problem = body(r#"{"message": 1, "ww": 2}"#).parse::<Append>().unwrap_err();
        assert_eq!(problem.member("allowed"), Some(&serde_json::json!(["message", "w", "id"])));
    }

    #[test]
    fn a_byte_order_mark_is_named() {
        for (mark, name) in [("\u{feff}", "EF BB BF"), ("\u{feff}x", "EF BB BF")] {
            let (field, detail) = refusal(format!("{mark}{{\"message\": 1}}"));
            assert!(
                field.is_none() && detail.contains("byte order mark") && detail.contains(name),
                "{detail}"
            );
        }
        let utf_16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(refusal(utf_16).1.contains("UTF-16 (FF FE)"));
        let (_, detail) = refusal("{\"message\": 1}\u{feff}");
        assert!(!detail.contains("byte order mark"), "{detail}");
    }

    #[test]
    fn a_wrong_element_is_named() {
        for (element, field) in [
            (r#"{"message": 1, "w": "2"}"#, "messages[1].w"),
            (r#"{"message": 1, "x": 1}"#, "messages[1].x"),
            (r#"{"message": 1, "w": 1, "w": 1}"#, "messages[1].w"),
            (r#"{"w": 1}"#, "messages[1].message"),
            ("7", "messages[1]"),
        ] {
            let body = body(format!(r#"{{"messages": [{{"message": 1}}, {element}]}}"#));
            assert_eq!(body.parse::<Batch>().unwrap_err().field(), Some(field), "{element}");
        }
    }

    #[test]
    fn a_mistake_is_told_in_few_words_however_long_it_is() {
        let long = "ä".repeat(500_000);
        for (text, field) in [
            (format!(r#"{{"message": 1, "{long}": 2}}"#), None),
            (format!(r#"{{"message": 1, "w": "{long}"}}"#), Some("w")),
        ] {
            let problem = body(text).parse::<Append>().unwrap_err();
            let document = serde_json::to_string(&problem).unwrap();
            assert_eq!((problem.status().as_u16(), problem.field()), (400, field), "{document:.400}");
            assert!(document.len() < 4_096 && document.contains("… at line 1 column"), "{document:.400}");
        }
    }

    #[test]
    fn broken_json_is_refused_with_its_place() {
        for text in [r#"{"message": NaN}"#, r#"{"message": 1} {}"#, r#"{"message": "#, "nonsense"] {
            let (field, detail) = refusal(text);
            assert_eq!(field, None);
            assert!(detail.contains("not valid JSON") && detail.contains("line 1 column"), "{detail}");
        }
        assert!(refusal("[".repeat(100_000)).1.contains("column"));
        assert!(refusal(&b"{\"message\": \"a\xff\"}"[..]).1.contains("byte 14"));
    }

    #[test]
    fn media_types_are_compared_without_case_and_parameters() {
        let with =
            |value: &'static str| HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
        for fine in ["application/json", "Application/JSON; charset=UTF-8", "application/json ;x=y"] {
            assert!(check_content_type(&with(fine)).is_ok(), "{fine}");
        }
        for wrong in ["application/x-www-form-urlencoded", "application/jsonp", "text/json", ""] {
            assert!(check_content_type(&with(wrong)).is_err(), "{wrong}");
        }
        assert!(check_content_type(&HeaderMap::new()).is_err());
    }
}
