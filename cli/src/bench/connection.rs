//! One connection of a load: a request written, its answer read and forgotten.
//!
//! HTTP/1.1 by hand: against an echo with 1, 64 and 256 clients, hyper's client took 1 to 6 µs of processor
//! time a request more than this one (9.4 instead of 8.4 µs with 64), and kept its processor fully busy
//! where this one is idle for a fifth of the time. More than nine tenths of what is left is the kernel's.
//! Only what a load needs is here: keep-alive, one request at a time, answers with a `content-length`.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    node_url::NodeUrl,
    reach::{Reach, Stream},
};

/// Bytes read at one time; the head of an answer must fit in.
const BUFFER_BYTES: usize = 8 * 1024;

/// Headers of an answer.
const MAX_HEADERS: usize = 64;

/// A keep-alive connection with no request in flight.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Box<[u8]>,
}

impl Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// The node does not answer.
    pub(crate) async fn open(url: &NodeUrl, reach: &Reach) -> io::Result<Self> {
        let stream = reach.connect(url).await?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES].into() })
    }

    /// Sends `request`, reads the whole answer and returns its status.
    ///
    /// # Errors
    /// The connection broke or the answer cannot be understood. It is of no use any more.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(head) = Head::parse(&self.buffer[..filled])? {
                break head;
            }
        };
        let mut missing = (head.bytes + head.body_bytes).checked_sub(filled).ok_or_else(unasked)?;
        while missing > 0 {
            missing = missing.checked_sub(self.read(0).await?).ok_or_else(unasked)?;
        }
        Ok(head.status)
    }

    /// Reads into the buffer from `start` on, at least one byte.
    async fn read(&mut self, start: usize) -> io::Result<usize> {
        if start == self.buffer.len() {
            return Err(invalid("an answer with an endless head"));
        }
        match self.stream.read(&mut self.buffer[start..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => Ok(bytes),
        }
    }
}

/// The head of an answer, as far as a load looks at it.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
}

impl Head {
    /// `None`: there is more of it to come.
    fn parse(buffer: &[u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let parsed = answer.parse(buffer).map_err(|error| invalid(&error.to_string()))?;
        let (httparse::Status::Complete(bytes), Some(status)) = (parsed, answer.code) else {
            return Ok(None);
        };
        let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
        let body_bytes = length.ok_or_else(|| invalid("an answer without content-length"))?;
        Ok(Some(Self { status, bytes, body_bytes }))
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn unasked() -> io::Error {
    invalid("more bytes than the answer has")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What a client makes of `answer`, sent in pieces of `size` bytes.
    async fn exchange(answer: &'static str, size: usize) -> Result<u16, io::ErrorKind> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = listener.local_addr().unwrap().to_string().parse().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            for piece in answer.as_bytes().chunks(size) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let client =
            async { Connection::open(&url, &Reach::default()).await.unwrap().exchange(b"ping").await };
        let (outcome, ()) = tokio::join!(client, server);
        outcome.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn the_status_comes_back_however_the_answer_is_cut() {
        let answer = "HTTP/1.1 503 Busy\r\nretry-after: 1\r\nContent-Length: 5\r\n\r\nhello";
        for size in [1, 7, 1_000] {
            assert_eq!(exchange(answer, size).await, Ok(503));
        }
        assert_eq!(exchange("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 1_000).await, Ok(200));
    }

    #[tokio::test]
    async fn an_answer_without_a_clear_end_is_an_error() {
        let eof = Err(io::ErrorKind::UnexpectedEof);
        let invalid = Err(io::ErrorKind::InvalidData);
        assert_eq!(exchange("", 1).await, eof);
        assert_eq!(exchange("HTTP/1.1 200 OK\r\ncontent-le", 1_000).await, eof);
        assert_eq!(exchange("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", 1_000).await, eof);
        assert_eq!(exchange("HTTP/1.1 200 OK\r\n\r\n", 1_000).await, invalid);
        assert_eq!(exchange("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nhello", 1_000).await, invalid);
        assert_eq!(exchange("SSH-2.0-OpenSSH\r\n", 1_000).await, invalid);
    }
}
