//! Where a log ended when it was closed, and whether it still does.

use replog_shared::{Digest, Place, lines::Tip};
use serde::{Deserialize, Serialize};

/// The end of a log that was closed: from then on nothing was written to it, so nothing of it can be torn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// How far it reached.
    #[serde(flatten)]
    pub place: Place,
    /// Its digest there.
    pub digest: Digest,
}

impl From<&Tip> for LogEnd {
    fn from(tip: &Tip) -> LogEnd {
        LogEnd { place: tip.place, digest: tip.digest }
    }
}

impl LogEnd {
    /// What is wrong with a log that was closed here and is sound up to `found`; none if nothing is missing.
    /// What stands behind its last line, where nothing was written, is nothing.
    pub(super) fn contradicts(&self, found: LogEnd) -> Option<String> {
        let (was, is) = (self.place, found.place);
        if is.length < was.length || is.marks < was.marks {
            return Some(format!(
                "the log ends here, behind {} entries and {} marks; when its node was stopped it had {} and {}",
                is.length, is.marks, was.length, was.marks
            ));
        }
        (is == was && found.digest != self.digest)
            .then(|| "the log that ends here is another one than when its node was stopped".to_owned())
    }
}
