//! Every act that touches files, with a crash of the process and of the power after each of its file operations: what the
//! node claims then is compared with the bytes that are there. Nothing is drawn.

mod node;
mod truth;

use replog_shared::{
    Durability, Epoch, Incarnation, LogId, Place,
    store::{Cut, LogView},
};

use self::{
    node::{Died, Node, open},
    truth::{Crash, Truth, check},
};
use super::support::{SMALL, flip, place, read_all, root, run, segments};
use crate::{NodeFacts, OpenMode, files::simulated::SimulatedFiles, format::start_of};

const STRICT: OpenMode = OpenMode::Strict;
const MAY_CUT: OpenMode = OpenMode::CutAtDamage;
const DISK: Durability = Durability::Disk;

/// More operations than any act has.
const OPERATIONS_MAX: u64 = 400;

/// Does `act`, each time from the same beginning, with a crash after its first, second, … last file operation. How
/// many it has.
fn at_every_crash_point(
    prepared: &Node,
    before: impl Fn(&mut Node) -> Result<(), Died>,
    act: impl Fn(&mut Node) -> Result<(), Died>,
) -> Result<u64, String> {
    for operations in 1..OPERATIONS_MAX {
        let mut node = Node::over(prepared.files.fork(), prepared.truth.clone());
        before(&mut node).expect("nothing happens before the act");
        let crashes = node.files.crashes();
        node.files.die_after(operations);
        let done = act(&mut node);
        let died = node.files.crashes() > crashes;
        assert!(died || done.is_ok(), "nothing but a crash ends an act");
        let (files, truth) = (node.files.fork(), node.truth.clone());
        for crash in Crash::all(&files) {
            check(&files.fork(), crash, &truth)
                .map_err(|why| format!("{crash:?} after operation {operations}: {why}"))?;
        }
        node.files.crash_process();
        if !died {
            return Ok(operations - 1);
        }
    }
    panic!("the act does not end");
}

fn assert_holds_at_every_crash_point(
    prepared: &Node,
    before: impl Fn(&mut Node) -> Result<(), Died>,
    act: impl Fn(&mut Node) -> Result<(), Died>,
    at_least: u64,
) {
    match at_every_crash_point(prepared, before, act) {
        Ok(points) => assert!(points >= at_least, "{points} crash points are too few to prove anything"),
        Err(broken) => panic!("{broken}"),
    }
}

fn epoch(reign: u32) -> Epoch {
    let owner = "node1".parse().unwrap();
    Epoch { reign, owner, start: 0, incarnation: Incarnation::from_random(7) }
}

fn begin_log(facts: &mut NodeFacts) {
    facts.log_id = Some(LogId::from_random(9));
    facts.fence = Some(epoch(1));
    facts.whole = true;
}

fn empty() -> Node {
    let truth = Truth { ends: [0].into(), within_cut: false, ..Truth::default() };
    Node::over(SimulatedFiles::new(1), truth)
}

/// A node that runs, is whole, and holds some segments; at this level.
fn living(level: Durability) -> Node {
    let mut node = empty();
    node.start(level, STRICT).unwrap();
    node.save(begin_log).unwrap();
    for nth in 0..8 {
        let lines = run(node.log().store.tip(), 1 + nth % 3, 25, nth % 4 == 0);
        node.append(&lines).unwrap();
    }
    assert!(segments(&node.files).len() > 2, "{SMALL:?}");
    node.truth.whole_needs = node.truth.bytes.len();
    node.truth.stays_whole = true;
    node
}

fn stopped() -> Node {
    let mut node = living(DISK);
    node.stop().unwrap();
    node
}

fn killed() -> Node {
    let mut node = living(DISK);
    node.kill();
    node
}

/// It lacks the lines from somewhere in the segment before the last on.
fn damaged(mut node: Node) -> Node {
    let all = segments(&node.files);
    let (path, content) = &all[all.len() - 2];
    let mut lines = content.windows(9).enumerate().filter(|(_, bytes)| bytes == b"{\"order\":");
    let (offset, _) = lines.next_back().unwrap();
    flip(&node.files, path, offset * 8 + 20);
    give_up_what_is_damaged(&mut node);
    node
}

/// Of a damaged log what a start keeps must be there, at whichever operation another one dies.
fn give_up_what_is_damaged(node: &mut Node) {
    let whole = node.truth.bytes.clone();
    let (files, mut again) = (node.files.fork(), node.truth.clone());
    again.is_damaged = true;
    let mut twin = Node::over(files, again);
    twin.start(DISK, MAY_CUT).unwrap();
    let tip = twin.log().store.tip().place;
    assert!(twin.log().report.cut_at_damage.is_some(), "the run is invalid: nothing is damaged");
    let kept = node.truth.bytes_before(tip);
    assert!(kept < whole.len());
    twin.kill();
    let raw: Vec<Vec<u8>> = segments(&node.files).into_iter().map(|(_, content)| content).collect();
    let is_legible =
        |line: &&[u8]| raw.iter().any(|content| content.windows(line.len()).any(|part| part == *line));
    let lines = whole.split_inclusive(|byte| *byte == b'\n').filter(is_legible).map(<[u8]>::to_vec);
    let truth = &mut node.truth;
    truth.kept = lines.collect();
    // Of a run that is damaged the beginning may stay or go.
    let floor = truth.ends.range(..=kept).next_back().copied().unwrap_or(0);
    (truth.is_damaged, truth.stays_whole, truth.within_cut) = (true, false, true);
    (truth.floor, truth.power_floor) = (floor, floor);
}

const fn nothing(_node: &mut Node) -> Result<(), Died> {
    Ok(())
}

fn starts(node: &mut Node) -> Result<(), Died> {
    node.start(DISK, MAY_CUT)
}

#[test]
fn a_first_start() {
    let first = |node: &mut Node| {
        node.start(DISK, STRICT)?;
        node.save(begin_log)?;
        let lines = run(node.log().store.tip(), 0, 0, true);
        node.append(&lines)
    };
    assert_holds_at_every_crash_point(&empty(), nothing, first, 15);
}

#[test]
fn a_start_after_a_stop() {
    assert_holds_at_every_crash_point(&stopped(), nothing, starts, 4);
}

#[test]
fn a_start_after_a_kill() {
    assert_holds_at_every_crash_point(&killed(), nothing, starts, 7);
}

#[test]
fn a_start_after_a_write_that_was_torn() {
    let mut node = living(DISK);
    let lines = run(node.log().store.tip(), 3, 60, false);
    node.truth.stays_whole = true;
    node.append(&lines).unwrap();
    node.kill();
    // The last run was written and not synced: nothing of it was acked.
    let (path, content) = segments(&node.files).pop().unwrap();
    let end = content.iter().rposition(|byte| *byte != 0).unwrap();
    node.files.damage(&path, |content| content[end - 30..].fill(0));
    let before = *node.truth.ends.range(..node.truth.bytes.len()).next_back().unwrap();
    (node.truth.floor, node.truth.power_floor, node.truth.whole_needs) = (before, before, before);
    assert_holds_at_every_crash_point(&node, nothing, starts, 7);
}

#[test]
fn a_start_after_a_segment_was_begun() {
    let mut node = living(DISK);
    node.kill();
    let mut twin = Node::over(node.files.fork(), node.truth.clone());
    starts(&mut twin).unwrap();
    twin.files.die_after(7);
    let lines = run(twin.log().store.tip(), 1, 25, false);
    let _dies = twin.append(&lines);
    twin.kill();
    assert_holds_at_every_crash_point(&twin, nothing, starts, 7);
}

#[test]
fn a_start_over_damage_after_a_stop() {
    assert_holds_at_every_crash_point(&damaged(stopped()), nothing, starts, 15);
}

#[test]
fn a_start_over_damage_after_a_kill() {
    assert_holds_at_every_crash_point(&damaged(killed()), nothing, starts, 15);
}

#[test]
fn a_start_over_a_damaged_header() {
    let mut node = stopped();
    flip(&node.files, &segments(&node.files)[1].0, 20 * 8);
    give_up_what_is_damaged(&mut node);
    assert_holds_at_every_crash_point(&node, nothing, starts, 15);
}

#[test]
fn a_start_over_a_log_that_was_cut_short_after_a_stop() {
    let mut node = stopped();
    let (path, content) = segments(&node.files).pop().unwrap();
    node.files.damage(&path, |now| now.truncate(content.len() - 100));
    give_up_what_is_damaged(&mut node);
    assert_holds_at_every_crash_point(&node, nothing, starts, 7);
}

#[test]
fn a_start_at_a_higher_level() {
    let mut node = living(Durability::Os);
    node.truth.stays_whole = false;
    // What the system has not come to: at this level a machine that goes down takes it.
    node.truth.power_floor = 0;
    node.kill();
    assert_holds_at_every_crash_point(&node, nothing, starts, 7);
}

#[test]
fn appends_that_fill_segments() {
    let act = |node: &mut Node| {
        for nth in 0..8 {
            let lines = run(node.log().store.tip(), 1 + nth % 2, 80, nth == 3);
            node.append(&lines)?;
        }
        Ok(())
    };
    assert_holds_at_every_crash_point(&stopped(), starts, act, 25);
}

#[test]
fn saves() {
    let act = |node: &mut Node| {
        for reign in 2..4 {
            node.save(|facts| facts.fence = Some(epoch(reign)))?;
        }
        Ok(())
    };
    assert_holds_at_every_crash_point(&stopped(), starts, act, 10);
}

#[test]
fn a_stop() {
    let act = |node: &mut Node| {
        let lines = run(node.log().store.tip(), 2, 25, false);
        node.append(&lines)?;
        node.stop()
    };
    assert_holds_at_every_crash_point(&stopped(), starts, act, 12);
}

/// What a node claims was lowered by its core before.
fn cuts(prepared: &Node, place: Place) {
    for cut in [Cut::Drop, Cut::Quarantine] {
        let lowered = |node: &mut Node| {
            starts(node)?;
            node.save(|facts| facts.whole = false)
        };
        assert_holds_at_every_crash_point(prepared, lowered, |node| node.cut(place, cut), 3);
    }
}

#[test]
fn a_cut_of_all() {
    cuts(&stopped(), Place::START);
}

#[test]
fn a_cut_within_the_first_segment() {
    let prepared = stopped();
    cuts(&prepared, prepared.truth.places()[3].0.place);
}

#[test]
fn a_cut_where_a_segment_begins() {
    let prepared = stopped();
    let name = segments(&prepared.files)[1].0.file_name().unwrap().to_string_lossy().into_owned();
    cuts(&prepared, start_of(&name).unwrap());
}

#[test]
fn a_cut_within_the_last_segment() {
    let prepared = stopped();
    let places = prepared.truth.places();
    cuts(&prepared, places[places.len() - 2].0.place);
}

#[test]
fn a_cut_of_marks_alone() {
    let mut node = living(DISK);
    let mark = run(node.log().store.tip(), 0, 0, true);
    node.append(&mark).unwrap();
    node.truth.whole_needs = node.truth.bytes.len();
    node.stop().unwrap();
    let places = node.truth.places();
    cuts(&node, places[places.len() - 2].0.place);
}

#[test]
fn a_clean() {
    let act = |node: &mut Node| {
        node.save(|facts| (facts.whole, facts.cleaning) = (false, Some(epoch(1))))?;
        node.cut(place(0, 0), Cut::Drop)?;
        let lines = run(node.log().store.tip(), 0, 0, true);
        node.append(&lines)?;
        node.save(|facts| (facts.whole, facts.cleaning) = (true, None))
    };
    assert_holds_at_every_crash_point(&stopped(), starts, act, 20);
}

#[test]
fn a_takeover() {
    let act = |node: &mut Node| {
        node.save(|facts| facts.fence = Some(epoch(2)))?;
        node.save(|facts| facts.whole = false)?;
        let fork = node.truth.places()[9].0.place;
        node.cut(fork, Cut::Quarantine)?;
        for _ in 0..3 {
            let fetched = run(node.log().store.tip(), 3, 30, false);
            node.append(&fetched)?;
        }
        let mark = run(node.log().store.tip(), 0, 0, true);
        node.append(&mark)?;
        node.save(|facts| facts.whole = true)
    };
    assert_holds_at_every_crash_point(&stopped(), starts, act, 40);
}

#[test]
fn on_a_full_disk_a_start_without_a_change_succeeds_and_one_with_a_change_changes_nothing() {
    let killed = killed();
    killed.files.fill_up(0);
    let opened = open(&killed.files, DISK, STRICT, "next boot").unwrap();
    assert_eq!(read_all(&opened.node.store, usize::MAX), killed.truth.bytes);
    assert_eq!(opened.node.file.facts(), &opened.found);

    let stopped = stopped();
    stopped.files.fill_up(0);
    let before = stopped.files.content(&root());
    let refused = open(&stopped.files, DISK, STRICT, "next boot").err();
    assert_eq!(refused.as_deref(), Some("could not write /data/node.json.tmp: no storage space"));
    assert_eq!(stopped.files.content(&root()), before);
}

/// The checks can fail: acts whose claims are lowered too late, raised too early, or not at all.
#[test]
fn acts_in_the_wrong_order_are_found() {
    let lowered_late = |node: &mut Node| {
        node.cut(place(3, 1), Cut::Drop)?;
        node.save(|facts| facts.whole = false)
    };
    let noted_early = |node: &mut Node| {
        let end = crate::LogEnd::from(node.log().store.tip());
        node.save(|facts| facts.log_end = Some(end))?;
        let lines = run(node.log().store.tip(), 1, 25, false);
        node.append(&lines)
    };
    let nothing_kept = |node: &mut Node| {
        node.save(|facts| facts.whole = false)?;
        let bytes = node.truth.bytes.clone();
        node.cut(place(3, 1), Cut::Drop)?;
        node.truth.kept = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        Ok(())
    };
    for (why, found) in [
        ("it says it is whole", at_every_crash_point(&stopped(), starts, lowered_late)),
        ("where another log ended", at_every_crash_point(&stopped(), starts, noted_early)),
        ("neither in the log nor in the quarantine", at_every_crash_point(&stopped(), starts, nothing_kept)),
    ] {
        let found = found.expect_err("the checks are blind");
        assert!(found.contains(why), "{found}");
    }
}
