//! How many tests ran.

use std::{fmt, iter::Sum};

/// Tests that ran and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    /// Reads them off a JUnit report: `None` if its first element does not tell.
    pub(super) fn of_junit(report: &str) -> Option<Self> {
        let (_, from_element) = report.split_once("<testsuites ")?;
        let (element, _) = from_element.split_once('>')?;
        let failed = attribute(element, "failures")? + attribute(element, "errors")?;
        let skipped = attribute(element, "skipped").unwrap_or(0);
        let passed = attribute(element, "tests")?.checked_sub(failed + skipped)?;
        Some(Self { passed, failed, skipped })
    }

    /// Counts tests that were left out of the run.
    pub(super) fn add_skipped(&mut self, count: usize) {
        self.skipped += count;
    }
}

fn attribute(element: &str, name: &str) -> Option<usize> {
    let (_, value) = element.split_once(&format!("{name}=\""))?;
    value.split_once('"')?.0.parse().ok()
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, counts| Self {
            passed: sum.passed + counts.passed,
            failed: sum.failed + counts.failed,
            skipped: sum.skipped + counts.skipped,
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 { write!(f, ", {} skipped", self.skipped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn counts_are_read_off_a_junit_report() {
        let report = r#"<?xml version="1.0"?>
            <testsuites name="nextest-run" tests="12" skipped="1" failures="2" errors="1" time="0.5">
                <testsuite name="other" tests="99"/>"#;
        assert_eq!(Counts::of_junit(report), Some(Counts { passed: 8, failed: 3, skipped: 1 }));
    }

    #[test]
    fn anything_else_has_no_counts() {
        assert_eq!(Counts::of_junit("<testsuites name=\"x\">"), None);
    }

    #[test]
    fn counts_add_up() {
        let sum: Counts = [(1, 0, 0), (2, 3, 1)]
            .map(|(passed, failed, skipped)| Counts { passed, failed, skipped })
            .into_iter()
            .sum();
        assert_eq!(sum.to_string(), "3 passed, 3 failed, 1 skipped");
    }
}
