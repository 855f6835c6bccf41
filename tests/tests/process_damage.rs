//! Any region of a stopped node's directory is damaged, one after the other: no wrong entry is ever shown, a secondary
//! has the whole log again, a master names the place and refuses.

use std::{
    fmt, fs,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use replog_tests::harness::{
    Cluster, Entry, Node, Options, SOON,
    disk::{FRAME_HEADER_BYTES, HEADER_BYTES, Segment, Snapshot, flip, segments, truncate},
    eventually, wait_until,
};
use serde_json::json;

/// Entries in each of the two segments of a log.
const ENTRIES: u64 = 12;

/// So that a node that was killed is missed, and its name free again, within a tenth of a second.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(25);

/// A start of a secondary takes longer than one of a master that refuses: of so many bytes, one is flipped there.
const SECONDARYS_STRIDE: usize = 3;

/// What is done to a file.
#[derive(Clone, Debug)]
enum Injury {
    /// One bit of this byte flips.
    Flip(usize),
    /// Only so many bytes are left.
    Truncate(usize),
    /// It holds nothing but this.
    Junk(&'static str),
    /// It is gone.
    Remove,
}

/// What a master does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It refuses to start, and says that the file is damaged from this byte on.
    Damaged(usize),
    /// It refuses to start, and says that the segment behind the file does not continue it.
    NotContinued,
    /// It refuses to start, and names this file.
    Refused,
    /// It cuts the end off and says so. So many entries are left.
    Torn(usize),
    /// It shows so many entries. Nothing tells that there were more, if there were.
    Unnoticed(usize),
}

/// One row of the table.
#[derive(Clone, Debug)]
struct Case {
    file: PathBuf,
    injury: Injury,
    fate: Fate,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}, fate {:?}", self.injury, self.file.display(), self.fate)
    }
}

impl Case {
    fn injure(&self) {
        match self.injury {
            Injury::Flip(at) => flip(&self.file, at),
            Injury::Truncate(length) => truncate(&self.file, length),
            Injury::Remove => fs::remove_file(&self.file).expect("the file is there"),
            Injury::Junk(text) => {
                fs::create_dir_all(self.file.parent().expect("a file is in a folder"))
                    .expect("a folder can be made");
                fs::write(&self.file, text).expect("a file can be written");
            }
        }
    }
}

/// All entries of a log of two segments.
const ALL: usize = 2 * ENTRIES as usize;

/// Bytes of a segment that differ in what they are for.
fn places(segment: &Segment) -> Vec<usize> {
    let header = [0, 8, 12, 16, 24, 32, 45, HEADER_BYTES - 4];
    let frame = |nth: usize| {
        let frame = segment.frames[nth].clone();
        [0, 4, 7, 8, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + 30]
            .into_iter()
            .map(move |at| frame.start + at)
            .chain([frame.end - 1])
    };
    let record = |nth: usize| [0, 4, 8, 16, 24, 31].map(|at| segment.records[nth].start + at);
    let frames = [0, segment.frames.len() / 2, segment.frames.len() - 1];
    let records = [0, segment.records.len() - 1];
    let zeros = [segment.last_frame().end + 100, segment.bytes.len() - 1];
    let zeros = zeros.into_iter().filter(|at| *at < segment.bytes.len() && segment.part_at(*at).is_none());
    header
        .into_iter()
        .chain(frames.into_iter().flat_map(frame))
        .chain(records.into_iter().flat_map(record))
        .chain(zeros)
        .collect()
}

/// Where a segment is cut short: in its header, behind it, within and between lines.
fn lengths(segment: &Segment) -> Vec<usize> {
    let (middle, last) = (segment.frames[segment.frames.len() / 2].clone(), segment.last_frame());
    let end = segment.closing_record().map_or(last.end, |record| record.end);
    vec![
        0,
        32,
        HEADER_BYTES,
        middle.start,
        middle.start + 5,
        middle.end - 1,
        last.end - 1,
        last.end,
        end - 1,
        end,
    ]
}

/// What bytes of a closed segment that are not sound mean: there were more, as the next segment continues them.
fn fate_in_closed(segment: &Segment, at: usize) -> Fate {
    match segment.part_at(at) {
        Some(part) if part < segment.last_frame().end => Fate::Damaged(part),
        _ => Fate::Unnoticed(ALL),
    }
}

/// What is left of a closed segment that is cut short there.
fn fate_of_cut_in_closed(segment: &Segment, length: usize) -> Fate {
    let is_between_lines = segment.part_at(length) == Some(length) && length < segment.last_frame().end;
    if is_between_lines && length > 0 { Fate::NotContinued } else { fate_in_closed(segment, length) }
}

/// What a flipped bit of the last segment means: what stands before its last record had been on the disk.
fn fate_of_flip_in_last(segment: &Segment, at: usize) -> Fate {
    match segment.part_at(at) {
        Some(part) if part < segment.last_frame().end => Fate::Damaged(part),
        _ => Fate::Torn(ALL),
    }
}

/// What is left of the last segment if it is cut short there. With its end, the record is gone that tells of it.
fn fate_of_cut_in_last(segment: &Segment, length: usize) -> Fate {
    let is_entry =
        |frame: &Range<usize>| segment.bytes[frame.start + FRAME_HEADER_BYTES..].starts_with(b"{\"order\"");
    let lost = segment.frames.iter().filter(|frame| frame.end > length && is_entry(frame)).count();
    match segment.part_at(length) {
        _ if length < HEADER_BYTES => Fate::Damaged(0),
        Some(part) if part < length => Fate::Torn(ALL - lost),
        _ => Fate::Unnoticed(ALL - lost),
    }
}

/// Every region of the directory.
fn table(directory: &Path, stride: usize) -> Vec<Case> {
    let segments: Vec<Segment> = segments(directory).into_iter().map(Segment::read).collect();
    let [closed, last] = &segments[..] else { panic!("the log has {} segments, not two", segments.len()) };
    let case = |file: &Path, injury, fate| Case { file: file.to_owned(), injury, fate };
    let mut cases = Vec::new();
    for at in places(closed).into_iter().step_by(stride) {
        cases.push(case(&closed.path, Injury::Flip(at), fate_in_closed(closed, at)));
    }
    for at in places(last).into_iter().step_by(stride) {
        cases.push(case(&last.path, Injury::Flip(at), fate_of_flip_in_last(last, at)));
    }
    for length in lengths(closed) {
        cases.push(case(&closed.path, Injury::Truncate(length), fate_of_cut_in_closed(closed, length)));
    }
    for length in lengths(last) {
        cases.push(case(&last.path, Injury::Truncate(length), fate_of_cut_in_last(last, length)));
    }
    let node = directory.join("node.json");
    let length = fs::read(&node).expect("node.json can be read").len();
    for at in [0, 20, length / 2, length - 12] {
        cases.push(case(&node, Injury::Flip(at), Fate::Refused));
    }
    let beyond = directory.join("log/00000000000000000999-0000000001.log");
    cases.extend([
        case(&node, Injury::Truncate(0), Fate::Refused),
        case(&node, Injury::Truncate(length / 2), Fate::Refused),
        case(&node, Injury::Remove, Fate::Refused),
        case(&directory.join("lock"), Injury::Junk("1"), Fate::Unnoticed(ALL)),
        case(&directory.join("node.json.tmp"), Injury::Junk("{"), Fate::Unnoticed(ALL)),
        case(&directory.join("log/spare-1.tmp"), Injury::Junk("replog"), Fate::Unnoticed(ALL)),
        case(&directory.join("quarantine/0-junk"), Injury::Junk("junk"), Fate::Unnoticed(ALL)),
        case(&beyond, Injury::Junk("replog"), Fate::Damaged(0)),
        case(&last.path, Injury::Remove, Fate::Unnoticed(ENTRIES as usize)),
    ]);
    cases
}

/// Writes a log of two segments, and kills the node: zeros stand behind the second one's lines.
async fn killed_with_two_segments(cluster: &mut Cluster, w: u64, node: impl Fn(&mut Cluster) -> &mut Node) {
    for id in 0..2 * ENTRIES {
        if id == ENTRIES {
            node(cluster).process.stop().await;
            node(cluster).start().await;
        }
        let message = format!("m{id} {}", "x".repeat(id as usize * 7));
        let body = json!({"message": message, "id": format!("id{id}"), "w": w});
        assert_eq!(cluster.client().append(body).await.expect_ok(w as usize).order(), id);
    }
    let name = node(cluster).name.clone();
    let directory = cluster.directory(&name);
    wait_until("a record says that the last line is synced", SOON, async || {
        let last = segments(&directory).pop().map(Segment::read);
        last.is_some_and(|last| last.closing_record().is_some())
    })
    .await;
    node(cluster).process.kill();
}

/// Checks that a node shows the beginning of the log and nothing else.
fn assert_prefix(case: &Case, shown: &[Entry], log: &[Entry]) {
    assert_eq!(log.get(..shown.len()), Some(shown), "{case}: wrong entries are shown");
}

#[tokio::test]
async fn a_master_with_any_byte_damaged_names_the_place_or_cuts_what_was_torn() {
    let options = Options { secondaries: 0, ..Options::on_disk() };
    let mut cluster = Cluster::start(options).await;
    killed_with_two_segments(&mut cluster, 1, |cluster| &mut cluster.master).await;
    let directory = cluster.directory("master");
    let snapshot = Snapshot::of(directory.clone());
    cluster.master.start().await;
    let log = cluster.client().entries().await.expect("the master shows its log");
    cluster.master.process.kill();
    assert_eq!(log.len(), ALL);
    snapshot.restore();
    for case in table(&directory, 1) {
        case.injure();
        let said = cluster.master.process.log().len();
        cluster.master.process.start();
        match case.fate {
            Fate::Damaged(_) | Fate::NotContinued | Fate::Refused => {
                cluster.master.process.gives_up(SOON).await;
            }
            Fate::Torn(left) | Fate::Unnoticed(left) => {
                let client = cluster.client();
                wait_until(&format!("the master leads: {case}"), SOON, async || client.is_ready().await)
                    .await;
                let shown = client.entries().await.expect("the master shows its log");
                assert_prefix(&case, &shown, &log);
                assert_eq!(shown.len(), left, "{case}");
                cluster.master.process.kill();
            }
        }
        let log = cluster.master.process.log().split_off(said);
        let words = match case.fate {
            Fate::Damaged(at) => format!("{} is damaged at byte {at}:", case.file.display()),
            Fate::NotContinued => "is damaged at byte 0: it does not continue the log before it".to_owned(),
            Fate::Torn(_) => "cut off the torn end".to_owned(),
            Fate::Refused => case.file.file_name().expect("it is a file").to_string_lossy().into_owned(),
            Fate::Unnoticed(_) => String::new(),
        };
        assert!(log.contains(&words), "{case}: {words} is not in {log}");
        snapshot.restore();
    }
}

#[tokio::test]
async fn a_secondary_with_any_byte_damaged_shows_nothing_wrong_and_has_the_whole_log_again() {
    let options = Options { secondaries: 1, heartbeat_interval: HEARTBEAT_INTERVAL, ..Options::on_disk() };
    let mut cluster = Cluster::start(options).await;
    killed_with_two_segments(&mut cluster, 2, |cluster| cluster.secondary(1)).await;
    let log = cluster.client().entries().await.expect("the master shows its log");
    assert_eq!(log.len(), ALL);
    let directory = cluster.directory("secondary1");
    let snapshot = Snapshot::of(directory.clone());
    for case in table(&directory, SECONDARYS_STRIDE) {
        case.injure();
        let said = cluster.secondary(1).process.log().len();
        cluster.secondary(1).process.start();
        if case.fate == Fate::Refused {
            cluster.secondary(1).process.gives_up(SOON).await;
            let log = cluster.secondary(1).process.log().split_off(said);
            assert!(log.contains("node.json"), "{case}: {log}");
            let advice = "then start this node as before: it fetches everything anew";
            assert_eq!(log.contains("is damaged"), log.contains(advice), "{case}: {log}");
        } else {
            let client = cluster.reader(1);
            eventually(&format!("the secondary has the whole log: {case}"), SOON, async || {
                let shown = client.entries().await?;
                assert_prefix(&case, &shown, &log);
                (shown.len() == log.len()).then_some(())
            })
            .await;
            cluster.secondary(1).process.kill();
            let said = cluster.secondary(1).process.log().split_off(said);
            let is_damage = matches!(case.fate, Fate::Damaged(_) | Fate::NotContinued);
            assert_eq!(said.contains("went into quarantine"), is_damage, "{case}: {said}");
        }
        snapshot.restore();
    }
}

#[tokio::test]
async fn what_a_master_with_a_damaged_log_says_to_do_brings_it_back_whole() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..20, 3).await;
    cluster.master.process.stop().await;
    let directory = cluster.directory("master");
    flip(&segments(&directory)[0], 1_000);
    cluster.master.process.start();
    cluster.master.process.gives_up(SOON).await;
    let log = cluster.master.process.log();
    let command = format!("`mv {0} {0}.damaged`", directory.display());
    assert!(log.contains(&command), "{log}");
    fs::rename(&directory, directory.with_extension("damaged")).expect("a directory can be renamed");
    cluster.master.start().await;
    cluster.client().append_range(20..21, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 21);
}
