//! Where the collector is.

use std::{fmt, str::FromStr};

use http::Uri;

/// The path of traces below a collector's URL (OpenTelemetry Protocol Exporter, "Endpoint URLs for OTLP/HTTP").
const TRACES_PATH: &str = "v1/traces";

/// The URL of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://localhost:4318`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector(String);

/// Why a text names no collector. It does not repeat the text: there may be a secret in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectorError {
    /// No http or https URL with a host, or one with a query.
    #[error("must be a collector's URL such as http://localhost:4318")]
    Url,
    /// Flags are seen by everybody on the machine.
    #[error("must not hold a user or a password: give headers in OTEL_EXPORTER_OTLP_HEADERS instead")]
    Secret,
}

impl Collector {
    /// Where spans are posted.
    pub(super) fn traces_url(&self) -> String {
        format!("{}/{TRACES_PATH}", self.0)
    }
}

impl FromStr for Collector {
    type Err = CollectorError;

    fn from_str(text: &str) -> Result<Collector, CollectorError> {
        let uri: Uri = text.parse().map_err(|_| CollectorError::Url)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().filter(|authority| is_http && !authority.host().is_empty());
        let authority = authority.filter(|_| uri.query().is_none()).ok_or(CollectorError::Url)?;
        if authority.as_str().contains('@') {
            return Err(CollectorError::Secret);
        }
        Ok(Collector(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_have_a_path_of_their_own() {
        for url in ["http://localhost:4318", "http://localhost:4318/"] {
            let collector: Collector = url.parse().unwrap();
            assert_eq!(collector.traces_url(), "http://localhost:4318/v1/traces");
        }
        let below: Collector = "https://otel.example/tenant/7".parse().unwrap();
        assert_eq!(below.traces_url(), "https://otel.example/tenant/7/v1/traces");
    }

    #[test]
    fn what_is_no_url_of_a_collector_is_refused_without_repeating_it() {
        for bad in ["", "localhost:4318", "grpc://localhost:4317", "http:///v1", "http://c:4318/?key=s3cret"]
        {
            assert_eq!(bad.parse::<Collector>(), Err(CollectorError::Url), "{bad}");
        }
        let with_secret = "http://me:s3cret@c:4318".parse::<Collector>();
        assert_eq!(with_secret, Err(CollectorError::Secret));
    }
}
