//! Clients that follow the log while a load appends to it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{failure::Failure, node_url::NodeUrl};

/// Bytes read at one time by each.
const BUFFER_BYTES: usize = 16 * 1024;

/// The first bytes of a good answer.
const GOOD: &[u8] = b"HTTP/1.1 200";

/// Clients on a thread of their own, so that the load is as lean with them as without. What they get they count and
/// forget. Dropping it ends them.
pub(crate) struct Tails {
    bytes: Arc<AtomicU64>,
    _stop: Option<DropGuard>,
}

impl Tails {
    /// Starts them, and waits until the node has answered each.
    ///
    /// # Errors
    /// The node cannot be reached or does not take so many.
    pub(crate) async fn start(url: &NodeUrl, clients: u32) -> Result<Tails, Failure> {
        let bytes = Arc::new(AtomicU64::new(0));
        if clients == 0 {
            return Ok(Tails { bytes, _stop: None });
        }
        let stop = CancellationToken::new();
        let (ready, followed) = tokio::sync::oneshot::channel();
        let (url_there, bytes_there, stop_there) = (url.clone(), Arc::clone(&bytes), stop.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(stop_there.run_until_cancelled(async {
                match follow_all(&url_there, clients).await {
                    Ok(streams) => {
                        // Whoever started them has gone if nobody hears it.
                        let _gone = ready.send(Ok(()));
                        count_all(streams, &bytes_there).await;
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            }))
        });
        let followed = followed.await.map_err(io::Error::other)?;
        followed.map_err(|error| Failure::unreachable(url, error))?;
        Ok(Tails { bytes, _stop: Some(stop.drop_guard()) })
    }

    /// Bytes that all of them have got so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

async fn follow_all(url: &NodeUrl, clients: u32) -> io::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..clients {
        let mut stream = TcpStream::connect((url.host(), url.port())).await?;
        let (target, host) = (url.target("/tail?from=end"), url.authority());
        stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await?;
        let mut answer = [0; GOOD.len()];
        stream.read_exact(&mut answer).await?;
        if answer != GOOD {
            let status = String::from_utf8_lossy(&answer).into_owned();
            return Err(io::Error::other(format!("GET /tail is answered with {status}")));
        }
        streams.push(stream);
    }
    Ok(streams)
}

async fn count_all(streams: Vec<TcpStream>, bytes: &Arc<AtomicU64>) {
    let mut clients = JoinSet::new();
    for mut stream in streams {
        let bytes = Arc::clone(bytes);
        clients.spawn(async move {
            let mut buffer = vec![0; BUFFER_BYTES];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                bytes.fetch_add(read as u64, Relaxed);
            }
        });
    }
    clients.join_all().await;
}
