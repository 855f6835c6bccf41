//! Opening the log of a node that may be asked to stop meanwhile: a large one, or one on a slow disk, takes a while.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use replog_disk::DiskStore;
use replog_shared::{NodeName, store::Store};
use tokio::{
    select,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::{
    held::HeldFailure,
    limits::STOP_WAIT,
    storage::{DiskTerms, JudgedStorage, Storage},
};

/// Opens the directory of the node of this name by a thread that may wait for it, unless `stop` comes first: none then.
/// A directory that was only read until then is as it was, and nobody waits for its disk; one that was being changed is
/// left as after a stop.
///
/// # Errors
/// As of [`Storage::on_disk`]; or the disk stood still while it was changed.
pub async fn open_unless(
    stop: impl Future<Output = ()>,
    dir: PathBuf,
    node: NodeName,
    terms: DiskTerms,
) -> anyhow::Result<Option<Storage<DiskStore>>> {
    take_unless(stop, move || JudgedStorage::of(&dir, &node, terms), JudgedStorage::open).await
}

/// Judges a directory, and takes it into use.
async fn take_unless<J, S: Store>(
    stop: impl Future<Output = ()>,
    judge: impl FnOnce() -> anyhow::Result<J> + Send + 'static,
    open: impl FnOnce(J) -> anyhow::Result<Storage<S>> + Send + 'static,
) -> anyhow::Result<Option<Storage<S>>> {
    let turn = Arc::new(Turn::default());
    let own = turn.clone();
    let mut opened = spawn_blocking(move || {
        let judged = judge()?;
        if own.take() { open(judged).map(Some) } else { Ok(None) }
    });
    let died = "the log could not be opened";
    select! {
        opened = &mut opened => return opened.context(died)?,
        () = stop => {}
    }
    if turn.take() {
        return Ok(None);
    }
    let close_by = Instant::now() + STOP_WAIT;
    let opened = timeout_at(close_by, opened).await;
    let opened = opened.map_err(|_| HeldFailure::StandsStill { waited: STOP_WAIT })?;
    if let Some(storage) = opened.context(died)?? {
        storage.leave_by(close_by).await;
    }
    Ok(None)
}

/// Who is first: the thread that is about to change a directory, or the stop.
#[derive(Debug, Default)]
struct Turn(AtomicBool);

impl Turn {
    /// Whether this is the first.
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, future::ready, sync::mpsc};

    use replog_disk::OpenMode;
    use replog_shared::Durability;
    use tokio::{
        runtime::Builder,
        sync::{Notify, oneshot},
        time::advance,
    };

    use super::*;

    #[test]
    fn a_thread_that_was_overtaken_by_the_stop_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let node: NodeName = "node1".parse().unwrap();
        let terms = DiskTerms { durability: Durability::Disk, with_ids: false, mode: OpenMode::Strict };
        Storage::on_disk(dir.path(), &node, terms).unwrap().close().unwrap();
        let kept = || fs::read_to_string(dir.path().join("node.json")).unwrap();
        let before = kept();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let opened = runtime.block_on(open_unless(ready(()), dir.path().to_owned(), node, terms));
        assert!(opened.unwrap().is_none());
        // The thread ends with the runtime.
        drop(runtime);
        assert_eq!(kept(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_stands_still_while_a_directory_is_changed_is_waited_for_no_longer_than_at_a_stop() {
        let (begins, begun) = oneshot::channel();
        let (answers, disk) = mpsc::sync_channel::<()>(1);
        let change = move |()| {
            begins.send(()).unwrap();
            disk.recv()?;
            Ok(Storage::in_memory(false))
        };
        let is_asked = Notify::new();
        let stop = async {
            begun.await.unwrap();
            is_asked.notify_one();
        };
        let time_goes_on = async {
            is_asked.notified().await;
            for _ in 0..16 {
                advance(STOP_WAIT / 8).await;
            }
        };
        let asked = Instant::now();
        let refused = select! {
            opened = take_unless(stop, || Ok(()), change) => opened.unwrap_err(),
            // A thread that waits keeps the clock from going on by itself.
            () = time_goes_on => panic!("it is waited for"),
        };
        let stands_still = HeldFailure::StandsStill { waited: STOP_WAIT };
        assert_eq!(refused.downcast_ref(), Some(&stands_still));
        assert!(asked.elapsed() >= STOP_WAIT, "it was given the time of a stop");
        drop(answers);
    }
}
