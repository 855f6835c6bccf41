//! `node.json`.

use std::path::Path;

use replog_disk::{DataDir, NodeFacts, NodeFile, files::simulated::SimulatedFiles, recorded_end};
use replog_shared::Durability;

use super::opened::root;

const BOOT: &str = "boot";

/// As the file's bytes; and, where they are facts, as the facts of a file whose checksum is right.
pub(crate) fn run(input: &[u8]) {
    opened(input);
    let Ok(facts) = serde_json::from_slice::<NodeFacts>(input) else { return };
    let mut file = serde_json::to_value(&facts).unwrap();
    let text = serde_json::to_vec(&facts).unwrap();
    file["crc32"] = crc32fast::hash(&text).into();
    let read = opened(&serde_json::to_vec(&file).unwrap());
    assert_eq!(read.is_some(), facts.format <= NodeFacts::FORMAT, "a sound file of a known version is read");
    if let Some(read) = read {
        assert_eq!((&read.node, &read.log_id, &read.fence), (&facts.node, &facts.log_id, &facts.fence));
        assert!(!read.whole || facts.whole, "a node became whole by a start");
        file["whole"] = (!facts.whole).into();
        let forged = serde_json::to_vec(&file).unwrap();
        assert!(opened(&forged).is_none(), "facts that are not those of the checksum were believed");
    }
}

/// The facts as they are after a start; none if the file is refused. What is read once is read again.
fn opened(content: &[u8]) -> Option<NodeFacts> {
    let files = SimulatedFiles::new(1);
    let path = root().join("node.json");
    write(&files, &path, content);
    let dir = DataDir::on(files.process(), &root()).unwrap();
    let Ok(end) = recorded_end(&dir) else { return None };
    // Whose it is, it says itself.
    let node = serde_json::from_slice::<serde_json::Value>(content).ok()?["node"].as_str()?.parse().ok()?;
    let mut file =
        NodeFile::open_in_boot(&dir, &node, Durability::Disk, BOOT.into()).expect("it was read before");
    assert_eq!(file.facts().log_end, end);
    file.begin_run(false).unwrap();
    let facts = file.facts().clone();
    assert_eq!(facts.log_end, None, "the log may be written to from now on");
    assert!(!facts.clean_stop, "a start that does not end well is known at the next");
    drop((file, dir));
    files.crash_power();
    let dir = DataDir::on(files.process(), &root()).unwrap();
    let again = NodeFile::open_in_boot(&dir, &node, Durability::Disk, BOOT.into()).unwrap();
    assert_eq!(again.facts(), &facts);
    Some(facts)
}

fn write(files: &SimulatedFiles, path: &Path, content: &[u8]) {
    files.put(path, content);
}
