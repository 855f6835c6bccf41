//! How segments are named.

use replog_shared::{Order, Place};

/// How the name of every segment ends.
const SEGMENT_SUFFIX: &str = ".log";

/// How the name of a file ends that is not part of the log yet. Such files are removed when a log is opened.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// The name of the segment that begins at a place: entries before it in 20 digits, marks in 10, so that names
/// sort as the log runs.
pub(crate) fn segment_name(start: Place) -> String {
    format!("{:020}-{:010}{SEGMENT_SUFFIX}", start.length.get(), start.marks)
}

/// The place at which the segment of this name begins; `None` if it is no segment's name.
pub(crate) fn start_of(name: &str) -> Option<Place> {
    let (length, marks) = name.strip_suffix(SEGMENT_SUFFIX)?.split_once('-')?;
    let place = Place::new(Order::new(length.parse().ok()?), marks.parse().ok()?);
    (segment_name(place) == name).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_where_its_segment_begins() {
        let place = Place::new(Order::new(42), 7);
        assert_eq!(segment_name(place), "00000000000000000042-0000000007.log");
        assert_eq!(start_of(&segment_name(place)), Some(place));
        for other in ["42-7.log", "00000000000000000042-0000000007.tmp", "spare.tmp", "x.log"] {
            assert_eq!(start_of(other), None, "{other}");
        }
    }
}
