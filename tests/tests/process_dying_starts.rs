//! Starts that die between two of their steps, killed by an error of a system call: what the node claims then is what
//! it holds.

use std::path::{Path, PathBuf};

use replog_tests::harness::{
    Cluster, Options, SOON,
    disk::{Segment, flip, node_json, quarantine, segments},
    strace::{Fate, Fault, inject},
    wait_until,
};

/// Renames of a start over a damaged log: node.json, the copy in quarantine, the segment that stays in part.
const RENAMES: usize = 3;

/// Bytes of all segments.
fn log_bytes(directory: &Path) -> Vec<Vec<u8>> {
    let content = |path: &PathBuf| std::fs::read(path).expect("a segment can be read");
    segments(directory).iter().map(content).collect()
}

#[tokio::test]
async fn a_start_that_dies_within_the_repair_of_its_log_is_whole_no_more() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    let directory = cluster.directory("secondary1");
    for nth in 1..=RENAMES {
        for entry in 0..20 {
            client.write(&format!("entry {entry} before {nth}"), 3).await;
        }
        wait_until("the secondary is whole", SOON, async || node_json(&directory)["whole"] == true).await;
        cluster.secondary(1).process.stop().await;
        let segment = Segment::read(segments(&directory).pop().expect("the log has a segment"));
        let middle = segment.frames[segment.frames.len() / 2].start;
        flip(&segment.path, middle + 20);
        let before = log_bytes(&directory);

        let fault = Fault { calls: "rename", fate: Fate::Error("EIO"), nth };
        let process = &mut cluster.secondary(1).process;
        let faults = inject(process, fault);
        process.start();
        process.gives_up(SOON).await;
        faults.end(process);
        let claims = node_json(&directory)["whole"] == true;
        assert_eq!(claims, nth == 1, "rename {nth}: it claims what its repair is about to make false");
        assert!(
            !claims || log_bytes(&directory) == before,
            "rename {nth}: a log that is claimed was changed"
        );

        cluster.secondary(1).start().await;
        assert!(quarantine(&directory).contains("\"order\""), "what is damaged is kept as it was");
        client.write(&format!("after {nth}"), 3).await;
    }
}
