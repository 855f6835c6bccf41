//! Names, labels and numbers as text.

use std::fmt;

use prometheus_client::{
    encoding::{
        DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric as _, MetricEncoder, NoLabelSet,
    },
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use replog_shared::Histogram;

/// Nanoseconds in a second.
const NANOS: f64 = 1e9;

/// No label at all.
const UNLABELLED: [(&str, &str); 0] = [];

/// Takes a node's figures. Names are written as they are shown, units and `_total` included, so that a search for
/// one finds the place where it is told.
#[derive(Debug)]
pub struct Exposition<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl<'a> Exposition<'a> {
    pub(super) const fn new(encoder: DescriptorEncoder<'a>) -> Exposition<'a> {
        Exposition { encoder }
    }

    /// Something that only grows; its name ends in `_total`.
    ///
    /// # Errors
    /// The text takes no more.
    pub fn counter(&mut self, name: &'static str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, [(UNLABELLED, value)])
    }

    /// The same, for several labels.
    ///
    /// # Errors
    /// The text takes no more.
    pub fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &'static str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        // prometheus-client puts it there again.
        let name = name.strip_suffix("_total").unwrap_or(name);
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Something that comes and goes.
    ///
    /// # Errors
    /// The text takes no more.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &str,
        value: impl EncodeGaugeValue + Copy,
    ) -> fmt::Result {
        self.gauges(name, help, [(UNLABELLED, value)])
    }

    /// The same, for several labels.
    ///
    /// # Errors
    /// The text takes no more.
    pub fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &'static str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// 1 or 0.
    ///
    /// # Errors
    /// The text takes no more.
    pub fn switch(&mut self, name: &'static str, help: &str, on: bool) -> fmt::Result {
        self.gauge(name, help, u64::from(on))
    }

    /// 1 for the one of these states that is `now`, 0 for the others.
    ///
    /// # Errors
    /// The text takes no more.
    pub fn states(
        &mut self,
        name: &'static str,
        help: &str,
        states: impl IntoIterator<Item = &'static str>,
        now: &str,
    ) -> fmt::Result {
        let values = states.into_iter().map(|state| ([("state", state)], u64::from(state == now)));
        self.gauges(name, help, values)
    }

    /// Sizes, counted.
    ///
    /// # Errors
    /// The text takes no more.
    pub fn sizes(&mut self, name: &'static str, help: &str, histogram: &Histogram) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        encode(&mut metric, histogram, 1.0)
    }

    /// Times, told in seconds.
    ///
    /// # Errors
    /// The text takes no more.
    pub fn times(&mut self, name: &'static str, help: &str, histogram: &Histogram) -> fmt::Result {
        self.labelled_times(name, help, [(UNLABELLED, histogram)])
    }

    /// The same, for several labels.
    ///
    /// # Errors
    /// The text takes no more.
    pub fn labelled_times<'h, L: EncodeLabelSet>(
        &mut self,
        name: &'static str,
        help: &str,
        histograms: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, histogram) in histograms {
            encode(&mut metric.encode_family(&labels)?, histogram, NANOS)?;
        }
        Ok(())
    }
}

/// Writes one histogram whose sizes are so many to a unit.
fn encode(metric: &mut MetricEncoder<'_>, histogram: &Histogram, to_a_unit: f64) -> fmt::Result {
    let buckets = histogram.buckets().map(|(bound, count)| (bound as f64 / to_a_unit, count));
    let buckets: Vec<(f64, u64)> = buckets.collect();
    let sum = histogram.sum() as f64 / to_a_unit;
    metric.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)
}
