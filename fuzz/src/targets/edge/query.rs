//! What stands in a request's target: queries, and the order in a path.

use http::Uri;
use replog_host::{
    edge::{
        Problem,
        query::{Params, QueryParams, parse},
    },
    tail::TailQuery,
};
use replog_master::http::fuzzing;

/// A route that takes a number and a text.
#[derive(Debug, PartialEq)]
struct Page {
    from: Option<u64>,
    name: Option<String>,
}

impl QueryParams for Page {
    fn read(params: &mut Params<'_>) -> Result<Self, Problem> {
        Ok(Page { from: params.number("from", 0..=u64::MAX)?, name: params.text("name").map(Into::into) })
    }
}

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(page) = parse::<Page>(text) {
        assert_eq!(parse::<Page>(&written(&page)).as_ref(), Ok(&page));
        let names = text.split('&').filter(|pair| !pair.is_empty()).count();
        let read = usize::from(page.from.is_some()) + usize::from(page.name.is_some());
        assert_eq!(names, read, "each parameter of {text:?} is known, and given once");
        let from = text.split('&').find_map(|pair| pair.strip_prefix("from="));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'%');
        assert!(
            from.is_none_or(|from| digits(&from.replace("%3", ""))),
            "a number has digits, and nothing else"
        );
    }
    let _ = parse::<TailQuery>(text);
    let _ = fuzzing::wait_query(text, 3);
    assert_eq!(parse::<()>(text).is_ok(), text.bytes().all(|byte| byte == b'&'));
    if let Ok(uri) = text.parse::<Uri>()
        && let Ok(order) = fuzzing::path_order(&uri)
    {
        assert!(uri.path().ends_with(&format!("/{order}")), "{order} is written in one way, not as {uri}");
    }
}

fn written(page: &Page) -> String {
    let number = page.from.map(|from| format!("from={from}"));
    let text = page.name.as_ref().map(|name| {
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("name={escaped}")
    });
    [number, text].into_iter().flatten().collect::<Vec<_>>().join("&")
}
