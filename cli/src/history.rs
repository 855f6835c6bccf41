//! What was printed, so that what is printed next belongs to it.

use http::HeaderMap;
use replog_shared::entry::EntryLine;

use crate::failure::Failure;

/// How far one log was printed.
///
/// The bug this prevents: a log that is emptied while nobody is connected. The order that comes next stands for an
/// entry of another history then, and nothing in it says so. Therefore the last entry is asked for once more: it must
/// be the very same.
pub(crate) struct History {
    /// The order to begin with.
    from: u64,
    /// The line of the last entry that was printed, and its order.
    last: Option<(u64, String)>,
    /// The epoch of the last answer and the node that opened it.
    epoch: Option<(String, String)>,
}

impl History {
    /// Nothing was printed yet; the first entry will be `from`.
    pub(crate) fn from(from: u64) -> History {
        History { from, last: None, epoch: None }
    }

    /// The order that comes next.
    pub(crate) fn next_order(&self) -> u64 {
        self.last.as_ref().map_or(self.from, |(order, _)| order + 1)
    }

    /// The line of the last entry that was printed before.
    ///
    /// # Errors
    /// It is no entry.
    pub(crate) fn behind(line: String) -> Result<History, Failure> {
        let entry = EntryLine::parse(line.as_bytes())
            .map_err(|error| Failure::Usage(format!("the last line of the file is {error}")))?;
        let order = entry.order.get();
        Ok(History { from: order, last: Some((order, line)), epoch: None })
    }

    /// Nothing was printed yet, so that nothing has to be the same.
    pub(crate) fn is_new(&self) -> bool {
        self.last.is_none()
    }

    /// What to ask for to get the rest of the log, and the last entry once more.
    pub(crate) fn full_messages(&self) -> String {
        format!("/full_messages?from={}", self.last.as_ref().map_or(self.from, |(order, _)| *order))
    }

    /// What to ask for: a path, and the last order that need not be sent.
    pub(crate) fn resume(&self) -> (String, Option<u64>) {
        let from = self.last.as_ref().map_or(self.from, |(order, _)| *order);
        let seen = self.last.as_ref().and_then(|(order, _)| order.checked_sub(1));
        (format!("/tail?from={from}"), seen)
    }

    /// Another answer begins, in the epoch that its headers name.
    ///
    /// # Errors
    /// The epoch has the number of the one before and another owner: two nodes were promoted on two sides of a cut,
    /// and what was printed is the other one's history.
    pub(crate) fn enter(&mut self, headers: &HeaderMap) -> Result<(), Failure> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (Some(epoch), Some(owner)) = (text("replog-epoch"), text("replog-epoch-owner")) else {
            return Ok(());
        };
        let other_owner = |(known, by): &(String, String)| *known == epoch && *by != owner;
        if !self.is_new() && self.epoch.as_ref().is_some_and(other_owner) {
            return Err(self.cut());
        }
        self.epoch = Some((epoch, owner));
        Ok(())
    }

    /// Takes the next entry's line. None: it was printed already.
    ///
    /// # Errors
    /// It is not what comes next.
    pub(crate) fn admit<'a>(&mut self, line: &'a str) -> Result<Option<EntryLine<'a>>, Failure> {
        let entry = EntryLine::parse(line.as_bytes())
            .map_err(|error| Failure::Unknown(format!("an entry that is none: {error}")))?;
        let order = entry.order.get();
        match &self.last {
            Some((last, printed)) if order == *last => {
                return if printed == line { Ok(None) } else { Err(self.cut()) };
            }
            _ if order == self.next_order() => {}
            _ => {
                let expected = self.next_order();
                return Err(Failure::Unknown(format!("order {order} came where {expected} was expected")));
            }
        }
        self.last = Some((order, line.to_owned()));
        Ok(Some(entry))
    }

    /// The node does not show the last entry that was printed.
    pub(crate) fn missing(&self) -> Failure {
        let before = self.next_order();
        Failure::Bad(format!(
            "the node does not show the entry before order {before}: it is behind, or its log was emptied or cut by a promotion"
        ))
    }

    /// The log was cut.
    pub(crate) fn cut(&self) -> Failure {
        Failure::Bad(format!(
            "the log was emptied, or cut by a promotion, while it was followed, before order {}; what it holds now is another history: follow it anew",
            self.next_order()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(order: u64, epoch: &str, message: u64) -> String {
        format!("{{\"order\":{order},\"epoch\":\"{epoch}\",\"id\":\"i\",\"message\":{message}}}")
    }

    #[test]
    fn a_reconnection_goes_on_behind_the_last_entry() {
        let mut history = History::from(7);
        assert_eq!(history.resume(), ("/tail?from=7".to_owned(), None));
        assert!(history.admit(&line(7, "1.0", 1)).unwrap().is_some());
        assert_eq!(history.resume(), ("/tail?from=7".to_owned(), Some(6)));
        assert!(history.admit(&line(7, "1.0", 1)).unwrap().is_none(), "it was printed before");
        assert!(history.admit(&line(8, "1.0", 2)).unwrap().is_some());
        assert_eq!(history.next_order(), 9);
    }

    #[test]
    fn another_entry_at_the_same_order_is_another_history() {
        let mut history = History::from(7);
        history.admit(&line(7, "1.0", 1)).unwrap();
        for other in [line(7, "1.1", 1), line(7, "1.0", 2)] {
            assert!(matches!(history.admit(&other), Err(Failure::Bad(_))), "{other}");
        }
    }

    #[test]
    fn one_number_of_two_owners_is_two_histories() {
        let headers = |epoch: &str, owner: &str| {
            let pairs = [("replog-epoch", epoch), ("replog-epoch-owner", owner)];
            HeaderMap::from_iter(pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())))
        };
        let mut history = History::from(7);
        history.enter(&headers("2.0", "s1")).unwrap();
        history.enter(&headers("2.0", "s2")).unwrap();
        history.admit(&line(7, "2.0", 1)).unwrap();
        history.enter(&headers("2.0", "s2")).unwrap();
        assert!(matches!(history.enter(&headers("2.0", "s1")), Err(Failure::Bad(_))));
        history.enter(&headers("3.0", "s1")).unwrap();
        history.enter(&HeaderMap::new()).unwrap();
    }

    #[test]
    fn a_hole_is_no_history() {
        let mut history = History::from(7);
        assert!(history.admit(&line(8, "1.0", 1)).is_err());
        assert!(history.admit("{}").is_err());
    }
}
