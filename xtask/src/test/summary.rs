//! The closing table.

use std::{fmt, time::Duration};

use anyhow::Result;

use crate::test::counts::Counts;

/// What a step that passed has to tell.
#[derive(Default)]
pub(super) struct Report {
    /// The tests that ran, if that was its purpose.
    pub(super) tests: Option<Counts>,
    /// What it could not do on this machine.
    pub(super) note: Option<String>,
}

/// How one step went.
pub(super) struct Line {
    step: String,
    took: Duration,
    result: Result<Report>,
}

impl Line {
    /// A step, its time and its end.
    pub(super) fn new(step: String, took: Duration, result: Result<Report>) -> Self {
        Self { step, took, result }
    }

    /// Did the step fail?
    pub(super) fn has_failed(&self) -> bool {
        self.result.is_err()
    }

    fn tests(&self) -> Option<Counts> {
        self.result.as_ref().ok().and_then(|report| report.tests)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.has_failed() { "FAILED" } else { "passed" };
        write!(f, "{:<12} {verdict} {:>8.1} s", self.step, self.took.as_secs_f64())?;
        match &self.result {
            Ok(Report { tests, note }) => {
                tests.iter().try_for_each(|counts| write!(f, "  {counts}"))?;
                note.iter().try_for_each(|note| write!(f, "  {note}"))
            }
            Err(error) => write!(f, "  {error}"),
        }
    }
}

/// The steps that ran.
#[derive(Default)]
pub(super) struct Summary {
    lines: Vec<Line>,
}

impl Summary {
    /// Adds the step that ran next.
    pub(super) fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Did any step fail?
    pub(super) fn has_failed(&self) -> bool {
        self.lines.iter().any(Line::has_failed)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        let took: Duration = self.lines.iter().map(|line| line.took).sum();
        writeln!(f, "{:<12}        {:>8.1} s", "all", took.as_secs_f64())?;
        let counts: Vec<Counts> = self.lines.iter().filter_map(Line::tests).collect();
        // A step that failed has no counts: a sum without it would look better than it was.
        if counts.is_empty() || self.has_failed() {
            return Ok(());
        }
        write!(f, "{}", counts.into_iter().sum::<Counts>())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::anyhow;

    use super::{Line, Report, Summary};
    use crate::test::counts::Counts;

    fn line(step: &str, result: anyhow::Result<Report>) -> Line {
        Line::new(step.to_owned(), Duration::from_millis(1_500), result)
    }

    #[test]
    fn the_table_ends_with_the_count_of_all_tests() {
        let junit = r#"<testsuites tests="3" failures="0" errors="0">"#;
        let mut summary = Summary::default();
        summary.add(line("fmt", Ok(Report::default())));
        summary.add(line("deny", Ok(Report { tests: None, note: Some("half SKIPPED".into()) })));
        let mut counts = Counts::of_junit(junit);
        summary.add(line("unit", Ok(Report { tests: counts, note: None })));
        counts.as_mut().unwrap().add_skipped(2);
        summary.add(line("process", Ok(Report { tests: counts, note: Some("disks SKIPPED".into()) })));
        let expected = "fmt          passed      1.5 s\n\
                        deny         passed      1.5 s  half SKIPPED\n\
                        unit         passed      1.5 s  3 passed, 0 failed\n\
                        process      passed      1.5 s  3 passed, 0 failed, 2 skipped  disks SKIPPED\n\
                        all                      6.0 s\n\
                        6 passed, 0 failed, 2 skipped";
        assert_eq!(summary.to_string(), expected);
        assert!(!summary.has_failed());
    }

    #[test]
    fn a_failure_is_told_with_its_reason() {
        let mut summary = Summary::default();
        summary.add(line("fmt", Err(anyhow!("why"))));
        assert!(summary.has_failed());
        assert!(summary.to_string().contains("FAILED      1.5 s  why"), "{summary}");
    }
}
