//! What must be true of a node, whatever it dies of.

use std::{collections::BTreeSet, path::PathBuf};

use replog_shared::{Durability, Epoch, Lines, Place, lines::Tip, store::LogView};

use super::node::{Opened, open};
use crate::{
    NodeFacts, OpenMode,
    files::simulated::{Contents, PowerLoss, SimulatedFiles},
    tests::support::{read_all, root},
};

/// What a node said and did, as far as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// The longest log that may be there.
    pub(super) bytes: Vec<u8>,
    /// So many bytes of it are there after the process died; and after the power failed.
    pub(super) floor: usize,
    pub(super) power_floor: usize,
    /// Where between the two it may end; within a cut, behind any line.
    pub(super) ends: BTreeSet<usize>,
    pub(super) within_cut: bool,
    /// How much of the log a node that says it is whole must hold.
    pub(super) whole_needs: usize,
    /// The facts that may be there: the last that were saved, and those that are being saved. None before any are.
    pub(super) facts: Vec<NodeFacts>,
    /// Lines that were cut, and are in the log or in the quarantine.
    pub(super) kept: Vec<Vec<u8>>,
    /// Something on the disk is not what was written: a strict start may refuse.
    pub(super) is_damaged: bool,
    /// Nothing happens that costs the node its being whole.
    pub(super) stays_whole: bool,
    /// The level of the run.
    pub(super) level: Option<Durability>,
}

impl Truth {
    /// Every place of the longest log, and how many bytes are before it.
    pub(super) fn places(&self) -> Vec<(Tip, usize)> {
        let (mut tip, mut at, mut places) = (Tip::default(), 0, vec![(Tip::default(), 0)]);
        for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            tip = Lines::checked(line.to_vec().into(), &tip).unwrap().tip().clone();
            at += line.len();
            places.push((tip.clone(), at));
        }
        places
    }

    pub(super) fn bytes_before(&self, place: Place) -> usize {
        self.places().iter().find(|(tip, _)| tip.place == place).expect("a place of the log").1
    }

    fn fence(&self) -> Option<&Epoch> {
        self.facts.first()?.fence.as_ref()
    }
}

/// What a crash is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Crash {
    Process,
    Power(PowerLoss),
}

impl Crash {
    /// Every way to crash now.
    pub(super) fn all(files: &SimulatedFiles) -> Vec<Crash> {
        let subsets = 1 << files.unsynced_names().min(6);
        let names = |contents| (0..subsets).map(move |names| Crash::Power(PowerLoss { contents, names }));
        [Crash::Process].into_iter().chain(Contents::ALL.into_iter().flat_map(names)).collect()
    }

    fn happen(self, files: &SimulatedFiles) {
        match self {
            Crash::Process => files.crash_process(),
            Crash::Power(loss) => files.lose_power(loss),
        }
    }

    /// The boot after it.
    const fn boot(self) -> &'static str {
        match self {
            Crash::Process => "boot",
            Crash::Power(_) => "next boot",
        }
    }
}

macro_rules! must {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(format!($($what)+));
        }
    };
}

/// Opens the node after a crash and compares what it claims with what is there.
pub(super) fn check(files: &SimulatedFiles, crash: Crash, truth: &Truth) -> Result<(), String> {
    crash.happen(files);
    for mode in [OpenMode::Strict, OpenMode::CutAtDamage] {
        let files = files.fork();
        match open(&files, truth.level.unwrap_or(Durability::Disk), mode, crash.boot()) {
            Ok(opened) => check_opened(&files, &opened, crash, truth)?,
            Err(why) => must!(truth.is_damaged && mode == OpenMode::Strict, "it is refused: {why}"),
        }
    }
    Ok(())
}

fn check_opened(files: &SimulatedFiles, opened: &Opened, crash: Crash, truth: &Truth) -> Result<(), String> {
    let (facts, bytes) = (opened.node.file.facts(), read_all(&opened.node.store, usize::MAX));
    check_log(opened, &bytes, crash, truth)?;
    must!(facts.fence.as_ref() >= truth.fence(), "a promise is forgotten: {:?}", facts.fence);
    let known = |found: &NodeFacts| {
        (&found.fence, &found.log_id, &found.cleaning) == (&facts.fence, &facts.log_id, &facts.cleaning)
    };
    must!(truth.facts.is_empty() || truth.facts.iter().any(known), "facts that nobody saved: {facts:?}");
    let had = opened.found.log_end.is_some();
    must!(!had || truth.is_damaged || bytes == truth.bytes, "it was noted where another log ended");
    let whole = facts.whole;
    must!(!whole || truth.facts.iter().any(|facts| facts.whole), "a start made it whole");
    must!(
        !whole || bytes.len() >= truth.whole_needs,
        "it says it is whole and holds {} bytes of {}",
        bytes.len(),
        truth.whole_needs
    );
    must!(whole || !truth.stays_whole, "it lost nothing and is not whole any more");
    check_quarantine(files, &bytes, truth)?;
    let is_left = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".tmp") && !name.starts_with("spare-")
    };
    let there = files.content(&root());
    must!(!there.keys().any(|path| is_left(&path)), "leftovers: {:?}", there.keys());
    check_on_disk(files, &bytes, whole, truth)
}

fn check_log(opened: &Opened, bytes: &[u8], crash: Crash, truth: &Truth) -> Result<(), String> {
    let floor = if matches!(crash, Crash::Process) { truth.floor } else { truth.power_floor };
    must!(truth.bytes.starts_with(bytes), "it holds what was not appended");
    must!(bytes.len() >= floor, "it holds {} bytes, and {floor} were durable", bytes.len());
    must!(
        truth.ends.contains(&bytes.len()) || truth.within_cut,
        "it ends within a run, behind {} bytes",
        bytes.len()
    );
    let lines = Lines::checked(bytes.to_vec().into(), &Tip::default()).map_err(|error| error.to_string())?;
    must!(opened.node.store.marks() == lines.marks(), "its marks are not those of its lines");
    must!(opened.node.store.tip() == lines.tip(), "it ends elsewhere than its lines");
    must!(opened.node.store.durable() == lines.tip().place, "an open log is durable");
    Ok(())
}

fn check_quarantine(files: &SimulatedFiles, bytes: &[u8], truth: &Truth) -> Result<(), String> {
    let quarantine: Vec<Vec<u8>> = files.content(&root().join("quarantine")).into_values().collect();
    let is_in = |line: &[u8], content: &[u8]| content.windows(line.len()).any(|part| part == line);
    for line in &truth.kept {
        let kept = is_in(line, bytes) || quarantine.iter().any(|content| is_in(line, content));
        must!(kept, "neither in the log nor in the quarantine: {}", String::from_utf8_lossy(line));
    }
    Ok(())
}

/// What an open log shows may be acked at once: a loss of power takes nothing of it.
fn check_on_disk(files: &SimulatedFiles, bytes: &[u8], whole: bool, truth: &Truth) -> Result<(), String> {
    let files = files.fork();
    files.lose_power(PowerLoss { contents: Contents::None, names: 0 });
    let level = truth.level.unwrap_or(Durability::Disk);
    let opened = open(&files, level, OpenMode::Strict, "boot after that")
        .map_err(|why| format!("after one more crash it is refused: {why}"))?;
    must!(read_all(&opened.node.store, usize::MAX) == bytes, "what an open log showed was not on the disk");
    let lowered = level < Durability::Disk;
    must!(
        opened.node.file.facts().whole == (whole && !lowered),
        "being whole was not on the disk as it was said"
    );
    Ok(())
}
