//! Whether what cores and drivers state as invariants is asserted after each event.

/// Lists that are longer are not added up after each event: a node under load would do nothing else.
const ADDED_UP: usize = 64;

#[cfg(feature = "mutants")]
thread_local! {
    static ON: std::cell::Cell<bool> = const { std::cell::Cell::new(true) };
}

/// Whether invariants are asserted from now on in this thread. Off while a mistake is made on purpose: it is to be found
/// from outside, by what it does to a log.
#[cfg(feature = "mutants")]
pub fn switch(on: bool) {
    ON.set(on);
}

#[cfg(feature = "mutants")]
pub(crate) fn are_on() -> bool {
    cfg!(debug_assertions) && ON.get()
}

#[cfg(not(feature = "mutants"))]
pub(crate) const fn are_on() -> bool {
    cfg!(debug_assertions)
}

/// Asserts that `bytes` counts these parts, where they are few.
pub(crate) fn assert_sum(whose: &str, bytes: usize, mut parts: impl Iterator<Item = usize>) {
    let sum: usize = parts.by_ref().take(ADDED_UP).sum();
    if parts.next().is_none() {
        assert_eq!(bytes, sum, "the bytes of {whose} are miscounted");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "the bytes of a list are miscounted")]
    fn a_miscounted_list_is_found() {
        super::assert_sum("a list", 3, [1, 1].into_iter());
    }
}
