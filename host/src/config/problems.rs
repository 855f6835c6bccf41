//! All that is wrong with a configuration, at once.

use std::{fmt::Display, ops::RangeInclusive};

/// Collects what is wrong, each with the flag that it is about.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<String>);

/// Everything that is wrong with a configuration: one sentence each, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} problem(s):\n  - {}", .0.len(), .0.join("\n  - "))]
pub struct ConfigError(pub Vec<String>);

impl Problems {
    /// Notes what is wrong with `--flag`.
    pub fn add(&mut self, flag: &str, problem: impl Display) {
        self.0.push(format!("--{flag}: {problem}"));
    }

    /// The value, or none and a note of what is wrong with it.
    pub fn check<T, E: Display>(&mut self, flag: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|problem| self.add(flag, problem)).ok()
    }

    /// A whole number in a range.
    pub fn number(&mut self, flag: &str, text: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        let (least, most) = (range.start(), range.end());
        self.check(
            flag,
            number.ok_or_else(|| format!("must be a whole number from {least} to {most}, not {text:?}")),
        )
    }

    /// A share from 0 to 1.
    pub fn share(&mut self, flag: &str, text: &str) -> Option<f64> {
        let share = text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
        self.check(flag, share.ok_or_else(|| format!("must be a number from 0 to 1, not {text:?}")))
    }

    /// Something that is on or off.
    pub fn switch(&mut self, flag: &str, text: &str) -> Option<bool> {
        let value = match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" | "" => Ok(false),
            _ => Err(format!("must be true or false, not {text:?}")),
        };
        self.check(flag, value)
    }

    /// An http or https URL with a host.
    pub fn http_url(&mut self, flag: &str, text: &str) -> Option<String> {
        let uri = text.parse::<http::Uri>().ok();
        let fine = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        let wrong = || format!("must be a URL such as http://master.example:5000, not {text:?}");
        self.check(flag, if fine { Ok(text.to_owned()) } else { Err(wrong()) })
    }

    /// What was found, if anything was.
    pub fn into_error(self) -> Option<ConfigError> {
        (!self.0.is_empty()).then_some(ConfigError(self.0))
    }

    /// The configuration, if all of it is there and nothing is wrong.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn finish<T>(self, config: Option<T>) -> Result<T, ConfigError> {
        match config {
            Some(config) if self.0.is_empty() => Ok(config),
            _ => Err(ConfigError(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_that_a_client_can_follow() {
        for (url, fine) in [
            ("http://master:5000", true),
            ("https://log.example/a", true),
            ("master:5000", false),
            ("nats://master", false),
            ("http://", false),
            ("/messages", false),
            ("http://a b", false),
        ] {
            assert_eq!(Problems::default().http_url("advertise-url", url).is_some(), fine, "{url}");
        }
    }

    #[test]
    fn a_number_is_in_its_range() {
        let number = |text: &str| Problems::default().number("n", text, 1..=9);
        assert_eq!((number("9"), number(" 1 ")), (Some(9), Some(1)));
        for bad in ["0", "10", "-1", "1.0", "", "x"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!(Problems::default().share("s", "NaN"), None);
    }
}
