//! Long answers, compressed for those who ask for it.

use std::io::{self, Write as _};

use axum::{
    BoxError,
    body::{Body, BodyDataStream},
};
use bytes::Bytes;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Response, header};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
};

use super::limits::MAX_ENCODERS;

/// Bytes that are worth a thread of their own. Less is kept by the encoder until more comes.
const MIN_STEP_BYTES: usize = 4 * 1024;

/// The levels of both: the quickest, since a node has other work.
const LEVEL: u8 = 1;

static ENCODERS: Semaphore = Semaphore::const_new(MAX_ENCODERS);

/// How an answer can be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Zstd,
    Gzip,
}

impl Coding {
    /// In the order in which they are preferred here.
    const ALL: [Coding; 2] = [Coding::Zstd, Coding::Gzip];

    const fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// The best of those that a client takes (RFC 9110, 12.5.3). None: as it is.
    fn wanted(headers: &HeaderMap) -> Option<Coding> {
        let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        let wishes: Vec<(String, f32)> = lines.flat_map(|line| line.split(',')).filter_map(wish).collect();
        let quality = |coding: Coding| {
            let named =
                |name: &str| wishes.iter().find(|(wish, _)| wish == name).map(|(_, quality)| *quality);
            named(coding.name()).or_else(|| named("*")).unwrap_or(0.0)
        };
        let best = Coding::ALL.into_iter().rev().max_by(|a, b| quality(*a).total_cmp(&quality(*b)))?;
        (quality(best) > 0.0).then_some(best)
    }
}

/// One member of the header: a coding and its quality, 1 unless given.
fn wish(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((name, quality.map_or(Some(1.0), weight)?))
}

/// A quality (RFC 9110, 12.4.2): from 0 to 1, at most three digits behind the point. What Rust takes for a number
/// besides, such as `nan` and `inf`, would outdo every other wish.
fn weight(text: &str) -> Option<f32> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_weight = matches!(whole, "0" | "1") && part.len() <= 3 && digits(part);
    text.parse().ok().filter(|weight| is_weight && *weight <= 1.0)
}

/// The name of the coding that a client is answered in; none: as it is.
#[cfg(feature = "fuzzing")]
pub(super) fn wanted(headers: &HeaderMap) -> Option<&'static str> {
    Coding::wanted(headers).map(Coding::name)
}

/// Compresses an answer that is streamed, if the client takes it so. What comes out for a piece is sent before the next
/// is asked for: the answer stays a stream.
///
/// The work is done beside the node's thread, where appends would wait for it.
pub fn compressed(mut response: Response<Body>, headers: &HeaderMap) -> Response<Body> {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let Some(coding) = Coding::wanted(headers) else { return response };
    let Ok(permit) = ENCODERS.try_acquire() else { return response };
    let Ok(encoder) = Encoder::new(coding) else { return response };
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    response.map(|body| {
        let state = State { pieces: body.into_data_stream(), encoder: Some(encoder), _permit: permit };
        Body::from_stream(stream::try_unfold(state, State::next))
    })
}

/// An answer that is being compressed.
struct State {
    pieces: BodyDataStream,
    /// None when it has given its end.
    encoder: Option<Encoder>,
    _permit: SemaphorePermit<'static>,
}

impl State {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, BoxError> {
        while let Some(mut encoder) = self.encoder.take() {
            match self.pieces.next().await.transpose()? {
                Some(piece) if piece.len() < MIN_STEP_BYTES => {
                    encoder.keep(&piece)?;
                    self.encoder = Some(encoder);
                }
                Some(piece) => {
                    let (encoder, out) = spawn_blocking(move || encoder.step(&piece)).await??;
                    self.encoder = Some(encoder);
                    return Ok(Some((out, self)));
                }
                None => return Ok(Some((encoder.end()?, self))),
            }
        }
        Ok(None)
    }
}

/// An encoder and what it has written and not given yet.
enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Encoder> {
        Ok(match coding {
            Coding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), LEVEL.into())?),
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(LEVEL.into()))),
        })
    }

    /// Takes bytes, to give them with those that follow.
    fn keep(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Zstd(encoder) => encoder.write_all(piece),
            Encoder::Gzip(encoder) => encoder.write_all(piece),
        }
    }

    /// Takes bytes, and gives all that stands for what was taken so far.
    fn step(mut self, piece: &[u8]) -> io::Result<(Encoder, Bytes)> {
        self.keep(piece)?;
        let out = match &mut self {
            Encoder::Zstd(encoder) => encoder.flush().map(|()| std::mem::take(encoder.get_mut())),
            Encoder::Gzip(encoder) => encoder.flush().map(|()| std::mem::take(encoder.get_mut())),
        };
        Ok((self, out?.into()))
    }

    fn end(self) -> io::Result<Bytes> {
        match self {
            Encoder::Zstd(encoder) => encoder.finish().map(Bytes::from),
            Encoder::Gzip(encoder) => encoder.finish().map(Bytes::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn wanted(line: &'static str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
        Coding::wanted(&headers)
    }

    #[test]
    fn the_client_decides_and_where_it_does_not_care_the_quicker_one_is_taken() {
        assert_eq!(wanted("gzip, deflate, br, zstd"), Some(Coding::Zstd));
        assert_eq!(wanted("gzip;q=1.0, zstd;q=0.5"), Some(Coding::Gzip));
        assert_eq!(wanted("GZIP"), Some(Coding::Gzip));
        assert_eq!(wanted("*"), Some(Coding::Zstd));
        assert_eq!(wanted("*, zstd;q=0"), Some(Coding::Gzip));
        for none in ["", "identity", "br", "gzip;q=0", "gzip;q=x", ",;,"] {
            assert_eq!(wanted(none), None, "{none}");
        }
        assert_eq!(Coding::wanted(&HeaderMap::new()), None);
    }

    #[test]
    fn a_quality_that_is_none_does_not_outdo_the_others() {
        for odd in ["nan", "inf", "2", "+1", "1e0", "0.9999", "1.001", ".9", "01", ""] {
            let line: &'static str = format!("gzip;q=0.5, zstd;q={odd}").leak();
            assert_eq!(wanted(line), Some(Coding::Gzip), "{line}");
        }
        assert_eq!(wanted("gzip;q=0.5, zstd;q=1."), Some(Coding::Zstd));
        assert_eq!(wanted("zstd;q=0.001, gzip;q=0."), Some(Coding::Zstd));
    }

    async fn answer(coding: &'static str, pieces: Vec<Result<Bytes, io::Error>>) -> Response<Body> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
        compressed(Response::new(Body::from_stream(stream::iter(pieces))), &headers)
    }

    fn pieces() -> Vec<Result<Bytes, io::Error>> {
        let large: String = (0..20_000).map(|number| format!("{number},")).collect();
        vec![Ok(Bytes::from_static(b"[")), Ok(large.into()), Ok(Bytes::from_static(b"0]"))]
    }

    fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            "zstd" => zstd::stream::copy_decode(bytes, &mut out).unwrap(),
            _ => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap()),
        }
        out
    }

    #[tokio::test]
    async fn what_is_compressed_is_what_was_given() {
        let plain: Vec<u8> = pieces().into_iter().flat_map(Result::unwrap).collect();
        for coding in ["zstd", "gzip"] {
            let response = answer(coding, pieces()).await;
            assert_eq!(response.headers()[header::CONTENT_ENCODING], coding);
            let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert!(bytes.len() < plain.len());
            assert_eq!(decoded(coding, &bytes), plain);
        }
    }

    #[tokio::test]
    async fn a_page_is_sent_before_the_next_is_asked_for() {
        let plain = pieces()[1].as_ref().unwrap().clone();
        let pieces = stream::iter([Ok::<_, io::Error>(plain.clone())]).chain(stream::pending());
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let response = compressed(Response::new(Body::from_stream(pieces)), &headers);
        let first = response.into_body().into_data_stream().next().await.unwrap().unwrap();
        let mut out = Vec::new();
        // The end is missing; all before it is there.
        let _unfinished = flate2::read::GzDecoder::new(&first[..]).read_to_end(&mut out);
        assert_eq!(out, plain);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_has_no_end() {
        let broken = vec![Ok(Bytes::from_static(b"[")), Err(io::Error::other("disk"))];
        let response = answer("gzip", broken).await;
        assert!(axum::body::to_bytes(response.into_body(), usize::MAX).await.is_err());
    }
}
