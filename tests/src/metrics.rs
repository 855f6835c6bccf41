//! What `GET /metrics` answers, read as strictly as a scraper may.

use std::collections::{BTreeMap, BTreeSet};

/// Endings of the series of a histogram.
const HISTOGRAM_SERIES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// A node's metrics at one moment.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Kinds by name: counter, gauge or histogram.
    pub kinds: BTreeMap<String, String>,
    /// Values by series: the name with its labels, as it stands there.
    pub values: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads the text.
    ///
    /// # Errors
    /// The first line that a scraper would not understand, and why.
    pub fn read(text: &str) -> Result<Metrics, String> {
        let mut metrics = Metrics::default();
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            let read = match line.strip_prefix("# ") {
                Some(comment) => metrics.read_comment(comment, &mut helped),
                None => metrics.read_sample(line),
            };
            read.map_err(|why| format!("{why}: {line}"))?;
        }
        match metrics.kinds.keys().find(|name| !helped.contains(*name)) {
            Some(unhelped) => Err(format!("nothing explains {unhelped}")),
            None => Ok(metrics),
        }
    }

    fn read_comment(&mut self, comment: &str, helped: &mut BTreeSet<String>) -> Result<(), &'static str> {
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(name), Some(help)) if !help.is_empty() => {
                helped.insert(name.to_owned()).then_some(()).ok_or("it is explained twice")
            }
            (Some("TYPE"), Some(name), Some(kind @ ("counter" | "gauge" | "histogram"))) => {
                let before = self.kinds.insert(name.to_owned(), kind.to_owned());
                before.map_or(Ok(()), |_| Err("it is told twice"))
            }
            _ => Err("neither help nor type"),
        }
    }

    fn read_sample(&mut self, line: &str) -> Result<(), &'static str> {
        let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
        let name = series.split('{').next().unwrap_or_default();
        self.family(name).ok_or("nothing says what it is")?;
        let value = value.parse::<f64>().map_err(|_| "no number")?;
        self.values.insert(series.to_owned(), value).map_or(Ok(()), |_| Err("told twice"))
    }

    /// The name under which the kind of a series is told.
    fn family<'n>(&self, name: &'n str) -> Option<&'n str> {
        let of_histogram = HISTOGRAM_SERIES.iter().find_map(|end| name.strip_suffix(end));
        let of_histogram =
            of_histogram.filter(|name| self.kinds.get(*name).is_some_and(|kind| kind == "histogram"));
        of_histogram.or_else(|| self.kinds.contains_key(name).then_some(name))
    }

    /// The value of a series; none while it does not exist.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.values.get(series).copied()
    }
}
