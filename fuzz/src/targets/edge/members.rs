//! The command line's cutter of answers into messages.

#[path = "../../../../cli/src/elements.rs"]
mod elements;

use elements::Elements;
use serde_json::Value;

use super::twin;

/// The first byte says into which pieces the rest is cut.
pub(crate) fn run(input: &[u8]) {
    let Some((size, answer)) = input.split_first() else { return };
    let whole = members(answer, answer.len().max(1));
    assert_eq!(members(answer, usize::from(*size).max(1)), whole, "it does not matter how an answer is cut");
    // Of an answer as nodes write it, the members are those that a JSON reader finds.
    let Ok(twin::Members(document)) = serde_json::from_slice(answer) else { return };
    let [(name, Value::Array(expected))] = &document[..] else { return };
    if name.contains(['"', '\\', '[']) {
        return;
    }
    let (found, complete) = whole;
    let found: Vec<Value> = found.iter().map(|member| serde_json::from_slice(member).unwrap()).collect();
    assert_eq!((&found, complete), (expected, true));
}

/// The members that are found in an answer that comes in pieces, and whether its end was seen.
fn members(answer: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut elements, mut found) = (Elements::default(), Vec::new());
    for piece in answer.chunks(size) {
        let kept = elements.push(piece, |element| {
            found.push(element.to_vec());
            Ok::<_, std::convert::Infallible>(())
        });
        let Ok(()) = kept;
    }
    (found, elements.is_complete())
}
