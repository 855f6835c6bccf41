//! Which web page a browser speaks for, when it asks for a change.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use replog_shared::Code;

use super::{ClientAddress, Problem};

/// Says of a browser's request what page it comes from (W3C Fetch Metadata). A page cannot set or forge it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses changes that a browser asks for on behalf of another site's page.
///
/// The bug this prevents: a browser sends a page's `POST` to any address that its user can reach, without asking the
/// node first as long as it looks like a form. A node on a developer's machine or in a private network would be
/// emptied by a page that somebody opens.
///
/// The page that a node serves itself, and clients that are no browsers, are not concerned.
#[derive(Clone, Debug, Default)]
pub(super) struct Sites {
    /// A change needs a token, which a page from elsewhere does not have.
    pub(super) needs_token: bool,
}

impl Sites {
    /// Reads pass: a browser does not show the answer to another site's page.
    ///
    /// # Errors
    /// 403: the request would change something, and comes from another site's page.
    pub(super) fn check(
        &self,
        method: &Method,
        headers: &HeaderMap,
        client: Option<&ClientAddress>,
    ) -> Result<(), Problem> {
        if method.is_safe() {
            return Ok(());
        }
        let mut sites = headers.get_all(FETCH_SITE).iter().peekable();
        if sites.peek().is_some() {
            let own = sites.all(|site| site == "same-origin" || site == "none");
            return if own { Ok(()) } else { Err(refusal(headers)) };
        }
        let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
        if origins.peek().is_none() {
            return Ok(());
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = origins.all(|origin| is_origin_of(origin, host));
        if own && self.is_known(host, client) { Ok(()) } else { Err(refusal(headers)) }
    }

    /// Whether `host` can be the name of this node. On the loopback address a public name is one that another site
    /// has pointed there (DNS rebinding), so that its page counts as the node's own. Over HTTPS that cannot be done,
    /// and a browser says `same-origin` there.
    fn is_known(&self, host: &str, client: Option<&ClientAddress>) -> bool {
        let on_this_machine = client.is_some_and(|client| client.0.ip().to_canonical().is_loopback());
        self.needs_token || !on_this_machine || !is_public_name(without_port(host))
    }
}

/// Whether a page of this origin was served by `host`. What terminates TLS before the node is not seen here, so the
/// scheme says nothing but which port goes without saying.
fn is_origin_of(origin: &HeaderValue, host: &str) -> bool {
    let parts = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let Some((scheme, authority)) = parts else { return false };
    let implied = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let strip = |authority: &str| authority.strip_suffix(implied).unwrap_or(authority).to_ascii_lowercase();
    !authority.is_empty() && strip(authority) == strip(host)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A name that anybody could have registered: no address, no name of one word, nothing below `localhost`.
fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_address = name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
    let is_local = !name.contains('.') || name.to_ascii_lowercase().ends_with(".localhost");
    !is_address && !is_local
}

fn refusal(headers: &HeaderMap) -> Problem {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let origin = text(header::ORIGIN.as_str()).unwrap_or("another site");
    let shown: String = origin.chars().take(200).collect();
    let detail = format!(
        "A browser asks for this change on behalf of a page of {shown}, and that page is not this node's own. Nothing \
         was changed. If the page is yours, let its server ask, which sends no Origin; if it is this node's console behind a \
         proxy, let the proxy speak HTTPS."
    );
    Problem::new(Code::CrossSite, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:9";
    const ELSEWHERE: &str = "192.0.2.7:9";

    fn passes(sites: &Sites, method: &Method, client: &str, lines: &[(&'static str, &str)]) -> bool {
        let value = |value| HeaderValue::from_str(value).unwrap();
        let headers: HeaderMap =
            lines.iter().map(|(name, text)| (name.parse().unwrap(), value(text))).collect();
        let client = ClientAddress(client.parse().unwrap());
        match sites.check(method, &headers, Some(&client)) {
            Ok(()) => true,
            Err(problem) => {
                assert_eq!(problem.code(), Code::CrossSite);
                false
            }
        }
    }

    fn post(lines: &[(&'static str, &str)]) -> bool {
        passes(&Sites::default(), &Method::POST, LOOPBACK, lines)
    }

    fn from(origin: &str, host: &str) -> bool {
        post(&[("host", host), ("origin", origin)])
    }

    #[test]
    fn clients_that_are_no_browsers_notice_nothing() {
        assert!(post(&[("host", "127.0.0.1:5000")]));
        assert!(post(&[("host", "replog.example.com")]));
        assert!(post(&[]));
    }

    #[test]
    fn a_page_of_the_node_itself_may_ask_for_changes() {
        assert!(post(&[("host", "a:1"), ("origin", "http://a:1"), ("sec-fetch-site", "same-origin")]));
        for (origin, host) in [
            ("http://127.0.0.1:5000", "127.0.0.1:5000"),
            ("http://[::1]:5000", "[::1]:5000"),
            ("http://LocalHost:5000", "localhost:5000"),
            ("http://node.localhost:5000", "node.localhost:5000"),
            ("http://master:5000", "master:5000"),
            ("https://master", "master"),
            ("https://master", "master:443"),
            ("http://master", "master:80"),
        ] {
            assert!(from(origin, host), "{origin} {host}");
        }
        let behind_proxy =
            [("host", "a"), ("origin", "https://log.example"), ("sec-fetch-site", "same-origin")];
        assert!(post(&behind_proxy), "the proxy put its own name for the node into Host");
        assert!(post(&[("host", "a"), ("sec-fetch-site", "none")]), "the user's own doing");
    }

    #[test]
    fn a_page_from_elsewhere_may_not() {
        for site in ["cross-site", "same-site", "rubbish", ""] {
            assert!(!post(&[("host", "a"), ("sec-fetch-site", site)]), "{site}");
            assert!(!post(&[("host", "a"), ("origin", "http://a"), ("sec-fetch-site", site)]), "{site}");
        }
        let twice = [("host", "a"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
        let mut headers = HeaderMap::new();
        for (name, value) in twice {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert!(Sites::default().check(&Method::POST, &headers, None).is_err());
        for origin in [
            "https://other.example",
            "http://127.0.0.1:5001",
            "http://127.0.0.1",
            "null",
            "",
            "http://",
            "file://",
            "http://127.0.0.1:5000.other.example",
            "http://other.example/127.0.0.1:5000",
            "chrome-extension://127.0.0.1:5000",
        ] {
            assert!(!from(origin, "127.0.0.1:5000"), "{origin}");
        }
    }

    #[test]
    fn every_method_but_those_that_read_is_a_change() {
        let lines = [("host", "a"), ("origin", "https://other.example"), ("sec-fetch-site", "cross-site")];
        let passes =
            |method: &[u8]| passes(&Sites::default(), &Method::from_bytes(method).unwrap(), LOOPBACK, &lines);
        for change in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
            assert!(!passes(change.as_bytes()), "{change}");
        }
        for read in ["GET", "HEAD", "OPTIONS"] {
            assert!(passes(read.as_bytes()), "{read}");
        }
    }

    #[test]
    fn a_public_name_that_leads_to_this_machine_is_not_the_nodes_own() {
        let lines = [("host", "other.example:5000"), ("origin", "http://other.example:5000")];
        let passes = |sites: &Sites, client| passes(sites, &Method::POST, client, &lines);
        assert!(!passes(&Sites::default(), LOOPBACK));
        assert!(!passes(&Sites::default(), "[::ffff:127.0.0.1]:9"));
        assert!(passes(&Sites { needs_token: true }, LOOPBACK), "a change needs a token");
        assert!(passes(&Sites::default(), ELSEWHERE), "it has a name in its network");
    }
}
