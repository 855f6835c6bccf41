//! Ids for messages whose clients give none.

use replog_shared::MessageId;
use uuid::Uuid;

/// An id that nobody else has: a UUID of version 7, so that ids sort by the time they were made.
pub fn generate() -> MessageId {
    Uuid::now_v7().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let ids: Vec<MessageId> = (0..1_000).map(|_| generate()).collect();
        assert!(ids.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()));
        assert_eq!(ids[0].as_str().len(), 36);
    }
}
