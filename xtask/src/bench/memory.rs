//! Memory that was never used costs several times more at its first use where the machine is a virtual one.

/// Touches `bytes` of memory and gives them back, so that what is measured next finds the machine's memory
/// in use already, whatever ran before it.
pub(super) fn warm(bytes: usize) {
    const PAGE: usize = 4096;
    let mut memory = vec![0u8; bytes];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
}
