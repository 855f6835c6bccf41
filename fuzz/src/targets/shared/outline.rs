//! Outlines: where two logs part, whatever is told of them.

use replog_shared::{Order, Outline, Place, outline::fork};

/// Two outlines, a line each.
pub(crate) fn run(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut next = || serde_json::from_slice::<Outline>(lines.next().unwrap_or_default()).ok();
    let (Some(mine), Some(theirs)) = (next(), next()) else { return };
    for outline in [&mine, &theirs] {
        let written = serde_json::to_vec(outline).unwrap();
        assert_eq!(serde_json::from_slice::<Outline>(&written).unwrap(), *outline);
        assert_eq!(outline.end().length, outline.length);
        let places = [Place::START, outline.end(), Place::new(Order::new(u64::MAX), u32::MAX)];
        places.iter().for_each(|place| _ = outline.holds_nothing_behind(*place));
    }
    let found = fork(&mine, &theirs);
    assert_eq!(found, fork(&theirs, &mine), "it does not matter who asks");
    if let Some(place) = found {
        let fewest = mine.end().marks.min(theirs.end().marks);
        assert!(place.marks <= fewest, "{place:?} is behind the end of one of them");
    }
}
