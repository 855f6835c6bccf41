//! Where each request begins, counted in the bytes as they came.

use http::Method;

/// How the body of a request ends, as hyper has understood its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// So many bytes behind the head; 0 without a body.
    Known(u64),
    /// In chunks, until the last one.
    Chunked,
}

/// Follows the requests of one connection from byte to byte, so that the head of each is seen whole.
///
/// hyper drops `Content-Length` beside `Transfer-Encoding`, so a parsed head does not tell that both were
/// there. The bug this prevents: a head that begins in the same read as the end of the body before it, or in a
/// body that hyper drains after its answer, is judged by its later half, and a request with two lengths passes.
///
/// Invariant: while it is not lost, `next` holds what was read behind the last byte of the current request.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    /// A head that is not complete, and what came behind it.
    next: Vec<u8>,
    /// At most this much of it is kept: what hyper may hold unparsed.
    max_bytes: usize,
    /// How often the current request's head names a content length; none if that was not seen.
    content_lengths: Option<usize>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// The body of the current request, of which so much is missing.
    Body(u64),
    Chunks(Chunks),
    /// What came cannot be followed any more.
    Lost,
}

/// Where in a chunked body (RFC 9112, 7.1), as strict as hyper is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    /// In the line with a chunk's size, so far this one.
    Size(u64),
    /// Behind the size: nothing up to the end of the line counts.
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the beginning of a line behind the last chunk.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

impl Framing {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { place: Place::Head, next: Vec::new(), max_bytes, content_lengths: None }
    }

    /// Bytes have come from the client.
    pub(super) fn on_read(&mut self, bytes: &[u8]) {
        let behind = self.skip_body(bytes);
        if self.place != Place::Head {
            return;
        }
        if self.next.len() + behind.len() > self.max_bytes {
            return self.lose();
        }
        self.next.extend_from_slice(behind);
    }

    /// hyper has parsed a head, which begins with `method`.
    pub(super) fn on_request(&mut self, method: &Method, body: BodyLength) {
        self.content_lengths = None;
        let Some((head, end)) = self.head(method) else { return self.lose() };
        if body == BodyLength::Chunked {
            self.content_lengths = Some(lines(head).filter(|line| names_content_length(line)).count());
        }
        self.place = match body {
            BodyLength::Known(0) => Place::Head,
            BodyLength::Known(length) => Place::Body(length),
            BodyLength::Chunked => Place::Chunks(Chunks::Size(0)),
        };
        let mut rest = std::mem::take(&mut self.next);
        let behind = self.skip_body(&rest[end..]).len();
        if self.place == Place::Head {
            rest.drain(..rest.len() - behind);
        } else {
            rest.clear();
        }
        // Keeps what was allocated for the next head.
        self.next = rest;
    }

    /// How often the current request's head named a content length. `None`: it was not seen from its beginning,
    /// or its body is not chunked.
    pub(super) fn content_lengths(&self) -> Option<usize> {
        self.content_lengths
    }

    /// Whether a part of a request has come that has not been answered yet.
    pub(super) fn has_begun_next(&self) -> bool {
        !self.next.is_empty()
    }

    /// Whether the current request's body has come to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.place == Place::Head
    }

    fn lose(&mut self) {
        self.place = Place::Lost;
        self.next = Vec::new();
    }

    /// The head at the beginning of what was read, and its end; none if it is not the one that hyper saw.
    fn head(&self, method: &Method) -> Option<(&[u8], usize)> {
        if self.place != Place::Head {
            return None;
        }
        // Empty lines before a request are passed over.
        let start = self.next.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
        let head = &self.next[start..];
        let end = end_of_head(head)?;
        let own = head.strip_prefix(method.as_str().as_bytes()).is_some_and(|rest| rest.starts_with(b" "));
        own.then_some((&head[..end], start + end))
    }

    /// Takes what belongs to the current body; what stands behind it.
    fn skip_body<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        loop {
            let taken = match self.place {
                Place::Head | Place::Lost => return bytes,
                _ if bytes.is_empty() => return bytes,
                Place::Body(left) => {
                    let (left, taken) = take(left, bytes.len());
                    self.place = if left == 0 { Place::Head } else { Place::Body(left) };
                    taken
                }
                Place::Chunks(Chunks::Data(left)) => {
                    let (left, taken) = take(left, bytes.len());
                    self.place = Place::Chunks(if left == 0 { Chunks::DataCr } else { Chunks::Data(left) });
                    taken
                }
                Place::Chunks(chunks) => {
                    self.place = chunks.after(bytes[0]);
                    1
                }
            };
            bytes = &bytes[taken..];
        }
    }
}

/// Of `left` missing bytes, `there` have come: how many are missing still, and how many are taken.
fn take(left: u64, there: usize) -> (u64, usize) {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there);
    (left - taken as u64, taken)
}

impl Chunks {
    /// The place behind `byte`. What no chunked body has is lost: hyper closes the connection over it.
    fn after(self, byte: u8) -> Place {
        let next = match (self, byte) {
            (Self::Size(size), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                match size.checked_mul(16) {
                    Some(size) => Self::Size(size + digit),
                    None => return Place::Lost,
                }
            }
            (Self::Size(size) | Self::Extension(size), b'\r') => Self::SizeLf(size),
            (Self::Size(size), b';' | b' ' | b'\t') => Self::Extension(size),
            (Self::Extension(_), b'\n') => return Place::Lost,
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::SizeLf(0), b'\n') => Self::TrailerStart,
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size(0),
            (Self::TrailerStart, b'\r') => Self::EndLf,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::TrailerStart | Self::Trailer, _) => Self::Trailer,
            (Self::TrailerLf, b'\n') => Self::TrailerStart,
            (Self::EndLf, b'\n') => return Place::Head,
            _ => return Place::Lost,
        };
        Place::Chunks(next)
    }
}

/// The place behind the first empty line. Lines end with CR LF or, as hyper takes it, with LF alone.
fn end_of_head(head: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', head).find_map(|at| match head.get(at + 1..) {
        Some([b'\n', ..]) => Some(at + 2),
        Some([b'\r', b'\n', ..]) => Some(at + 3),
        _ => None,
    })
}

/// The lines of a head behind the request line.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&byte| byte == b'\n').skip(1)
}

fn names_content_length(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"content-length")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: BodyLength = BodyLength::Chunked;

    fn framing() -> Framing {
        Framing::new(1_000)
    }

    /// The content lengths of a chunked POST that was read in these pieces.
    fn lengths_in(reads: &[&[u8]]) -> Option<usize> {
        let mut framing = framing();
        reads.iter().for_each(|read| framing.on_read(read));
        framing.on_request(&Method::POST, CHUNKED);
        framing.content_lengths()
    }

    #[test]
    fn content_lengths_are_counted_in_the_head_only() {
        assert_eq!(lengths_in(&[b"POST / HTTP/1.1\r\nHost: a\r\n\r\nContent-Length: 1\r\n"]), Some(0));
        assert_eq!(lengths_in(&[b"\r\nPOST / HTTP/1.1\r\ncontent-", b"LENGTH : 1\r\n\r\n"]), Some(1));
        assert_eq!(lengths_in(&[b"POST / HTTP/1.1\nContent-Length: 1\n\nContent-Length: 2"]), Some(1));
    }

    #[test]
    fn what_is_not_the_head_that_was_parsed_is_not_judged() {
        assert_eq!(lengths_in(&[b"Transfer-Encoding: chunked\r\n\r\n"]), None);
        assert_eq!(lengths_in(&[b"POSTER: x\r\n\r\n"]), None);
        assert_eq!(lengths_in(&[b"POST / HTTP/1.1\r\n"]), None);
        assert_eq!(lengths_in(&[]), None);
    }

    #[test]
    fn a_head_that_begins_behind_a_body_is_seen_from_its_beginning() {
        let mut framing = framing();
        framing.on_read(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n12");
        framing.on_request(&Method::POST, BodyLength::Known(4));
        framing.on_read(b"34POST / HTTP/1.1\r\nContent-Length: 5\r\nX-A: ");
        assert!(framing.has_begun_next());
        framing.on_read(b"POST x\r\nTransfer-Encoding: chunked\r\n\r\n");
        framing.on_request(&Method::POST, CHUNKED);
        assert_eq!(framing.content_lengths(), Some(1));
    }

    #[test]
    fn what_looks_like_a_head_inside_a_body_is_none() {
        let mut framing = framing();
        framing.on_read(b"POST / HTTP/1.1\r\nContent-Length: 19\r\n\r\n");
        framing.on_request(&Method::POST, BodyLength::Known(19));
        framing.on_read(b"POST / HTTP/1.1\r\n\r\n");
        assert!(framing.is_whole() && !framing.has_begun_next());
        framing.on_read(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
        framing.on_request(&Method::POST, CHUNKED);
        assert_eq!(framing.content_lengths(), Some(1));
    }

    #[test]
    fn chunks_are_followed_however_they_are_cut() {
        let body = b"4;x=\"y\"\r\nabcd\r\n00A \r\n0123\r\n0\r\n9\r\n0\r\nTrailer: 0\r\n\r\n";
        for size in 1..=body.len() {
            let mut framing = framing();
            framing.on_read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
            framing.on_request(&Method::POST, CHUNKED);
            body.chunks(size).for_each(|piece| {
                assert!(!framing.is_whole());
                framing.on_read(piece);
            });
            assert!(framing.is_whole() && !framing.has_begun_next(), "in pieces of {size}");
            framing.on_read(b"GET ");
            assert!(framing.has_begun_next());
        }
    }

    #[test]
    fn requests_behind_each_other_are_told_apart() {
        let mut framing = framing();
        let get = b"GET / HTTP/1.1\r\n\r\n".as_slice();
        let post = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".as_slice();
        framing.on_read(&[get, post, get].concat());
        framing.on_request(&Method::GET, BodyLength::Known(0));
        assert!(framing.has_begun_next());
        framing.on_request(&Method::POST, CHUNKED);
        assert_eq!(framing.content_lengths(), Some(0));
        framing.on_request(&Method::GET, BodyLength::Known(0));
        assert!(framing.is_whole() && !framing.has_begun_next());
    }

    #[test]
    fn what_cannot_be_followed_is_never_judged_again() {
        let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
        for broken in [b"g".as_slice(), b"1\rx", b"1;\n", b"1\r\nxx", b"fffffffffffffffff", &[b'G'; 1_001]] {
            let mut framing = framing();
            if broken.len() < 1_000 {
                framing.on_read(head);
                framing.on_request(&Method::POST, CHUNKED);
            }
            framing.on_read(broken);
            framing.on_read(head);
            framing.on_request(&Method::POST, CHUNKED);
            assert_eq!(framing.content_lengths(), None, "{}", String::from_utf8_lossy(broken));
        }
    }
}
