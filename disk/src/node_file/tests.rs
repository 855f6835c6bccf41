use replog_shared::{Digest, Incarnation, Order, Place};

use super::*;
use crate::files::simulated::SimulatedFiles;

const ROOT: &str = "/data";

fn dir(files: &SimulatedFiles) -> DataDir {
    DataDir::on(files.process(), Path::new(ROOT)).unwrap()
}

fn read_in(dir: &DataDir, level: Durability, boot: &str) -> Result<NodeFile, NodeFileError> {
    NodeFile::open_in_boot(dir, &"secondary1".parse().unwrap(), level, boot.to_owned())
}

/// A run begins, and its log is opened without a loss.
fn open(dir: &DataDir, level: Durability, boot: &str) -> Result<NodeFile, NodeFileError> {
    let mut file = read_in(dir, level, boot)?;
    file.begin_run(false)?;
    file.on_log_open()?;
    Ok(file)
}

fn fence(reign: u32) -> Epoch {
    Epoch { reign, owner: "m".parse().unwrap(), start: 0, incarnation: Incarnation::from_random(7) }
}

fn become_whole(file: &mut NodeFile) {
    let log_id = Some(LogId::from_random(9));
    file.update(|facts| (facts.log_id, facts.fence, facts.whole) = (log_id, Some(fence(1)), true)).unwrap();
}

#[test]
fn a_fact_is_on_the_disk_when_update_returns() {
    for seed in 0..200 {
        let files = SimulatedFiles::new(seed);
        let data = dir(&files);
        let mut file = open(&data, Durability::Memory, "boot").unwrap();
        become_whole(&mut file);
        let before = file.facts().clone();
        for reign in 2..5 {
            file.update(|facts| facts.fence = Some(fence(reign))).unwrap();
        }
        drop((file, data));
        files.crash_power();
        let file = open(&dir(&files), Durability::Disk, "boot").unwrap();
        assert_eq!(file.facts().fence, Some(fence(4)));
        assert_eq!((file.facts().log_id, file.facts().whole), (before.log_id, true));
    }
}

#[test]
fn an_update_that_fails_leaves_the_old_facts() {
    for seed in 0..200 {
        let files = SimulatedFiles::new(seed);
        let data = dir(&files);
        let mut file = open(&data, Durability::Disk, "boot").unwrap();
        become_whole(&mut file);
        files.fail_syncs(1, ".tmp");
        assert!(file.update(|facts| facts.fence = Some(fence(2))).is_err());
        assert_eq!(file.facts().fence, Some(fence(1)), "what failed was not promised");
        drop((file, data));
        files.crash_power();
        let file = open(&dir(&files), Durability::Disk, "boot").unwrap();
        assert_eq!(file.facts().fence, Some(fence(1)), "a file that was not synced never takes the name");
    }
}

#[test]
fn another_nodes_directory_is_refused_in_words() {
    let files = SimulatedFiles::new(1);
    let data = dir(&files);
    drop(open(&data, Durability::Disk, "boot").unwrap());
    let other = NodeFile::open(&data, &"secondary2".parse().unwrap(), Durability::Disk).unwrap_err();
    assert_eq!(
        other.to_string(),
        "/data/node.json belongs to node secondary1, and this node is called secondary2"
    );
}

#[test]
fn below_disk_another_boot_without_a_clean_stop_costs_the_tail() {
    use Durability::{Disk, Os};
    // The level of the run before, the boot of the next one, whether it was closed; is it whole?
    let cases = [
        (Os, "other", false, false),
        (Os, "other", true, true),
        (Os, "boot", false, true),
        (Disk, "other", false, true),
        (Os, "", false, false),
    ];
    for (level, boot, closed, whole) in cases {
        let files = SimulatedFiles::new(1);
        let data = dir(&files);
        let mut file = open(&data, level, if boot.is_empty() { "" } else { "boot" }).unwrap();
        become_whole(&mut file);
        if closed {
            file.close(LogEnd::default()).unwrap();
        } else {
            drop(file);
        }
        let file = open(&data, Disk, boot).unwrap();
        let found = (file.facts().whole, file.tail_may_be_missing());
        assert_eq!(found, (whole, !whole), "{level} {boot:?} {closed}");
    }
}

#[test]
fn a_flipped_bit_is_never_a_fact() {
    let files = SimulatedFiles::new(1);
    let data = dir(&files);
    let mut file = open(&data, Durability::Disk, "boot").unwrap();
    become_whole(&mut file);
    file.close(LogEnd::default()).unwrap();
    let path = Path::new(ROOT).join("node.json");
    let content = files.content(Path::new(ROOT))[&path].clone();
    let facts = read(&data).unwrap();
    for bit in 0..content.len() * 8 {
        files.damage(&path, |content| content[bit / 8] ^= 1 << (bit % 8));
        // White space is no fact: it may be any.
        if let Ok(found) = read(&data) {
            assert_eq!(found, facts, "bit {bit}");
        }
        files.damage(&path, |now| now.clone_from(&content));
    }
}

#[test]
fn where_a_log_ended_is_told_until_it_is_open_for_writing() {
    let files = SimulatedFiles::new(1);
    let data = dir(&files);
    let end = LogEnd { place: Place::new(Order::new(7), 2), digest: Digest::EMPTY.extend(b"line") };
    open(&data, Durability::Disk, "boot").unwrap().close(end).unwrap();
    assert_eq!(recorded_end(&data).unwrap(), Some(end));
    // A start that refuses the log as damaged leaves it as it is: the next one must refuse it, too.
    for _ in 0..2 {
        assert_eq!(read_in(&data, Durability::Disk, "boot").unwrap().facts().log_end, Some(end));
    }
    let mut file = open(&data, Durability::Disk, "boot").unwrap();
    become_whole(&mut file);
    drop((file, data));
    files.crash_power();
    let file = open(&dir(&files), Durability::Disk, "boot").unwrap();
    assert_eq!((file.facts().log_end, file.facts().whole), (None, true));
}

#[test]
fn a_log_that_is_about_to_be_cut_at_damage_is_not_whole() {
    let files = SimulatedFiles::new(1);
    let data = dir(&files);
    become_whole(&mut open(&data, Durability::Disk, "boot").unwrap());
    read_in(&data, Durability::Disk, "boot").unwrap().begin_run(true).unwrap();
    drop(data);
    files.crash_power();
    assert!(!open(&dir(&files), Durability::Disk, "boot").unwrap().facts().whole);
}

#[test]
fn a_run_that_dies_before_its_log_is_open_claims_no_higher_level_than_the_one_before() {
    use Durability::{Disk, Os};
    let files = SimulatedFiles::new(1);
    let data = dir(&files);
    become_whole(&mut open(&data, Os, "boot").unwrap());
    // In the same boot nothing is lost, and nothing is on the disk either before the log is open.
    read_in(&data, Disk, "boot").unwrap().begin_run(false).unwrap();
    assert!(read_in(&data, Disk, "other").unwrap().tail_may_be_missing());
    open(&data, Disk, "boot").unwrap();
    assert!(!read_in(&data, Disk, "other").unwrap().tail_may_be_missing());
}

#[test]
fn on_a_full_disk_what_does_not_change_needs_no_room() {
    let files = SimulatedFiles::new(1);
    let data = dir(&files);
    let mut file = open(&data, Durability::Disk, "boot").unwrap();
    become_whole(&mut file);
    drop(file);
    let before = files.content(Path::new(ROOT));
    files.fill_up(0);
    let mut file = read_in(&data, Durability::Disk, "other").unwrap();
    let full = file.update(|facts| facts.fence = Some(fence(2))).unwrap_err();
    assert_eq!(full.to_string(), "could not write /data/node.json.tmp: no storage space");
    assert_eq!(files.content(Path::new(ROOT)), before);
    file.begin_run(false).unwrap();
    assert_eq!(files.content(Path::new(ROOT)), before);
    drop((file, data));
    files.crash_power();
    assert!(open(&dir(&files), Durability::Disk, "boot").unwrap().facts().whole);
}

#[test]
fn a_file_of_version_1_reads_back_and_is_written_anew() {
    let files = SimulatedFiles::new(1);
    let data = dir(&files);
    let old = r#"{"format":1,"node":"secondary1","log_id":null,"fence":null,"whole":true,"durability":"disk","boot_id":"boot","clean_stop":true,"crc32":214751730}"#;
    files.put(&path_in(&data), old.as_bytes());
    let file = open(&data, Durability::Disk, "boot").unwrap();
    assert_eq!(
        (file.facts().whole, file.facts().log_end, file.facts().format),
        (true, None, NodeFacts::FORMAT)
    );
}

#[test]
fn a_file_of_version_2_reads_back_and_is_written_anew() {
    let files = SimulatedFiles::new(1);
    let data = dir(&files);
    let old = r#"{"format":2,"node":"secondary1","log_id":null,"fence":null,"whole":true,"durability":"disk","boot_id":"boot","clean_stop":true,"log_end":{"length":0,"marks":0,"digest":"0000000000000000"},"crc32":2186047592}"#;
    files.put(&path_in(&data), old.as_bytes());
    let mut file = read_in(&data, Durability::Disk, "boot").unwrap();
    assert_eq!(file.facts().log_end, Some(LogEnd::default()));
    file.begin_run(false).unwrap();
    assert_eq!(
        (file.facts().whole, file.facts().cleaning.clone(), file.facts().format),
        (true, None, NodeFacts::FORMAT)
    );
}

#[test]
fn a_clean_under_way_is_on_the_disk_when_update_returns() {
    let files = SimulatedFiles::new(1);
    let data = dir(&files);
    let mut file = open(&data, Durability::Disk, "boot").unwrap();
    become_whole(&mut file);
    file.update(|facts| facts.cleaning = Some(fence(1))).unwrap();
    drop((file, data));
    files.crash_power();
    let data = dir(&files);
    let mut file = open(&data, Durability::Disk, "boot").unwrap();
    assert_eq!(file.facts().cleaning, Some(fence(1)));
    file.update(|facts| facts.cleaning = None).unwrap();
    drop((file, data));
    files.crash_power();
    assert_eq!(open(&dir(&files), Durability::Disk, "boot").unwrap().facts().cleaning, None);
}
