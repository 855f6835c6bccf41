//! Ports that nobody uses.

use std::{
    fs::{self, File},
    net::TcpListener,
    sync::{Mutex, PoisonError},
};

/// Below the range from which systems take ports for outgoing connections: a node that is down for a while finds its
/// port still free when it comes back.
const RANGE: std::ops::Range<u16> = 18_000..32_000;

/// The ports of this process, as locked files: a port on which nothing listens yet, or no more, is given out to no
/// other test that runs at the same time.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port of this machine on which nothing listens, and which is this process's from now on.
pub(super) fn free() -> u16 {
    let take = |port: &u16| {
        let file = lock(*port).filter(|_| TcpListener::bind(("127.0.0.1", *port)).is_ok());
        file.map(|file| TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(file)).is_some()
    };
    let port = std::iter::repeat_with(|| fastrand::u16(RANGE)).take(1_000).find(take);
    port.expect("there is a free port among a thousand")
}

fn lock(port: u16) -> Option<File> {
    let folder = std::env::temp_dir().join("replog-test-ports");
    fs::create_dir_all(&folder).expect("a folder for the locks of ports can be made");
    let file = File::create(folder.join(port.to_string())).expect("the lock of a port can be made");
    file.try_lock().is_ok().then_some(file)
}
