//! A node whose every step is noted, whether it comes to its end or not.

use replog_shared::{
    Durability, Lines, Place,
    store::{Cut, LogView, Store},
};

use super::truth::Truth;
use crate::{
    DataDir, NodeFacts, NodeFile, OpenMode, OpenOptions, OpenedNode,
    files::simulated::SimulatedFiles,
    judge_node,
    tests::support::{Log, STRICT, root},
};

/// The process died within a step.
#[derive(Debug)]
pub(super) struct Died;

/// What a start found, and what became of it.
pub(super) struct Opened {
    /// `node.json` before.
    pub(super) found: NodeFacts,
    pub(super) node: OpenedNode,
    pub(super) news: std::sync::mpsc::Receiver<()>,
}

/// Starts a node over its directory.
pub(super) fn open(
    files: &SimulatedFiles,
    level: Durability,
    mode: OpenMode,
    boot: &str,
) -> Result<Opened, String> {
    let dir = DataDir::on(files.process(), &root()).map_err(|error| error.to_string())?;
    let file = NodeFile::open_in_boot(&dir, &"node1".parse().unwrap(), level, boot.to_owned())
        .map_err(|error| error.to_string())?;
    let found = file.facts().clone();
    let (sender, news) = std::sync::mpsc::sync_channel(1);
    let wake = move || {
        // One piece of news that waits is enough.
        let _ = sender.try_send(());
    };
    let options = OpenOptions { level, mode, ..STRICT };
    let judged = judge_node(file, options).map_err(|error| error.to_string())?;
    let node = judged.open(wake).map_err(|error| error.to_string())?;
    Ok(Opened { found, node, news })
}

/// A node, running or not.
pub(super) struct Node {
    pub(super) files: SimulatedFiles,
    pub(super) truth: Truth,
    running: Option<(NodeFile, Log)>,
}

impl Node {
    /// One that does not run, over a disk of which this is true.
    pub(super) fn over(files: SimulatedFiles, truth: Truth) -> Node {
        Node { files, truth, running: None }
    }

    pub(super) fn start(&mut self, level: Durability, mode: OpenMode) -> Result<(), Died> {
        self.truth.level = Some(level);
        let opened = open(&self.files, level, mode, "boot").map_err(|_| Died)?;
        let Opened { node: OpenedNode { file, store, report }, news, .. } = opened;
        self.truth.facts = vec![file.facts().clone()];
        // All that an open log holds is on the disk.
        self.truth.power_floor = self.truth.floor;
        self.running = Some((file, Log::new(store, report, news)));
        Ok(())
    }

    fn running(&mut self) -> Result<&mut (NodeFile, Log), Died> {
        self.running.as_mut().ok_or(Died)
    }

    pub(super) fn log(&self) -> &Log {
        &self.running.as_ref().expect("it runs").1
    }

    pub(super) fn save(&mut self, change: impl Fn(&mut NodeFacts)) -> Result<(), Died> {
        let mut facts = self.running()?.0.facts().clone();
        change(&mut facts);
        if facts.whole && !self.running()?.0.facts().whole {
            self.truth.whole_needs = self.truth.floor;
        }
        self.truth.stays_whole &= facts.whole;
        self.truth.facts.push(facts.clone());
        self.running()?.0.update(|now| *now = facts.clone()).map_err(|_| Died)?;
        self.truth.facts = vec![facts];
        Ok(())
    }

    pub(super) fn append(&mut self, lines: &Lines) -> Result<(), Died> {
        self.truth.bytes.extend_from_slice(lines.bytes());
        self.truth.ends.insert(self.truth.bytes.len());
        if !self.running()?.1.store.append(lines) {
            return Err(Died);
        }
        self.running()?.1.settle().map_err(|_| Died)?;
        self.truth.floor = self.truth.bytes.len();
        if self.truth.level == Some(Durability::Disk) {
            self.truth.power_floor = self.truth.floor;
        }
        Ok(())
    }

    pub(super) fn cut(&mut self, place: Place, cut: Cut) -> Result<(), Died> {
        let stays = self.truth.bytes_before(place);
        let truth = &mut self.truth;
        if cut == Cut::Quarantine {
            let gone = truth.bytes[stays..].split_inclusive(|byte| *byte == b'\n');
            truth.kept.extend(gone.filter(|line| line.starts_with(b"{\"order\"")).map(<[u8]>::to_vec));
        }
        (truth.floor, truth.power_floor) = (truth.floor.min(stays), truth.power_floor.min(stays));
        truth.within_cut = true;
        let log = &mut self.running()?.1;
        let ticket = log.store.truncate(place, cut).map_err(|_| Died)?;
        log.wait_until(|store| store.done() >= ticket && store.durable() == place).map_err(|_| Died)?;
        let truth = &mut self.truth;
        truth.bytes.truncate(stays);
        truth.ends.retain(|end| *end < stays);
        truth.ends.insert(stays);
        (truth.within_cut, truth.floor, truth.power_floor) = (false, stays, stays);
        Ok(())
    }

    pub(super) fn stop(&mut self) -> Result<(), Died> {
        let (file, log) = self.running.take().ok_or(Died)?;
        let tip = log.store.tip().clone();
        log.store.close().map_err(|_| Died)?;
        self.truth.power_floor = self.truth.floor;
        file.close((&tip).into()).map_err(|_| Died)
    }

    /// The process dies now.
    pub(super) fn kill(&mut self) {
        self.files.crash_process();
        self.running = None;
    }
}
