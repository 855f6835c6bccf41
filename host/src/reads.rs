//! Reading the log beside the node's work.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use replog_shared::{
    Moment, Order,
    store::{Lookup, OldLines, Page, ReadError, Reader, Store, StoreError},
};
use tokio::{
    sync::{Notify, Semaphore},
    task::spawn_blocking,
};

use replog_core::driver::{Core, Driver, Environment, Turn};

use crate::limits::COLD_READS;

/// Reads a log for many tasks. Cheap to clone.
///
/// A node has one thread for all that it does. What is in memory is read there and then; what is not is read by
/// a thread that may wait for the disk, so that neither appends nor other answers wait with it.
#[derive(Clone, Debug)]
pub struct Reads<R> {
    reader: R,
    turns: Arc<Semaphore>,
}

impl<R: Reader> Reads<R> {
    /// Reads what `reader` reads. All clones of this share their turns at the disk.
    pub fn new(reader: R) -> Reads<R> {
        Reads { reader, turns: Arc::new(Semaphore::new(COLD_READS)) }
    }

    /// As [`Reader::read`], without waiting for the disk in this thread. Needs a tokio runtime.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub async fn read(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        if let Some(page) = self.reader.recent(from, to, bytes) {
            return Ok(page);
        }
        let failed = |error: &dyn std::fmt::Display| ReadError { order: from, reason: error.to_string() };
        let turn = self.turns.clone().acquire_owned().await.map_err(|error| failed(&error))?;
        let reader = self.reader.clone();
        let read = spawn_blocking(move || {
            // Until the thread is done, whether or not somebody still waits for the page.
            let _turn = turn;
            reader.read(from, to, bytes)
        });
        read.await.map_err(|error| failed(&error))?
    }
}

/// Reads old lines for a node's own events, in threads that may wait for the disk, and wakes the node when one of them
/// is done. How many there are at one time the node's [`replog_core::driver::Driver`] bounds.
#[derive(Debug)]
pub struct ColdReads<R> {
    reader: R,
    done: Arc<Mutex<VecDeque<Done>>>,
    news: Arc<Notify>,
}

type Done = (Turn, Result<OldLines, ReadError>);

impl<R: Reader> ColdReads<R> {
    /// Reads what `reader` reads, for the node that is woken by `news`.
    pub fn new(reader: R, news: Arc<Notify>) -> ColdReads<R> {
        ColdReads { reader, done: Arc::default(), news }
    }

    /// Has read what the driver's events wait for. Needs a tokio runtime.
    pub fn begin<C: Core, S: Store>(&self, driver: &mut Driver<C, S>) {
        while let Some((turn, lookup)) = driver.next_read() {
            self.start(turn, lookup);
        }
    }

    /// Tells the driver what was read by now.
    pub fn deliver<C: Core, S: Store>(
        &self,
        now: Moment,
        driver: &mut Driver<C, S>,
        env: &mut impl Environment<C, S>,
    ) {
        while let Some((turn, lines)) = self.next_done() {
            match lines {
                Ok(lines) => driver.on_read(now, turn, lines, env),
                Err(error) => driver.fail(StoreError::Failed { reason: error.to_string() }.into()),
            }
        }
    }

    fn start(&self, turn: Turn, lookup: Lookup) {
        let (reader, done, news) = (self.reader.clone(), self.done.clone(), self.news.clone());
        let read = spawn_blocking(move || reader.old(lookup));
        tokio::spawn(async move {
            let from = match lookup {
                Lookup::Lines { from, .. } => from,
                Lookup::Cut { at } => at,
            };
            let panicked =
                |error: tokio::task::JoinError| ReadError { order: from, reason: error.to_string() };
            let lines = read.await.map_err(panicked).flatten();
            done.lock().unwrap_or_else(PoisonError::into_inner).push_back((turn, lines));
            news.notify_one();
        });
    }

    /// The next that was read.
    fn next_done(&self) -> Option<(Turn, Result<OldLines, ReadError>)> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Mutex, mpsc},
        time::Duration,
    };

    use futures_util::future;

    use super::*;

    /// A disk that answers when it is told to.
    #[derive(Clone)]
    struct SlowDisk {
        in_memory: Option<Page>,
        told: Arc<Mutex<mpsc::Receiver<()>>>,
    }

    impl SlowDisk {
        fn new(in_memory: Option<Page>) -> (mpsc::SyncSender<()>, SlowDisk) {
            let (tell, told) = mpsc::sync_channel(4 * COLD_READS);
            (tell, SlowDisk { in_memory, told: Arc::new(Mutex::new(told)) })
        }
    }

    impl Reader for SlowDisk {
        fn read(&self, from: Order, to: Order, _: usize) -> Result<Page, ReadError> {
            let told = self.told.lock().unwrap().recv_timeout(Duration::from_secs(10));
            let reason = "nobody else could work meanwhile".to_owned();
            told.map(|()| Page { to, ..Page::default() }).map_err(|_| ReadError { order: from, reason })
        }

        fn old(&self, lookup: Lookup) -> Result<OldLines, ReadError> {
            let Lookup::Lines { from, to, .. } = lookup else { panic!("{lookup:?}") };
            self.read(from, to, 0).map(|_| OldLines::new(from))
        }

        fn recent(&self, _: Order, _: Order, _: usize) -> Option<Page> {
            self.in_memory.clone()
        }
    }

    #[tokio::test]
    async fn a_page_on_a_slow_disk_holds_up_nobody_else() {
        let (tell, disk) = SlowDisk::new(None);
        let reads = Reads::new(disk);
        // The second works only when the first has given the thread back.
        let read = reads.read(Order::ZERO, Order::new(7), 1);
        let (page, ()) = future::join(read, async { tell.send(()).unwrap() }).await;
        assert_eq!(page.unwrap().to, Order::new(7));
    }

    #[tokio::test]
    async fn what_is_in_memory_never_waits_for_a_turn_at_the_disk() {
        let (_tell, disk) = SlowDisk::new(Some(Page { to: Order::new(3), ..Page::default() }));
        let reads = Reads { reader: disk, turns: Arc::new(Semaphore::new(0)) };
        assert_eq!(reads.read(Order::ZERO, Order::new(3), 1).await.unwrap().to, Order::new(3));
    }

    #[tokio::test]
    async fn a_disk_is_asked_for_few_pages_at_one_time() {
        let (tell, disk) = SlowDisk::new(None);
        // Each page that is being read has its own clone of the reader.
        let clones = disk.told.clone();
        let reads = Reads::new(disk);
        let idle = Arc::strong_count(&clones);
        let all = future::join_all((0..4 * COLD_READS).map(|_| reads.read(Order::ZERO, Order::ZERO, 1)));
        // Works when each of them has gone as far as it can.
        let telling = async {
            assert_eq!(Arc::strong_count(&clones) - idle, COLD_READS);
            (0..4 * COLD_READS).for_each(|_| tell.send(()).unwrap());
        };
        let (pages, ()) = future::join(all, telling).await;
        assert!(pages.iter().all(Result::is_ok), "each gets its turn");
    }
}
